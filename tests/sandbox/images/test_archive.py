import asyncio
import bz2
import gzip
import io
import lzma
import subprocess
import sys
import tarfile
import textwrap
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

import msgspec
import pytest
import zstandard

from sandbox.images.archive import Imported, import_, load, save
from sandbox.images.errors import ImageNotFound, InvalidImage
from sandbox.images.manifests import OCI_INDEX
from sandbox.images.platforms import Platform
from sandbox.images.reference import parse
from sandbox.images.store import Store
from tests.sandbox.images.making import (
    add_image,
    config,
    digest,
    docker_archive,
    files,
    left_behind,
    member,
    packed,
    put_layer,
    tar,
)

ONE, TWO = files({"a": b"1" * 10}), files({"b": b"2"})
AMD64 = Platform("linux", "amd64")
ROOT = Path(__file__).parents[3]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


async def stream(data: bytes, size: int = 1000) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


async def saved(store: Store, *refs: str) -> bytes:
    return b"".join([piece async for piece in (await save(store, refs))[1]])


def members(data: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return {info.name: archive.extractfile(info).read() for info in archive}  # type: ignore[union-attr]


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "gzip": gzip.compress,
    "zstd": zstandard.ZstdCompressor().compress,
    "xz": lzma.compress,
    "bzip2": bz2.compress,
}


@pytest.mark.parametrize("kind", PACKERS)
async def test_a_docker_archive_is_loaded_however_packed(store: Store, kind: str) -> None:
    data = PACKERS[kind](docker_archive([ONE, TWO], "app:1", "ghcr.io/x/app:2"))
    loaded = await load(store, stream(data))
    assert [item.line for item in loaded] == ["Loaded image: app:1", "Loaded image: ghcr.io/x/app:2"]
    image = store.resolve("app:1")
    assert image.id == digest(config([ONE, TWO])) == loaded[0].image
    assert [layer.diff_id for layer in image.layers] == [digest(ONE), digest(TWO)]
    assert left_behind(store.disk.root) == []


async def test_an_image_without_a_name_is_told_by_its_id(store: Store) -> None:
    loaded = await load(store, stream(docker_archive([ONE])))
    assert [item.line for item in loaded] == [f"Loaded image ID: {digest(config([ONE]))}"]


async def test_a_name_that_moves_says_from_where(store: Store, tmp_path: Path) -> None:
    old = add_image(store, tmp_path, [TWO], "app:1")
    loaded = await load(store, stream(docker_archive([ONE], "app:1")))
    assert [(item.reference, item.replaced) for item in loaded] == [("app:1", old.id)]
    assert [item.replaced for item in await load(store, stream(docker_archive([ONE], "app:1")))] == [""]


async def test_layers_that_are_links_in_the_archive(store: Store) -> None:
    document = config([ONE, ONE, ONE])
    names = ["x/layer.tar", "y/layer.tar", "z/layer.tar"]
    item = {"Config": "c.json", "RepoTags": ["app"], "Layers": names}
    data = tar(
        [
            member("c.json", document),
            member("x/layer.tar", ONE),
            member("y/layer.tar", b"", type=tarfile.SYMTYPE, linkname="../x/layer.tar"),
            member("z/layer.tar", b"", type=tarfile.LNKTYPE, linkname="x/layer.tar"),
            member("manifest.json", msgspec.json.encode([item])),
        ]
    )
    await load(store, stream(data))
    assert len(store.resolve("app").layers) == 3


def changed(*, drop: str = "", **replacing: bytes) -> bytes:
    """A docker-archive of ONE with members dropped or replaced."""
    content = members(docker_archive([ONE], "app:1"))
    names = {
        "manifest": "manifest.json",
        "config": f"{digest(config([ONE]))[7:]}.json",
        "layer": f"{digest(ONE)[7:]}/layer.tar",
    }
    for key, data in replacing.items():
        content[names[key]] = data
    if drop:
        del content[names[drop]]
    return files(content)


def manifest(**fields: object) -> bytes:
    item = {
        "Config": f"{digest(config([ONE]))[7:]}.json",
        "RepoTags": ["app:1"],
        "Layers": [f"{digest(ONE)[7:]}/layer.tar"],
    }
    return msgspec.json.encode([item | fields])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (files({"x": b""}), "invalid archive: does not contain a manifest.json or an index.json"),
        (b"", "invalid archive: does not contain a manifest.json or an index.json"),
        (b"rubbish" * 200, "invalid tar header: malformed number"),
        (changed()[:1500], "truncated tar: unexpected EOF in "),
        (gzip.compress(changed())[:-20], "damaged gzip stream: unexpected end"),
        (changed(drop="config"), "is missing"),
        (changed(drop="layer"), "is missing"),
        (changed(manifest=b"{}"), "invalid archive: manifest.json"),
        (changed(manifest=b"[" * 100_000), "invalid archive: manifest.json"),
        (changed(manifest=manifest(Layers=[])), "invalid manifest, layers length mismatch: expected 0, got 1"),
        (changed(manifest=manifest(Layers=7)), "invalid archive: malformed manifest.json"),
        (changed(manifest=manifest(Layers=[7])), "invalid archive: 7 is missing"),
        (changed(manifest=manifest(RepoTags=["UPPER"])), "invalid tag 'UPPER'"),
        (changed(manifest=manifest(Config="../../etc/passwd")), "invalid archive: '../../etc/passwd' is missing"),
        (changed(config=b"[]"), "image config is no JSON object"),
        (changed(layer=TWO), f"layer has diff id {digest(TWO)}, its image says {digest(ONE)}"),
        (changed(layer=ONE[:600]), f"layer has diff id {digest(ONE[:600])}, its image says {digest(ONE)}"),
    ],
)
async def test_bad_archives_are_refused_and_leave_nothing(store: Store, data: bytes, message: str) -> None:
    with pytest.raises(InvalidImage) as caught:
        await load(store, stream(data))
    assert message in caught.value.message
    assert (left_behind(store.disk.root), store.ids(), store.layers.all()) == ([], [], [])


def oci_layout(*entries: tuple[str, bytes, list[bytes], Mapping[str, object]]) -> bytes:
    content: dict[str, bytes] = {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}'}
    index = []
    for machine, document, layers, annotations in entries:
        for blob in (document, *layers):
            content[f"blobs/sha256/{digest(blob)[7:]}"] = blob
        descriptors = [{"digest": digest(blob), "size": len(blob)} for blob in (document, *layers)]
        raw = msgspec.json.encode({"schemaVersion": 2, "config": descriptors[0], "layers": descriptors[1:]})
        content[f"blobs/sha256/{digest(raw)[7:]}"] = raw
        entry: dict[str, object] = {"digest": digest(raw), "size": len(raw), "annotations": annotations}
        if machine:
            entry["platform"] = {"os": "linux", "architecture": machine}
        index.append(entry)
    content["index.json"] = msgspec.json.encode({"schemaVersion": 2, "manifests": index})
    return files(content)


async def test_an_image_for_windows_is_not_loaded(store: Store) -> None:
    for data in (
        docker_archive([ONE], "app:1", os="windows"),
        oci_layout(("", config([ONE], os="windows"), [ONE], {})),
    ):
        with pytest.raises(InvalidImage, match=r"^cannot load windows image on linux$"):
            await load(store, stream(data))
    assert (store.images(), store.layers.all()) == ([], [])


async def test_an_oci_layout_is_loaded(store: Store) -> None:
    name = {"io.containerd.image.name": "docker.io/library/app:1", "org.opencontainers.image.ref.name": "1"}
    data = oci_layout(("", config([ONE]), [packed(ONE)], name), ("", config([TWO]), [TWO], {}))
    loaded = await load(store, stream(data))
    assert [item.line for item in loaded] == ["Loaded image: app:1", f"Loaded image ID: {digest(config([TWO]))}"]
    assert store.layers.blobs(digest(ONE))[0].digest == digest(packed(ONE))


async def test_of_several_platforms_the_one_asked_for_is_loaded(store: Store) -> None:
    name: dict[str, object] = {"org.opencontainers.image.ref.name": "quay.io/x/app:1"}
    entries = [("amd64", config([ONE]), [ONE], name), ("arm64", config([TWO]), [TWO], name)]
    loaded = await load(store, stream(oci_layout(*entries)), platform=Platform("linux", "arm64"))
    assert [(item.reference, item.image) for item in loaded] == [("quay.io/x/app:1", digest(config([TWO])))]


async def test_an_index_in_a_layout_may_leave_the_platforms_to_the_configs(store: Store) -> None:
    content = members(oci_layout(("", config([ONE], architecture="arm64"), [ONE], {}), ("", config([TWO]), [TWO], {})))
    inner = content["index.json"]
    content[f"blobs/sha256/{digest(inner)[7:]}"] = inner
    entry = {"mediaType": OCI_INDEX, "digest": digest(inner), "size": len(inner)}
    content["index.json"] = msgspec.json.encode({"schemaVersion": 2, "manifests": [entry]})
    loaded = await load(store, stream(files(content)), platform=Platform("linux", "amd64"))
    assert [item.image for item in loaded] == [digest(config([TWO]))]


async def test_a_blob_of_an_oci_layout_that_is_not_its_digest(store: Store) -> None:
    content = members(oci_layout(("", config([ONE]), [ONE], {})))
    for victim in (digest(ONE), digest(config([ONE]))):
        spoilt = files(content | {f"blobs/sha256/{victim[7:]}": config([ONE], author="x")})
        with pytest.raises(InvalidImage, match=f"{victim} is not what its name says"):
            await load(store, stream(spoilt))
    assert (left_behind(store.disk.root), store.ids()) == ([], [])


async def test_what_is_saved_can_be_loaded_again(store: Store, tmp_path: Path) -> None:
    image = add_image(store, tmp_path, [ONE, TWO], "app:1", "other:2")
    data = await saved(store, "app:1", "other:2", image.id)
    assert data == await saved(store, "app:1", "other:2")
    other = Store(tmp_path / "other")
    assert [item.line for item in await load(other, stream(data))] == ["Loaded image: app:1", "Loaded image: other:2"]
    assert other.resolve("app:1").id == image.id
    content = members(data)
    top = image.chain_ids[-1].removeprefix("sha256:")
    assert msgspec.json.decode(content["repositories"]) == {"app": {"1": top}, "other": {"2": top}}
    del content["manifest.json"]
    third = Store(tmp_path / "third")
    assert [item.reference for item in await load(third, stream(files(content)))] == ["app:1", "other:2"]


async def test_what_came_from_a_registry_is_saved_as_it_came(store: Store, tmp_path: Path) -> None:
    raw = members(oci_layout(("", config([ONE]), [packed(ONE)], {})))
    [loaded] = await load(store, stream(files(raw)))
    content = members(await saved(store, loaded.image))
    entry = msgspec.json.decode(content["index.json"])["manifests"][0]
    assert entry["digest"] == msgspec.json.decode(raw["index.json"])["manifests"][0]["digest"]
    assert content[f"blobs/sha256/{digest(packed(ONE))[7:]}"] == packed(ONE)
    assert "repositories" not in content


async def test_saving_a_repository_an_id_and_what_is_missing(store: Store, tmp_path: Path) -> None:
    one = add_image(store, tmp_path, [ONE], "app:1", "app:2")
    add_image(store, tmp_path, [TWO], "app:3")
    docker = msgspec.json.decode(members(await saved(store, "app"))["manifest.json"])
    assert [item["RepoTags"] for item in docker] == [["app:1", "app:2"], ["app:3"]]
    by_id = msgspec.json.decode(members(await saved(store, one.id[7:19]))["manifest.json"])
    assert [item["RepoTags"] for item in by_id] == [None]
    for name in ("nosuch", "app:9", "sha256:" + "0" * 64):
        with pytest.raises(ImageNotFound):
            await saved(store, "app:1", name)


async def test_a_root_file_system_is_imported(store: Store) -> None:
    how = Imported(parse("imported"), {"Cmd": ["/x"]}, "from a test", Platform("linux", "arm", "v7"))
    image = await import_(store, stream(packed(ONE)), how)
    assert image.tags == ("imported:latest",)
    assert (image.config["config"], image.architecture, image.variant) == ({"Cmd": ["/x"]}, "arm", "v7")
    assert image.config["history"][0]["comment"] == "from a test"
    assert [layer.diff_id for layer in image.layers] == [digest(ONE)]
    with pytest.raises(InvalidImage):
        await import_(store, stream(b"rubbish" * 100), Imported())
    assert left_behind(store.disk.root) == []


async def test_a_client_that_goes_away_in_the_middle(store: Store) -> None:
    data = docker_archive([ONE], "app:1")
    sent = asyncio.Event()

    async def stalling() -> AsyncIterator[bytes]:
        yield data[:2000]
        sent.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(load(store, stalling()))
    await sent.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (left_behind(store.disk.root), store.ids()) == ([], [])


async def test_a_stream_that_fails_in_the_middle(store: Store) -> None:
    async def failing() -> AsyncIterator[bytes]:
        yield docker_archive([ONE], "app:1")[:2000]
        raise ConnectionResetError("gone")

    with pytest.raises(ConnectionResetError):
        await load(store, failing())
    assert (left_behind(store.disk.root), store.ids()) == ([], [])


async def test_a_layer_already_here_may_be_missing_from_the_archive(store: Store, tmp_path: Path) -> None:
    put_layer(store, ONE, tmp_path)
    await load(store, stream(changed(drop="layer")))
    assert store.resolve("app:1").layers[0].diff_id == digest(ONE)


RACE = """
    import asyncio, os, sys
    from pathlib import Path
    sys.path.insert(0, {root!r})
    from sandbox.images.archive import load
    from sandbox.images.store import Store
    from tests.sandbox.images.making import add_image, docker_archive, files

    root = Path(sys.argv[1])
    shared, own = files({{"shared": b"1"}}), files({{"own": b"2"}})
    store = Store(root / "store")
    others = [add_image(store, root, [shared], "other").id]

    def remove_other(event, args):
        if event == "os.rename" and others and str(args[1]).startswith(str(root / "store" / "layers")):
            Store(root / "store").delete(others.pop())

    async def pieces():
        yield docker_archive([shared, own], "app:1")

    sys.addaudithook(remove_other)
    [loaded] = asyncio.run(load(store, pieces()))
    assert store.get(loaded.image).size == 2 and not others
"""


def test_a_shared_layer_that_is_removed_during_the_load_is_brought_again(tmp_path: Path) -> None:
    """The moment: after the load found the shared layer, as it puts its own in."""
    script = textwrap.dedent(RACE.format(root=str(ROOT)))
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, cwd=ROOT, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert left_behind(tmp_path / "store") == []
