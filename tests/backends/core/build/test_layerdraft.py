"""Layers drawn over an image's tree, read back through the index."""

from __future__ import annotations

from pathlib import Path

import pytest

from backends.core.build.layerdraft import Item, LayerDraft
from backends.core.build.tree import NotADirectory
from sandbox.images.layer import Entry, LayerIndex
from sandbox.images.tree import LowerTree, lower_from_entries

NOW = 5_000_000_001
IMAGE = lower_from_entries(
    [
        Entry("d", "dir", 0o700, 1, 1),
        Entry("d/old", "file", 0o644),
        Entry("abs", "symlink", link="/d"),
        Entry("up", "symlink", link="../../d/."),
        Entry("broken", "symlink", link="/none/x"),
        Entry("loop", "symlink", link="loop"),
        Entry("f", "file", 0o644),
    ]
)


def entries(draft: LayerDraft, path: Path) -> dict[str, Entry]:
    with path.open("wb") as file:
        draft.write(file)
    return {entry.path: entry for entry in LayerIndex.of_tar(path).entries()}


def draft(image: LowerTree = IMAGE) -> LayerDraft:
    return LayerDraft(image, NOW)


@pytest.mark.parametrize("path", ["/d", "/abs", "/up", "/abs/../abs/.", "d/"])
def test_links_on_the_way_are_followed_inside_the_image(path: str, tmp_path: Path) -> None:
    made = draft()
    made.directory(path).put("new", Item("file", 0o600, 2, 3, 7, data=b"x"))
    assert list(entries(made, tmp_path / "t")) == ["d/new"]


def test_missing_directories_are_made(tmp_path: Path) -> None:
    made = draft()
    made.directory("/abs/a/b", (4, 5))
    found = entries(made, tmp_path / "t")
    assert {path: (entry.kind, entry.mode, entry.uid, entry.gid, entry.mtime_ns) for path, entry in found.items()} == {
        "d/a": ("dir", 0o755, 4, 5, NOW),
        "d/a/b": ("dir", 0o755, 4, 5, NOW),
    }


def test_a_link_at_the_end_of_a_file_name_is_followed(tmp_path: Path) -> None:
    made = draft()
    parent, name = made.place("/broken", (0, 0))
    parent.put(name, Item("file", 0o644))
    assert sorted(entries(made, tmp_path / "t")) == ["none", "none/x"]


@pytest.mark.parametrize("path", ["/f", "/f/x", "/loop", "/loop/x"])
def test_what_is_no_directory(path: str) -> None:
    with pytest.raises(NotADirectory):
        draft().directory(path)


def test_what_meets_what(tmp_path: Path) -> None:
    made = draft()
    made.root.put("d", Item("dir", 0o711))
    assert made.find("/d/old") is not None
    made.root.put("abs", Item("dir", 0o755))
    made.directory("/abs/x")
    made.root.put("f", Item("symlink", 0o777, target="d"))
    found = entries(made, tmp_path / "t")
    assert {path: entry.kind for path, entry in found.items()} == {
        "abs": "dir", "abs/x": "dir", "d": "dir", "f": "symlink",
    }  # fmt: skip
    made.root.put("d", Item("file", 0o644))
    assert made.find("/d/old") is None


def test_nothing_new() -> None:
    made = draft()
    made.directory("/d")
    assert made.find("/d/old") is not None
    assert made.empty


def test_all_that_a_header_can_say(tmp_path: Path) -> None:
    made = draft()
    made.root.put("é" * 120, Item("file", 0o6755, 3_000_000, 4, 1_500_000_001, data=b"content"))
    made.root.put("dev", Item("char", 0o666, rdev=(1 << 8) | 3))
    made.root.put("x", Item("file", 0o644, xattrs={"user.a": b"\xff\x00\n", "security.b": b"1"}))
    made.root.put("undecodable\udcff", Item("fifo", 0o644))
    found = entries(made, tmp_path / "t")
    named = found["é" * 120]
    assert (named.mode, named.uid, named.gid, named.mtime_ns, named.size) == (0o6755, 3_000_000, 4, 1_500_000_001, 7)
    assert (found["dev"].kind, found["dev"].device) == ("char", (1 << 8) | 3)
    assert found["x"].xattrs == {"user.a": b"\xff\x00\n", "security.b": b"1"}
    assert found["undecodable\udcff"].kind == "fifo"
