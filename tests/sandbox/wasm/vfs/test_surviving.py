"""A worker that is killed at any moment, and many threads in one tree."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from sandbox.wasm.vfs import File, FileTree, Overlay, Tmpfs, read_all
from sandbox.wasm.vfs.content import UnionFile
from tests.sandbox.wasm.vfs.making import describe, get, lower, member, memory_tree, names, overlay_tree, put

WRITER = """
import os, sys
from pathlib import Path
from sandbox.images.layer import LayerIndex
from sandbox.images.tree import merge
from sandbox.wasm.vfs import FileTree, Overlay

home = Path(sys.argv[1])
tree = FileTree(Overlay.open(home / "state", merge([LayerIndex.of_tar(home / "layer.tar")])).root)
number = 0
while True:
    handle = tree.open(f"/begun/{number}", os.O_CREAT | os.O_WRONLY).handle
    handle.write(memoryview(b"%d" % number), 0)
    handle.close()
    tree.rename(f"/begun/{number}", f"/done/{number}")
    if number >= 10:
        tree.unlink(f"/done/{number - 10}")
    tree.resolve("/image").chmod(0o600 + number % 8)
    handle = tree.open("/image", os.O_RDWR).handle
    handle.append(memoryview(b"."))
    handle.close()
    number += 1
    if sys.argv[2] == "small":
        tree.root.fs._compact_at = 5000
    os.write(1, b".")
"""


@pytest.mark.parametrize("journal", ["long", "small"])
@pytest.mark.parametrize("moment", [1, 40, 333])
def test_kill_9(tmp_path: Path, moment: int, journal: str) -> None:
    tree = overlay_tree(tmp_path, [member("begun"), member("done"), member("image", b"image")])
    del tree
    command = [sys.executable, "-c", WRITER, str(tmp_path), journal]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path.cwd()) as writer:
        assert writer.stdout is not None
        for _ in range(moment):
            assert writer.stdout.read(1) == b"."
        writer.send_signal(signal.SIGKILL)
        completed = moment + len(writer.stdout.read())
    again = FileTree(
        Overlay.open(
            tmp_path / "state",
            lower(tmp_path / "layer.tar", [member("begun"), member("done"), member("image", b"image")]),
        ).root
    )
    done = sorted(int(name) for name in names(again, "/done"))
    assert done[-1] in (completed - 1, completed)
    assert done == list(range(done[0], done[-1] + 1))
    assert len(done) in (min(10, len(done)), 11)
    assert [get(again, f"/done/{number}") for number in done] == [b"%d" % number for number in done]
    assert get(again, "/image").rstrip(b".") == b"image"
    assert len(get(again, "/image")) - 5 in (completed, completed + 1)
    kept = {str(node.id) for node in _data_nodes(again)}
    assert set(os.listdir(tmp_path / "state" / "data")) == kept
    assert describe(again.root) == describe(again.root)


def _data_nodes(tree: FileTree) -> list[UnionFile]:
    nodes = [tree.resolve("/image")]
    for place in ("/done", "/begun"):
        nodes += [tree.resolve(f"{place}/{name}") for name in names(tree, place)]
    return [node for node in nodes if isinstance(node, UnionFile) and node.has_data]


def run(*calls: object) -> None:
    failures: list[BaseException] = []

    def guarded(call: object) -> None:
        try:
            assert callable(call)
            call()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


@pytest.fixture(params=["overlay", "tmpfs"])
def tree(request: pytest.FixtureRequest, tmp_path: Path) -> FileTree:
    return overlay_tree(tmp_path, [member("image", b"i" * 5000)]) if request.param == "overlay" else memory_tree()


def test_exclusive_creation_has_one_winner(tree: FileTree) -> None:
    won: list[int] = []

    def take(worker: int) -> None:
        for number in range(100):
            try:
                opened = tree.open(f"/lock{number}", os.O_CREAT | os.O_EXCL | os.O_WRONLY)
            except FileExistsError:
                continue
            assert opened.handle is not None
            opened.handle.close()
            won.append(number)

    run(*(lambda worker=worker: take(worker) for worker in range(6)))
    assert sorted(won) == list(range(100))


def test_appends_do_not_tear(tree: FileTree) -> None:
    put(tree, "/log")

    def append(letter: bytes) -> None:
        handle = tree.open("/log", os.O_WRONLY).handle
        assert handle is not None
        for _ in range(100):
            handle.append(memoryview(letter * 99 + b"\n"))
        handle.close()

    run(*(lambda letter=letter: append(letter) for letter in (b"a", b"b", b"c", b"d")))
    lines = get(tree, "/log").splitlines()
    assert sorted(lines) == sorted([letter * 99 for letter in (b"a", b"b", b"c", b"d")] * 100)


def test_the_first_write_copies_once(tmp_path: Path) -> None:
    tree = overlay_tree(tmp_path, [member("image", bytes(200_000))])

    def write(position: int) -> None:
        handle = tree.open("/image", os.O_RDWR).handle
        assert handle is not None
        handle.write(memoryview(b"%d" % position), position)
        handle.close()

    run(*(lambda position=position: write(position) for position in range(8)))
    assert get(tree, "/image")[:8] == b"01234567"
    assert len(os.listdir(tmp_path / "state" / "data")) == 1


def test_renames_and_walks_together(tree: FileTree) -> None:
    tree.makedirs("/a/b")
    put(tree, "/a/b/f", b"found")

    def move() -> None:
        for _ in range(300):
            tree.rename("/a", "/c")
            tree.rename("/c", "/a")

    def look() -> None:
        for _ in range(300):
            for path in ("/a/b/f", "/c/b/f"):
                try:
                    node = tree.resolve(path)
                except FileNotFoundError:
                    continue
                assert isinstance(node, File)
                assert read_all(node) == b"found"

    run(move, look, look)


def test_the_limit_of_a_tmpfs_holds_for_all_together() -> None:
    tree = FileTree(Tmpfs(size=64 * 4096).root)
    refused: list[int] = []

    def fill(worker: int) -> None:
        for number in range(32):
            try:
                put(tree, f"/{worker}-{number}", b"x")
            except OSError:
                refused.append(number)

    run(*(lambda worker=worker: fill(worker) for worker in range(4)))
    assert len(refused) == 64
    assert tree.root.fs.statfs().blocks_free == 0
