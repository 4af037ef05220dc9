from collections.abc import Callable
from pathlib import Path

import pytest

from sandbox.images.errors import ImageConflict, ImageNotFound
from sandbox.images.reference import parse
from sandbox.images.removal import Removed, Users, remove
from sandbox.images.store import Store
from sandbox.images.usage import disk_usage, history
from tests.sandbox.images.making import add_image, digest, files

ONE, TWO = files({"a": b"1" * 10}), files({"b": b"2" * 100})
CONTAINER = "c0ffee" * 10


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def nobody(image_id: str) -> Users:
    return Users()


def running(image_id: str) -> Users:
    return Users(running=CONTAINER)


def stopped(image_id: str) -> Users:
    return Users(stopped=CONTAINER)


def lines(removed: list[Removed]) -> list[str]:
    return [f"Untagged: {item.untagged}" if item.untagged else f"Deleted: {item.deleted}" for item in removed]


def test_the_last_name_takes_the_image_with_it(store: Store, tmp_path: Path) -> None:
    image = add_image(store, tmp_path, [ONE, TWO], "app:1", "app:2")
    store.tag(image.id, parse(f"app@{digest(b'm')}"))
    assert lines(remove(store, "app:1", users=nobody)) == ["Untagged: app:1"]
    assert lines(remove(store, "app:2", users=nobody)) == [
        "Untagged: app:2",
        f"Untagged: app@{digest(b'm')}",
        f"Deleted: {image.id}",
        f"Deleted: {image.chain_ids[1]}",
        f"Deleted: {image.chain_ids[0]}",
    ]
    with pytest.raises(ImageNotFound, match="No such image: app:2"):
        remove(store, "app:2", users=nobody)


def test_by_id(store: Store, tmp_path: Path) -> None:
    image = add_image(store, tmp_path, [ONE], "app:1", "other:1")
    short = image.id[7:19]
    with pytest.raises(ImageConflict) as caught:
        remove(store, short, users=nobody)
    assert caught.value.message == (
        f"conflict: unable to delete {short} (must be forced) - image is referenced in multiple repositories"
    )
    assert lines(remove(store, short, users=nobody, force=True)) == [
        "Untagged: app:1",
        "Untagged: other:1",
        f"Deleted: {image.id}",
        f"Deleted: {image.chain_ids[0]}",
    ]


@pytest.mark.parametrize(
    ("ref", "users", "force", "message"),
    [
        (
            "app",
            running,
            False,
            'conflict: unable to remove repository reference "app:latest" (must force) - '
            "container c0ffeec0ffee is using its referenced image {id}",
        ),
        (
            "{id}",
            running,
            True,
            "conflict: unable to delete {id} (cannot be forced) - "
            "image is being used by running container c0ffeec0ffee",
        ),
        (
            "{id}",
            stopped,
            False,
            "conflict: unable to delete {id} (must be forced) - image is being used by stopped container c0ffeec0ffee",
        ),
    ],
)
def test_an_image_in_use(
    store: Store, tmp_path: Path, ref: str, users: Callable[[str], Users], force: bool, message: str
) -> None:
    image = add_image(store, tmp_path, [ONE], "app")
    short = image.id[7:19]
    with pytest.raises(ImageConflict) as caught:
        remove(store, ref.format(id=short), users=users, force=force)
    assert caught.value.message == message.format(id=short)
    assert store.resolve("app").id == image.id


def test_forcing_a_name_of_a_used_image_only_untags(store: Store, tmp_path: Path) -> None:
    image = add_image(store, tmp_path, [ONE], "app")
    assert lines(remove(store, "app", users=running, force=True)) == ["Untagged: app:latest"]
    assert store.get(image.id).dangling


def test_parents_without_names_go_too_and_children_hold_theirs(store: Store, tmp_path: Path) -> None:
    parent = add_image(store, tmp_path, [ONE])
    child = add_image(store, tmp_path, [ONE, TWO], "child", parent=parent.id)
    with pytest.raises(ImageConflict, match=r"\(cannot be forced\) - image has dependent child images"):
        remove(store, parent.id, users=nobody, force=True)
    kept = lines(remove(store, "child", users=nobody, prune=False))
    assert kept == ["Untagged: child:latest", f"Deleted: {child.id}", f"Deleted: {child.chain_ids[1]}"]
    add_image(store, tmp_path, [ONE, TWO], "child", parent=parent.id)
    assert lines(remove(store, "child", users=nobody))[-2:] == [
        f"Deleted: {parent.id}",
        f"Deleted: {parent.chain_ids[0]}",
    ]
    assert store.images() == []


def test_sizes_shared_and_in_all(store: Store, tmp_path: Path) -> None:
    base = add_image(store, tmp_path, [ONE], "base")
    top = add_image(store, tmp_path, [ONE, TWO], "top")
    alone = add_image(store, tmp_path, [TWO], "alone")
    usage = disk_usage(store.images())
    assert usage.layers_size == 10 + 100 + 100
    assert usage.shared == {base.id: 10, top.id: 10, alone.id: 0}


def test_history_is_newest_first_with_the_sizes_of_its_layers(store: Store, tmp_path: Path) -> None:
    steps = [
        {"created": "2024-01-01T00:00:00Z", "created_by": "ADD rootfs"},
        {"created": "2024-01-02T00:00:00Z", "created_by": "ENV A=1", "empty_layer": True},
        {"created": "2024-01-03T00:00:00+01:00", "created_by": "COPY b", "comment": "last"},
    ]
    parent = add_image(store, tmp_path, [ONE], "parent", history=steps[:2])
    image = add_image(store, tmp_path, [ONE, TWO], "app", history=steps, parent=parent.id)
    items = history(image, {parent.id: parent})
    assert [(item.id, item.size, item.created_by, item.comment) for item in items] == [
        (image.id, 100, "COPY b", "last"),
        (parent.id, 0, "ENV A=1", ""),
        ("<missing>", 10, "ADD rootfs", ""),
    ]
    assert items[0].created == 1704236400
    assert items[0].tags == ("app:latest",)


def test_removing_reads_no_other_images(store: Store, tmp_path: Path) -> None:
    """One by one, hundreds of images go in a time that grows with their number and not with its square."""
    _, two, other = (add_image(store, tmp_path, [ONE], f"app:{number}", author=str(number)) for number in range(3))
    remove(store, "app:0", users=nobody)
    (store.disk.root / "blobs" / other.id[7:]).write_bytes(b"not to be read")
    assert lines(remove(store, "app:1", users=nobody)) == ["Untagged: app:1", f"Deleted: {two.id}"]
    assert store.layers.has(digest(ONE))


def test_a_layer_that_another_process_began_to_need_stays(store: Store, tmp_path: Path) -> None:
    first = add_image(store, tmp_path, [ONE], "first")
    remove(store, add_image(store, tmp_path, [ONE, TWO], "second").id, users=nobody)
    other = Store(store.disk.root)
    third = add_image(other, tmp_path, [ONE], "third", parent=first.id, author="other")
    assert store.children(first.id) == [third.id]
    remove(other, "third", users=nobody)
    assert store.children(first.id) == []
    fourth = add_image(other, tmp_path, [ONE], "fourth", author="another")
    assert lines(remove(store, "first", users=nobody)) == ["Untagged: first:latest", f"Deleted: {first.id}"]
    assert other.get(fourth.id).layers[0].diff_id == digest(ONE)
