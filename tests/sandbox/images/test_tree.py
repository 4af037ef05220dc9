import os
import tarfile
from pathlib import Path

from sandbox.images.layer import Entry, LayerIndex
from sandbox.images.tree import LowerNode, LowerTree, lower_from_entries, merge
from tests.sandbox.images.making import member, tar


def layers(tmp_path: Path, *tars: bytes) -> list[LayerIndex]:
    found = []
    for number, data in enumerate(tars):
        path = tmp_path / f"{number}.tar"
        path.write_bytes(data)
        found.append(LayerIndex.of_tar(path))
    return found


def content(node: LowerNode | None) -> bytes:
    assert node is not None
    assert node.layer is not None
    return os.pread(node.layer.fd(), node.size, node.offset)


def paths(tree: LowerTree) -> set[str]:
    return {path for path, _ in tree.walk()}


def test_upper_layers_cover_hide_and_add(tmp_path: Path) -> None:
    tree = merge(
        layers(
            tmp_path,
            tar([member("a/"), member("a/x", b"low"), member("a/gone", b""), member("o/"), member("o/old", b"")]),
            tar(
                [
                    member("a/.wh.gone", b""),
                    member("a/x", b"high"),
                    member("o/.wh..wh..opq", b""),
                    member("o/new", b"n"),
                ]
            ),
            tar([member("a/", mode=0o700, uid=7)]),
        )
    )
    assert paths(tree) == {"", "a", "a/x", "o", "o/new"}
    assert content(tree.lookup("/a/x")) == b"high"
    a = tree.lookup("a")
    assert a is not None
    assert (a.mode, a.uid) == (0o700, 7)


def test_kinds_replace_each_other(tmp_path: Path) -> None:
    tree = merge(
        layers(
            tmp_path,
            tar(
                [
                    member("d/"),
                    member("d/x", b""),
                    member("f", b"1"),
                    member("s", b"", type=tarfile.SYMTYPE, linkname="d"),
                ]
            ),
            tar([member("d", b"now a file"), member("f/"), member("s/y", b"2")]),
        )
    )
    assert paths(tree) == {"", "d", "f", "s", "s/y"}
    assert [tree.root.children[name].kind for name in "dfs"] == ["file", "dir", "dir"]  # type: ignore[index]


def test_a_whiteout_and_a_new_entry_of_the_same_layer(tmp_path: Path) -> None:
    tree = merge(
        layers(
            tmp_path,
            tar([member("d/"), member("d/old", b"")]),
            tar([member("d/"), member("d/new", b""), member(".wh.d", b"")]),
        )
    )
    assert paths(tree) == {"", "d", "d/new"}


def test_implied_parents_are_plain_and_do_not_change_what_is_below(tmp_path: Path) -> None:
    low, high = tar([member("tmp/", mode=0o1777)]), tar([member("tmp/x", b""), member("new/x", b"")])
    tree = merge(layers(tmp_path, low, high))
    assert [(node.mode, node.uid) for name in ("tmp", "new") if (node := tree.lookup(name))] == [
        (0o1777, 0),
        (0o755, 0),
    ]


def test_hard_links_share_one_node_with_number_and_count(tmp_path: Path) -> None:
    data = tar(
        [
            member("a/"),
            member("a/one", b"same"),
            member("two", b"", type=tarfile.LNKTYPE, linkname="a/one"),
            member("b/"),
            member("b/sub/"),
        ]
    )
    tree = merge(layers(tmp_path, data))
    one = tree.lookup("a/one")
    assert one is tree.lookup("two")
    assert one is not None
    assert (one.nlink, content(one)) == (2, b"same")
    assert (tree.root.ino, tree.root.nlink) == (1, 4)
    b = tree.lookup("b")
    assert b is not None
    assert b.nlink == 3
    numbers = [node.ino for _, node in tree.walk()]
    assert sorted(set(numbers)) == list(range(1, 6))
    assert tree.inodes == 5


def test_covering_one_of_two_links_leaves_the_other(tmp_path: Path) -> None:
    low = tar([member("one", b"old"), member("two", b"", type=tarfile.LNKTYPE, linkname="one")])
    tree = merge(layers(tmp_path, low, tar([member("one", b"new")])))
    assert (content(tree.lookup("one")), content(tree.lookup("two"))) == (b"new", b"old")
    assert [node.nlink for name in ("one", "two") if (node := tree.lookup(name))] == [1, 1]


def test_a_tree_of_bare_entries() -> None:
    tree = lower_from_entries([Entry("dev/null", "char", 0o666, device=259), Entry("l", "symlink", link="dév")])
    null, link = tree.lookup("dev/null"), tree.lookup("l")
    assert null is not None
    assert link is not None
    assert (null.kind, null.rdev, null.mode) == ("char", 259, 0o666)
    assert (link.target, link.size) == ("dév", 4)
    assert tree.lookup("dev/null/x") is None
    assert tree.lookup("nothing") is None
