"""What a container changed, as a layer: over its image it gives the container's files again."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from sandbox.images.layer import LayerIndex
from sandbox.images.tree import LowerTree, merge
from sandbox.wasm.vfs import FileTree, Overlay
from sandbox.wasm.vfs.archive import export_root
from sandbox.wasm.vfs.layer import pack_layer
from tests.sandbox.wasm.vfs.making import link, member, put, tar

IMAGE = [
    member("d/"), member("d/a", b"1"), member("d/b", b"2"), member("d/sub/"), member("d/sub/x", b"3"),
    member("f", b"file"), link("l", "d"), member("g", b"linked"), link("hard", "g", b"1"),
    member("e/"), member("e/only", b"4"),
]  # fmt: skip


class Box:
    """An overlay over IMAGE."""

    def __init__(self, path: Path) -> None:
        self._path = path
        (path / "image").write_bytes(tar(IMAGE))
        self.image = LayerIndex.of_tar(path / "image")
        self.overlay = Overlay.open(path / "state", merge([self.image]))
        self.tree = FileTree(self.overlay.root)

    def layer(self, *without: str) -> LayerIndex:
        path = self._path / "layer"
        path.write_bytes(b"".join(pack_layer(self.overlay, without)))
        return LayerIndex.of_tar(path)

    def paths(self, *without: str) -> list[str]:
        return [f"{entry.kind} {entry.path}" for entry in self.layer(*without).entries()]

    def again(self) -> LowerTree:
        """The image with the layer over it."""
        return merge([self.image, self.layer()])

    def now(self) -> LowerTree:
        """The container's files as they are."""
        path = self._path / "export"
        path.write_bytes(b"".join(export_root(self.tree)))
        return merge([LayerIndex.of_tar(path)])


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path)


def described(tree: LowerTree) -> dict[str, tuple[object, ...]]:
    return {
        path: (
            node.kind,
            node.mode,
            node.uid,
            node.gid,
            node.target,
            _content(node),
            node.mtime_ns * (node.kind != "dir"),
        )
        for path, node in tree.walk()
        if path
    }


def _content(node: object) -> bytes:
    if node.kind != "file":  # type: ignore[attr-defined]
        return b""
    return os.pread(node.layer.fd(), node.size, node.offset)  # type: ignore[attr-defined]


def test_nothing_changed(box: Box) -> None:
    box.tree.resolve("/d/sub/x")
    assert box.paths() == []
    assert b"".join(pack_layer(box.overlay)) == bytes(1024)


def test_each_kind_of_change(box: Box) -> None:
    put(box.tree, "/new", b"n")
    put(box.tree, "/d/a", b"changed")
    box.tree.unlink("/d/b")
    box.tree.unlink("/f")
    box.tree.mkdir("/f", 0o700)
    box.tree.unlink("/e/only")
    box.tree.rmdir("/e")
    put(box.tree, "/e", b"a file now")
    box.tree.unlink("/l")
    box.tree.symlink("elsewhere", "/l")
    assert sorted(box.paths()) == [
        "dir d", "dir f", "file d/a", "file e", "file new", "symlink l", "whiteout d/b",
    ]  # fmt: skip
    assert described(box.again()) == described(box.now())


def test_a_directory_made_anew(box: Box) -> None:
    box.tree.unlink("/d/sub/x")
    box.tree.rmdir("/d/sub")
    box.tree.mkdir("/d/sub", 0o711)
    put(box.tree, "/d/sub/y", b"y")
    assert described(box.again()) == described(box.now())
    box.tree.rename("/d", "/moved")
    assert described(box.again()) == described(box.now())


def test_mount_points_are_left_out(box: Box) -> None:
    box.tree.makedirs("/mnt/deep/point")
    box.tree.makedirs("/kept/point")
    put(box.tree, "/kept/other")
    box.tree.makedirs("/d/point")
    assert box.paths("/mnt/deep/point", "/kept/point", "/d/point", "/d/sub") == ["dir d", "dir kept", "file kept/other"]
    put(box.tree, "/mnt/deep/point/left", b"1")
    assert "file mnt/deep/point/left" in box.paths("/mnt/deep/point")


@pytest.mark.parametrize("seed", range(12))
def test_whatever_was_done_comes_again(box: Box, seed: int) -> None:
    chance = random.Random(seed)
    names = ["d", "d/a", "d/b", "d/sub", "d/sub/x", "f", "l", "g", "hard", "e", "e/only", "new", "new/one", "new/two"]
    for step in range(60):
        one, two = (f"/{name}" for name in chance.sample(names, 2))
        try:
            match chance.randrange(8):
                case 0 | 1:
                    put(box.tree, one, b"%d" % step)
                case 2:
                    box.tree.mkdir(one, 0o750)
                case 3:
                    box.tree.unlink(one)
                case 4:
                    box.tree.rmdir(one)
                case 5:
                    box.tree.rename(one, two)
                case 6:
                    box.tree.resolve(one, follow=False).chmod(0o600 + step % 64)
                case 7:
                    box.tree.symlink(two, one)
        except OSError:
            continue
    assert described(box.again()) == described(box.now())
