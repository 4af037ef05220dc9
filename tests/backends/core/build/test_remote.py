"""ADD of files and repositories from elsewhere, where downloads are allowed."""

from __future__ import annotations

import hashlib
import http.server
import socketserver
import subprocess
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from backends.core.engine import CoreEngine
from sandbox.images.store import Store
from sandbox.images.tree import merge
from tests.backends.core.build.conftest import Shop, packed
from tests.backends.core.local_driver import LocalDriver
from tests.oracle.tools import tool

pytestmark = pytest.mark.timeout(60)
TAR = packed([("d/", {"mode": 0o700}), ("d/f", {"data": b"1", "uid": 7})])
DIGESTS = {name: f"{name}:{hashlib.new(name, TAR).hexdigest()}" for name in ("sha256", "sha512", "md5")}


class _Site(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        if self.path != "/undated":
            self.send_header("Last-Modified", "Fri, 02 Jan 1970 00:00:05 GMT" if self.path == "/a.tar" else "nonsense")
        self.end_headers()
        self.wfile.write(TAR)

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def serving(server: socketserver.TCPServer) -> Iterator[int]:
    """The port of a server that runs."""
    with server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


@pytest.fixture
def site() -> Iterator[str]:
    with serving(http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Site)) as port:
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
async def builds(tmp_path: Path, images: Store) -> AsyncIterator[Shop]:
    engine = CoreEngine(tmp_path / "data", LocalDriver(images).drivers(), images, add_urls=True)
    await engine.open()
    yield Shop(engine)
    await engine.close()


async def error(builds: Shop, line: str) -> object:
    return (await builds.build(f"FROM scratch\n{line}\n"))[-1].error


async def test_a_file_is_as_old_as_its_server_says(builds: Shop, site: str) -> None:
    image = await builds.image(f"FROM scratch\nADD {site}/a.tar {site}/undated {site}/odd /d/\n")
    store = builds.engine.context.images
    nodes = merge([store.layer(layer.diff_id) for layer in store.resolve(image).layers])
    found = {path: node for path, node in nodes.walk() if node.kind == "file"}
    assert {path: (node.mode, node.mtime_ns) for path, node in found.items()} == {
        "d/a.tar": (0o600, 86_405 * 10**9), "d/undated": (0o600, 0), "d/odd": (0o600, 0)
    }  # fmt: skip


async def test_a_downloaded_archive_is_unpacked_if_asked_for(builds: Shop, site: str) -> None:
    found = builds.files(await builds.image(f"FROM scratch\nADD --unpack {site}/a.tar /x/\n"))
    assert (found["x/d"], found["x/d/f"]) == ("dir 700 0:0", "file 644 7:0")
    assert "x/a.tar" in builds.files(await builds.image(f"FROM scratch\nADD --unpack=false {site}/a.tar /x/\n"))


async def test_checksums_of_files(builds: Shop, site: str) -> None:
    for name in ("sha256", "sha512"):
        dockerfile = f"FROM scratch\nARG SUM={DIGESTS[name]}\nADD --checksum=$SUM {site}/a.tar /\n"
        assert "a.tar" in builds.files(await builds.image(dockerfile))
    wrong = "sha256:" + "0" * 64
    assert (
        await error(builds, f"ADD --checksum={wrong} {site}/a.tar /") == f"digest mismatch {DIGESTS['sha256']}: {wrong}"
    )


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("ADD --checksum=sha256:00 Dockerfile /", "checksum requires HTTP(S) or Git sources"),
        ("ADD --checksum=sha256:00 {}/a {}/b /", "checksum can't be specified for multiple sources"),
        (f"ADD --checksum={DIGESTS['md5']} {{}}/a /", "unsupported digest algorithm"),
        ("ADD --checksum=sha256:00 {}/a /", "invalid checksum digest length"),
    ],
)
async def test_checksums_that_say_nothing(builds: Shop, site: str, line: str, said: str) -> None:
    assert await error(builds, line.format(site, site)) == said


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[tuple[str, str]]:
    """The git:// address of a repository and its commit."""
    place = tmp_path / "repo.git"
    (place / "sub").mkdir(parents=True)
    (place / "sub" / "f").write_text("1")
    git = [tool("git"), "-C", str(place), "-c", "user.name=a", "-c", "user.email=a@b"]
    for words in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "-m", "x"]):
        subprocess.run([*git, *words], check=True)
    commit = subprocess.check_output([*git, "rev-parse", "HEAD"], text=True).strip()

    class Daemon(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            command = [tool("git"), "daemon", "--inetd", "--export-all", f"--base-path={tmp_path}", str(tmp_path)]
            subprocess.run(command, stdin=self.request, stdout=self.request, check=False)

    with serving(socketserver.ThreadingTCPServer(("127.0.0.1", 0), Daemon)) as port:
        yield f"git://127.0.0.1:{port}/repo.git", commit


async def test_repositories(builds: Shop, repository: tuple[str, str]) -> None:
    url, commit = repository
    found = builds.files(await builds.image(f"FROM scratch\nADD --checksum={commit[:8]} {url} /r/\n"))
    assert found == {"r": "dir 755 0:0", "r/sub": "dir 755 0:0", "r/sub/f": "file 644 0:0"}
    found = builds.files(await builds.image(f"FROM scratch\nADD {url}#HEAD:sub /r/\n"))
    assert list(found) == ["r", "r/f"]
    assert "r/.git/HEAD" in builds.files(await builds.image(f"FROM scratch\nADD --keep-git-dir {url} /r/\n"))
    wrong = "456" if commit.startswith("123") else "123"
    assert await error(builds, f"ADD --checksum={wrong} {url} /") == f"expected checksum to match {wrong}, got {commit}"
