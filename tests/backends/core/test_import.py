"""Images made of root file systems that the engine downloads, and what becomes of those that do not come whole."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from backends.api import types as t
from backends.api.errors import EngineError, Forbidden, InvalidArgument, NotFound, Unauthorized
from backends.core.engine import CoreEngine
from tests.backends.core.conftest import Shop, chunks, rootfs
from tests.sandbox.images.peer import Peer, serve


@pytest.fixture
async def site() -> AsyncIterator[Peer]:
    """A web server: what is in its `blobs` is to be had at `url`."""
    async with serve(Peer()) as peer:
        yield peer


def url(site: Peer, name: str = "root.tar") -> str:
    return f"http://{site.host}/v2/any/blobs/{name}"


async def imported(core: CoreEngine, source: str, repo: str = "", message: str = "") -> list[t.Progress]:
    return [
        line
        async for line in await core.import_image(chunks(b""), t.ImportImage(source=source, repo=repo, message=message))
    ]


async def test_what_a_server_has_is_imported(core: CoreEngine, shop: Shop, site: Peer) -> None:
    site.blobs["root.tar"] = rootfs()
    first, *progress, last = await imported(core, url(site), repo="far:1")
    assert first.status == f"Downloading from {url(site)}"
    size = len(rootfs())
    assert progress[-1].status == "Importing"
    assert progress[-1].progressDetail == {"current": size, "total": size}
    image = await core.inspect_image("far:1")
    assert (image.id, image.comment) == (last.status, f"Imported from {url(site)}")
    shop.image = "far:1"
    assert await shop.finish(await shop.create("true")) == 0


async def test_a_url_without_a_scheme_is_of_http(core: CoreEngine, site: Peer) -> None:
    site.blobs["root.tar"] = rootfs()
    lines = await imported(core, url(site).removeprefix("http://"), message="by hand")
    assert lines[0].status == f"Downloading from {url(site)}"
    assert (await core.inspect_image(str(lines[-1].status))).comment == "by hand"


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, InvalidArgument), (401, Unauthorized), (403, Forbidden), (404, NotFound), (500, EngineError)],
)
async def test_what_the_server_refuses_is_told_before_the_first_line(
    core: CoreEngine, site: Peer, status: int, kind: type[EngineError]
) -> None:
    site.fail["root.tar"] = [status]
    with pytest.raises(EngineError, match=rf"^failed to GET {url(site)} with status {status} [A-Z].*: $") as told:
        await core.import_image(chunks(b""), t.ImportImage(source=url(site)))
    assert type(told.value) is kind


async def test_the_reason_that_the_server_gives_is_told(core: CoreEngine, site: Peer) -> None:
    with pytest.raises(NotFound, match=r' with status 404 Not Found: \{"errors": .*blob unknown to registry"\}\]\}$'):
        await core.import_image(chunks(b""), t.ImportImage(source=url(site)))


@pytest.mark.parametrize("source", ["", "http://", "ftp://127.0.0.1/x", "http://[::1/x"])
async def test_what_is_no_url_is_refused(core: CoreEngine, source: str) -> None:
    with pytest.raises(InvalidArgument, match=r" is not an http or https URL$"):
        await core.import_image(chunks(b""), t.ImportImage(source=source))


async def test_nobody_there(core: CoreEngine) -> None:
    refused = r'^Get "http://127.0.0.1:1/x": dial tcp 127.0.0.1:1: connect: connection refused$'
    with pytest.raises(EngineError, match=refused):
        await core.import_image(chunks(b""), t.ImportImage(source="127.0.0.1:1/x"))


async def test_what_does_not_come_whole_leaves_nothing(core: CoreEngine, site: Peer) -> None:
    site.blobs["root.tar"] = rootfs()
    site.blobs["text"] = b"no tar"
    site.cut["root.tar"] = [1024]
    layers = core.context.images.layers.all()
    with pytest.raises(EngineError, match=rf'^Get "{url(site)}": '):
        await imported(core, url(site))
    with pytest.raises(InvalidArgument):
        await imported(core, url(site, "text"))
    lines = await core.import_image(chunks(b""), t.ImportImage(source=url(site)))
    assert (await anext(lines)).status == f"Downloading from {url(site)}"
    await lines.aclose()  # type: ignore[attr-defined]
    assert core.context.images.layers.all() == layers
    assert [image.repo_tags for image in await core.list_images(True, {}, False)] == [["busybox:latest"]]


async def test_a_root_file_system_for_windows_is_not_imported(core: CoreEngine) -> None:
    with pytest.raises(InvalidArgument, match=r"^operating system is not supported$"):
        await core.import_image(chunks(rootfs()), t.ImportImage(repo="x", tag="1", platform="windows/amd64"))
    assert [image.repo_tags for image in await core.list_images(True, {}, False)] == [["busybox:latest"]]
