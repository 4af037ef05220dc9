import errno
import fcntl
import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from sandbox.images.disk import Disk
from sandbox.images.errors import ImageNotFound, InvalidImage, InvalidReference, LayerMissing, StorageFull
from sandbox.images.layers import Cancelled
from sandbox.images.store import Store
from tests.sandbox.images.making import (
    add_image,
    config,
    digest,
    files,
    left_behind,
    packed,
    put_layer,
)

ONE, TWO = files({"a": b"1" * 10}), files({"b": b"2" * 100})
ROOT = Path(__file__).parents[3]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def test_an_image_is_found_by_every_name_it_has(store: Store, tmp_path: Path) -> None:
    image = add_image(store, tmp_path, [ONE, TWO], "busybox", "ghcr.io/x/y:1")
    store.tag(image.id, "other/name:2")
    short = image.id[7:]
    names = ["busybox", "busybox:latest", "library/busybox", "docker.io/library/busybox", "index.docker.io/busybox"]
    for name in [*names, "ghcr.io/x/y:1", "other/name:2", image.id, short, short[:12], f"sha256:{short[:5]}"]:
        assert store.resolve(name).id == image.id, name
    again = store.resolve("busybox")
    assert again.tags == ("busybox:latest", "other/name:2", "ghcr.io/x/y:1")
    assert (again.size, again.architecture, again.os) == (110, "amd64", "linux")
    assert [(layer.diff_id, layer.size) for layer in again.layers] == [(digest(ONE), 10), (digest(TWO), 100)]
    assert again.created_ns == 1704164645123456789


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nosuch", "No such image: nosuch:latest"),
        ("docker.io/library/nosuch:1", "No such image: nosuch:1"),
        ("abcdef", "No such image: abcdef:latest"),
        ("sha256:" + "0" * 64, "No such image: sha256:" + "0" * 64),
        ("0" * 64, "No such image: sha256:" + "0" * 64),
        ("busybox@sha256:" + "0" * 64, "No such image: busybox@sha256:" + "0" * 64),
    ],
)
def test_a_missing_image_is_named_as_docker_names_it(store: Store, name: str, message: str) -> None:
    with pytest.raises(ImageNotFound) as caught:
        store.resolve(name)
    assert caught.value.message == message


def test_a_prefix_of_two_ids_means_neither(store: Store, tmp_path: Path) -> None:
    first = {add_image(store, tmp_path, [], author=str(number)).id[7] for number in range(17)}
    assert len(first) < 17
    with pytest.raises(ImageNotFound):
        store.resolve("sha256:" + next(c for c in first if sum(i[7] == c for i in store.ids()) > 1))


def test_a_tag_moves_and_leaves_the_old_image_without_name(store: Store, tmp_path: Path) -> None:
    old = add_image(store, tmp_path, [ONE], "app")
    new = add_image(store, tmp_path, [TWO], "app")
    assert (store.resolve("app").id, store.get(old.id).tags, store.get(old.id).dangling) == (new.id, (), True)
    assert new.tagged_at.endswith("Z")
    with pytest.raises(InvalidReference, match="must be lowercase"):
        store.tag(new.id, "UPPER")
    with pytest.raises(InvalidReference, match="refusing to create a tag with a digest reference"):
        store.tag(new.id, f"app@{old.id}")
    with pytest.raises(ImageNotFound):
        store.tag("sha256:" + "0" * 64, "x")
    assert str(store.untag("app")) == "docker.io/library/app:latest"
    with pytest.raises(ImageNotFound, match="No such image: app:latest"):
        store.untag("app")


def test_deleting_keeps_what_others_need(store: Store, tmp_path: Path) -> None:
    base = add_image(store, tmp_path, [ONE], "base")
    top = add_image(store, tmp_path, [ONE, TWO], "top")
    assert store.delete(top.id) == [top.id, top.chain_ids[1]]
    assert (store.layers.has(digest(ONE)), store.layers.has(digest(TWO))) == (True, False)
    assert [image.id for image in store.images()] == [base.id]
    reader = store.layer(digest(ONE))
    assert store.delete(base.id) == [base.id, base.chain_ids[0]]
    assert [entry.path for entry in reader.entries()] == ["a"]
    assert os.pread(reader.fd(), 10, next(reader.entries()).offset) == b"1" * 10
    assert (store.images(), list((store.disk.root / "blobs").iterdir()), store.layers.all()) == ([], [], [])
    with pytest.raises(LayerMissing):
        store.layer("sha256:" + "0" * 64)
    assert left_behind(store.disk.root) == []


def test_one_open_layer_is_shared(store: Store, tmp_path: Path) -> None:
    put_layer(store, ONE, tmp_path)
    assert store.layer(digest(ONE)) is store.layer(digest(ONE))


def test_a_packed_layer_keeps_its_blob_and_a_plain_one_is_it(store: Store, tmp_path: Path) -> None:
    put_layer(store, packed(ONE), tmp_path)
    put_layer(store, TWO, tmp_path)
    [blob] = store.layers.blobs(digest(ONE))
    assert (blob.digest, blob.path.read_bytes()) == (digest(packed(ONE)), packed(ONE))
    assert store.layers.tar(digest(ONE)).path.read_bytes() == ONE
    assert store.layers.blobs(digest(TWO)) == []
    assert store.layers.tar(digest(TWO)).path.read_bytes() == TWO


@pytest.mark.parametrize(
    ("data", "expected", "message"),
    [
        (ONE, digest(TWO), f"layer has diff id {digest(ONE)}, its image says {digest(TWO)}"),
        (packed(ONE), digest(TWO), f"layer has diff id {digest(ONE)}, its image says {digest(TWO)}"),
        (packed(files({"../x": b""})), None, "invalid path '../x': outside of the root directory"),
        (packed(ONE)[:-9], digest(ONE), "damaged gzip stream: unexpected end"),
    ],
)
def test_a_bad_layer_leaves_nothing(
    store: Store, tmp_path: Path, data: bytes, expected: str | None, message: str
) -> None:
    path = tmp_path / "layer"
    path.write_bytes(data)
    with pytest.raises(InvalidImage) as caught:
        store.layers.put(path, expected=expected)
    assert caught.value.message == message
    assert (left_behind(store.disk.root), store.layers.all()) == ([], [])


def test_a_layer_being_unpacked_can_be_stopped(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "layer"
    path.write_bytes(packed(ONE))
    stop = threading.Event()
    stop.set()
    with pytest.raises(Cancelled):
        store.layers.put(path, stop=stop)
    assert (left_behind(store.disk.root), store.layers.all()) == ([], [])


def test_an_image_needs_its_layers_and_a_proper_config(store: Store, tmp_path: Path) -> None:
    with pytest.raises(LayerMissing, match=digest(ONE)):
        store.add(config([ONE]))
    put_layer(store, ONE, tmp_path)
    with pytest.raises(InvalidImage, match="not those of the image config"):
        store.add(config([ONE]), [digest(TWO)])
    for bad in (b"", b"[]", b"{}", b'{"rootfs":{"diff_ids":["../x"]}}', b'{"rootfs":{"diff_ids":[]},"os":1}', b"\xff"):
        with pytest.raises(InvalidImage):
            store.add(bad)
    assert store.ids() == []


def test_two_stores_see_each_others_changes(store: Store, tmp_path: Path) -> None:
    other = Store(store.disk.root)
    image = add_image(store, tmp_path, [ONE], "a")
    assert other.resolve("a").id == image.id
    other.tag(image.id, "b")
    assert store.resolve("b").tags == ("a:latest", "b:latest")
    other.delete(image.id)
    assert store.images() == []


def test_unused_content_is_collected_when_old_enough(store: Store, tmp_path: Path) -> None:
    add_image(store, tmp_path, [ONE], "kept")
    put_layer(store, TWO, tmp_path)
    (store.disk.root / "partial" / ("0" * 64)).write_bytes(b"x" * 7)
    assert store.collect() == 0
    assert store.collect(0) == len(TWO) + 7
    assert (store.layers.all(), left_behind(store.disk.root)) == ([digest(ONE)], [])


def test_what_somebody_took_up_again_or_works_on_is_not_collected(store: Store, tmp_path: Path) -> None:
    put_layer(store, ONE, tmp_path)
    partial = store.disk.root / "partial" / ("0" * 64)
    partial.write_bytes(b"x")
    for path in (store.disk.root / "layers" / digest(ONE)[7:], partial):
        os.utime(path, (1.0, 1.0))
    assert store.layers.renew(digest(ONE))
    assert not store.layers.renew(digest(TWO))
    with partial.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert store.collect() == 0
    assert store.collect() == 1
    assert (store.layers.all(), left_behind(store.disk.root)) == ([digest(ONE)], [])


EVENTS = ("open", "os.rename", "os.mkdir", "os.remove", "os.rmdir", "fcntl.flock", "shutil.rmtree", "os.truncate")
KILLED = """
    import os, signal, sys
    from pathlib import Path
    sys.path.insert(0, {root!r})
    from tests.sandbox.images.making import add_image, files, packed
    from sandbox.images.store import Store

    limit = int(sys.argv[2])
    count = 0

    def fuse(event, args):
        global count
        if event in {events!r}:
            count += 1
            if count == limit:
                os.kill(os.getpid(), signal.SIGKILL)

    root = Path(sys.argv[1])
    one, two, packed_two = files({{"a": b"1"}}), files({{"b": b"2"}}), packed(files({{"b": b"2"}}))
    store = Store(root / "store")
    sys.addaudithook(fuse)
    add_image(store, root, [one], "app")
    path = root / "packed"
    path.write_bytes(packed_two)
    store.layers.put(path)
    new = add_image(store, root, [one, two], "app")
    store.delete(new.id)
    print(count)
"""


def run_killed(tmp_path: Path, limit: int) -> subprocess.CompletedProcess[str]:
    script = textwrap.dedent(KILLED.format(root=str(ROOT), events=EVENTS))
    command = [sys.executable, "-c", script, str(tmp_path), str(limit)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False, timeout=60)


@pytest.mark.slow
def test_killed_at_any_point_the_store_is_whole(tmp_path: Path) -> None:
    done = run_killed(tmp_path, 0)
    assert done.returncode == 0, done.stderr
    steps = int(done.stdout)
    assert steps > 60
    for limit in range(1, steps + 1):
        base = tmp_path / f"run{limit}"
        base.mkdir()
        assert run_killed(base, limit).returncode == -signal.SIGKILL
        check_whole(base)


def test_killed_at_some_points_the_store_is_whole(tmp_path: Path) -> None:
    for limit in (3, 17, 31, 44, 58):
        base = tmp_path / f"run{limit}"
        base.mkdir()
        assert run_killed(base, limit).returncode == -signal.SIGKILL
        check_whole(base)


def check_whole(base: Path) -> None:
    store = Store(base / "store")
    assert left_behind(store.disk.root) == []
    for image in store.images():
        for layer in image.layers:
            assert len(list(store.layer(layer.diff_id).entries())) == 1
    assert {image.id for image in store.images()} == set(store.ids())
    for reference, image_id in store.repository("docker.io/library/app"):
        assert store.resolve(str(reference)).id == image_id
    for image_id in store.ids():
        store.delete(image_id)
    store.collect(0)
    left = [
        path.name for name in ("layers", "blobs", "images", "partial") for path in (base / "store" / name).iterdir()
    ]
    assert left == []


RACE = """
    import sys
    from pathlib import Path
    sys.path.insert(0, {root!r})
    from tests.sandbox.images.making import add_image, files
    from sandbox.images.store import Store
    from sandbox.images.errors import LayerMissing

    me, root = sys.argv[1], Path(sys.argv[2])
    store = Store(root / "store")
    shared = files({{"shared": b"s" * 50000}})
    mine = root / me
    mine.mkdir()
    sys.stdin.read(1)
    for number in range(15):
        while True:
            try:
                image = add_image(store, mine, [shared, files({{me: str(number).encode()}})], f"app{{number}}:{{me}}")
                break
            except LayerMissing:
                continue
        store.tag(image.id, f"all:{{me}}-{{number}}")
        if number % 2:
            store.delete(image.id)
"""


def test_scratch_whose_owner_is_done_while_it_is_looked_at_is_no_error(tmp_path: Path) -> None:
    disk = Disk(tmp_path)
    (tmp_path / "scratch" / "gone").symlink_to("nowhere")  # what the listing has and open does not find
    disk.sweep()


def test_two_processes_at_once_lose_nothing(tmp_path: Path) -> None:
    script = textwrap.dedent(RACE.format(root=str(ROOT)))
    commands = [[sys.executable, "-c", script, me, str(tmp_path)] for me in ("x", "y")]
    running = [subprocess.Popen(command, stdin=subprocess.PIPE, cwd=ROOT) for command in commands]
    for process in running:
        assert process.stdin is not None
        process.stdin.write(b"g")
        process.stdin.close()
    assert [process.wait(60) for process in running] == [0, 0]
    store = Store(tmp_path / "store")
    tags = sorted(tag for image in store.images() for tag in image.tags)
    kept = range(0, 15, 2)
    assert tags == sorted(f"{name}" for n in kept for me in "xy" for name in (f"all:{me}-{n}", f"app{n}:{me}"))
    assert left_behind(store.disk.root) == []
    assert len(store.layers.all()) == 1 + 2 * len(kept)


@pytest.fixture
def small_disk(tmp_path: Path) -> Path:
    if os.geteuid() != 0:
        pytest.fail("this test mounts a tmpfs: run it as root")
    path = tmp_path / "small"
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(path)], check=True)
    return path


@pytest.fixture(autouse=True)
def unmounted(request: pytest.FixtureRequest, tmp_path: Path):  # type: ignore[no-untyped-def]
    yield
    if "small_disk" in request.fixturenames:
        subprocess.run(["umount", str(tmp_path / "small")], check=True)


def test_a_full_disk_is_said_and_leaves_nothing(small_disk: Path, tmp_path: Path) -> None:
    store = Store(small_disk)
    add_image(store, small_disk, [ONE], "kept")
    before = {str(path) for path in small_disk.rglob("*")}
    bomb = packed(files({"zeros": bytes(8 << 20)}))
    assert len(bomb) < 100_000
    path = small_disk / "incoming"
    path.write_bytes(bomb)
    with pytest.raises(StorageFull) as caught:
        store.layers.put(path)
    assert caught.value.message == "image store: no space left on device"
    path.unlink()
    filler = small_disk / "filler"
    with pytest.raises(OSError, match="No space") as full, filler.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    assert full.value.errno == errno.ENOSPC
    with pytest.raises(StorageFull):
        add_image(store, tmp_path, [], "new", author="x" * 9000)
    with pytest.raises(StorageFull):
        store.tag(store.resolve("kept").id, "another")
    filler.unlink()
    assert {str(path) for path in small_disk.rglob("*")} == before
    assert [image.tags for image in Store(small_disk).images()] == [("kept:latest",)]


LIMITED = """
    import resource, sys
    from pathlib import Path
    sys.path.insert(0, {root!r})
    from tests.sandbox.images.making import files, packed
    from sandbox.images.store import Store
    from sandbox.images.errors import StorageFull
    root = Path(sys.argv[1])
    store = Store(root / "store")
    (root / "layer").write_bytes(packed(files({{"zeros": bytes(8 << 20)}})))
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
    try:
        store.layers.put(root / "layer")
    except StorageFull as error:
        print(error.message)
"""


def test_a_file_size_limit_is_a_full_disk_too(tmp_path: Path) -> None:
    script = textwrap.dedent(LIMITED.format(root=str(ROOT)))
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, cwd=ROOT, check=False, timeout=60
    )
    assert (done.stdout, done.stderr) == ("image store: file too large\n", "")
    assert (left_behind(tmp_path / "store"), list((tmp_path / "store" / "layers").iterdir())) == ([], [])
