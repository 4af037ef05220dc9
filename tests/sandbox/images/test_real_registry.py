"""Pull from Debian's docker-registry, a peer that nobody here wrote."""

import asyncio
import gzip
import random
import re
import shutil
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import msgspec
import pytest

from sandbox.images.errors import ManifestNotFound
from sandbox.images.platforms import Platform
from sandbox.images.pull import pull
from sandbox.images.reference import parse
from sandbox.images.store import Store
from tests.sandbox.images.making import config, digest, files, left_behind, packed

pytestmark = pytest.mark.slow
AMD64 = Platform("linux", "amd64")
SCHEMA2 = "application/vnd.docker.distribution.manifest.v2+json"
SETTINGS = """
version: 0.1
log: {{level: error}}
storage: {{filesystem: {{rootdirectory: {root}}}}}
http: {{addr: "{address}"}}
"""


@pytest.fixture
async def registry(tmp_path: Path) -> AsyncIterator[str]:
    program = shutil.which("docker-registry")
    if program is None:
        pytest.fail("docker-registry is missing: apt-get install docker-registry")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    settings = tmp_path / "registry.yml"
    settings.write_text(SETTINGS.format(root=tmp_path / "registry", address=address))
    process = await asyncio.create_subprocess_exec(program, "serve", str(settings))
    try:
        async with asyncio.timeout(20), aiohttp.ClientSession() as session:
            while not await answers(session, f"http://{address}/v2/"):  # noqa: ASYNC110 (its port is all it shows)
                await asyncio.sleep(0.05)
        yield address
    finally:
        process.terminate()
        await process.wait()


async def answers(session: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with session.get(url) as response:
            return response.status == 200
    except aiohttp.ClientError:
        return False


async def upload(address: str, name: str, tag: str, document: bytes, layers: list[bytes]) -> bytes:
    """Push by plain HTTP: blobs in one piece, then the manifest."""
    async with aiohttp.ClientSession() as session:
        descriptors = []
        for blob in (document, *layers):
            async with session.post(f"http://{address}/v2/{name}/blobs/uploads/") as begun:
                assert begun.status == 202
                where = begun.headers["Location"]
            async with session.put(f"{where}&digest={digest(blob)}", data=blob) as ended:
                assert ended.status == 201, await ended.text()
            descriptors.append({"mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip", "size": len(blob)})
            descriptors[-1]["digest"] = digest(blob)
        descriptors[0]["mediaType"] = "application/vnd.docker.container.image.v1+json"
        raw = msgspec.json.encode(
            {"schemaVersion": 2, "mediaType": SCHEMA2, "config": descriptors[0], "layers": descriptors[1:]}
        )
        url = f"http://{address}/v2/{name}/manifests/{tag}"
        async with session.put(url, data=raw, headers={"Content-Type": SCHEMA2}) as done:
            assert done.status == 201, await done.text()
    return raw


async def test_pull_resume_and_refusals(registry: str, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    one, two = files({"a": b"1"}), files({"b": random.Random(1).randbytes(2 << 20)})
    raw = await upload(registry, "team/app", "1", config([one, two]), [packed(one), packed(two)])
    (store.disk.root / "partial" / digest(packed(two))[7:]).write_bytes(packed(two)[:1_000_000])
    events = [event async for event in pull(store, parse(f"{registry}/team/app:1"), platform=AMD64)]
    assert events[-2].status == f"Digest: {digest(raw)}"
    downloading = [event.current for event in events if event.status == "Downloading" and event.total > 1_000_000]
    assert downloading[0] == 1_000_000
    assert store.resolve(f"{registry}/team/app:1").id == digest(config([one, two]))
    assert left_behind(store.disk.root) == []
    for name in ("team/app:2", "nobody/none:1"):
        with pytest.raises(ManifestNotFound) as caught:
            _ = [event async for event in pull(store, parse(f"{registry}/{name}"), platform=AMD64)]
        assert re.search(r"not found: (manifest unknown: manifest unknown|name unknown: .*)$", caught.value.message)


async def test_speed_of_a_200_megabyte_layer(registry: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Half of it compresses, half does not, as in real layers; a floor far below what any machine does."""
    noise = random.Random(2)
    content = b"".join(noise.randbytes(500_000) + b"some text that packs well " * 20_000 for _ in range(200))
    layer = files({f"f{n}": content[n << 20 : (n + 1) << 20] for n in range(len(content) >> 20)})
    await upload(registry, "big", "1", config([layer]), [gzip.compress(layer, 1)])
    store = Store(tmp_path / "store")
    begun = time.perf_counter()
    events = [event async for event in pull(store, parse(f"{registry}/big:1"), platform=AMD64)]
    seconds = time.perf_counter() - begun
    with capsys.disabled():
        print(f"\npulled {len(layer) / 1e6:.0f} MB unpacked in {seconds:.2f} s: {len(layer) / 1e6 / seconds:.0f} MB/s")
    assert events[-1].status == f"Status: Downloaded newer image for {registry}/big:1"
    assert len(layer) / 1e6 / seconds > 10
