"""The overlay against a real directory: the same calls, the same errno, the same files; with restarts in between."""

from __future__ import annotations

import ctypes
import io
import os
import shutil
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from sandbox.images.layer import LayerIndex
from sandbox.images.tree import merge
from sandbox.wasm.vfs import RENAME_EXCHANGE, RENAME_NOREPLACE, FileTree, Handle, Overlay, set_owner
from tests.sandbox.wasm.vfs.making import describe, describe_host, link, member, tar

IMAGE = [
    member("a"),
    member("a/b"),
    member("a/b/f", b"deep"),
    member("a/f", b"shallow"),
    member("f", b"top" * 1000),
    link("l", "a/b"),
    link("a/h", "a/f", tarfile.LNKTYPE),
    member("b"),
]
NAMES = ["a", "b", "f", "h", "l", "n"]
_libc = ctypes.CDLL(None, use_errno=True)

LIKELY = ["a", "a/b", "a/f", "a/h", "a/b/f", "b", "f", "l", "l/f", "n", "b/n", "a/n", "b/a", "n/b", "n/f"]

unlikely = st.builds(
    lambda names, end: "/".join(names) + end,
    st.lists(st.sampled_from(NAMES), min_size=1, max_size=3),
    st.sampled_from(["", "", "", "", "/", "/.", "/.."]),
)
paths = st.sampled_from(LIKELY) | st.sampled_from(LIKELY) | unlikely
targets = st.lists(st.sampled_from(NAMES), min_size=1, max_size=2).map("/".join)
content = st.binary(max_size=6)
sizes = st.integers(0, 12)


def outcome(call: Callable[[], object]) -> object:
    """What it returns, or its errno."""
    try:
        return call()
    except OSError as error:
        return f"errno {error.errno} {os.strerror(error.errno or 0)}"


class LikeLinux(RuleBasedStateMachine):
    """`self.tree` is ours, `self.real` the directory that the kernel keeps."""

    def __init__(self) -> None:
        super().__init__()
        self.home = Path(tempfile.mkdtemp())
        self.real = self.home / "up" / "real"
        self.real.mkdir(parents=True)
        packed = tar(IMAGE)
        (self.home / "layer").write_bytes(packed)
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            archive.extraction_filter = getattr(tarfile, "fully_trusted_filter", None)  # Debian 12 has Python 3.11.2
            archive.extractall(self.real)
        self.lower = merge([LayerIndex.of_tar(self.home / "layer")])
        self.open: tuple[Handle, int] | None = None
        self._start()

    def _start(self) -> None:
        self.overlay = Overlay.open(self.home / "state", self.lower)
        self.tree = FileTree(self.overlay.root)

    def teardown(self) -> None:
        self._close()
        self.overlay.close()
        shutil.rmtree(self.home)

    def _close(self) -> None:
        if self.open is not None:
            self.open[0].close()
            os.close(self.open[1])
            self.open = None

    def same(self, ours: Callable[[], object], theirs: Callable[[], object]) -> None:
        assert outcome(ours) == outcome(theirs)

    def at(self, path: str) -> str:
        return f"{self.real}/{path}"

    @rule(path=paths)
    def mkdir(self, path: str) -> None:
        self.same(lambda: self.tree.mkdir(path, 0o755) and None, lambda: os.mkdir(self.at(path), 0o755))

    @rule(path=paths)
    def rmdir(self, path: str) -> None:
        self.same(lambda: self.tree.rmdir(path), lambda: os.rmdir(self.at(path)))

    @rule(path=paths)
    def unlink(self, path: str) -> None:
        self.same(lambda: self.tree.unlink(path), lambda: os.unlink(self.at(path)))

    @rule(to=targets, path=paths)
    def symlink(self, to: str, path: str) -> None:
        self.same(lambda: self.tree.symlink(to, path), lambda: os.symlink(to, self.at(path)))

    @rule(old=paths, new=paths)
    def link(self, old: str, new: str) -> None:
        self.same(lambda: self.tree.link(old, new), lambda: os.link(self.at(old), self.at(new), follow_symlinks=False))

    @rule(old=paths, new=paths, flags=st.sampled_from([0, 0, 0, RENAME_NOREPLACE, RENAME_EXCHANGE]))
    def rename(self, old: str, new: str, flags: int) -> None:
        self.same(lambda: self.tree.rename(old, new, flags), lambda: self._rename(old, new, flags))

    def _rename(self, old: str, new: str, flags: int) -> None:
        if _libc.renameat2(-100, os.fsencode(self.at(old)), -100, os.fsencode(self.at(new)), flags):
            raise OSError(ctypes.get_errno(), "renameat2")

    @rule(path=paths, mode=st.sampled_from([0o644, 0o4711, 0o600, 0o1755]))
    def chmod(self, path: str, mode: int) -> None:
        self.same(lambda: self.tree.resolve(path).chmod(mode), lambda: os.chmod(self.at(path), mode))

    @rule(path=paths, uid=st.integers(0, 3), gid=st.integers(0, 3))
    def chown(self, path: str, uid: int, gid: int) -> None:
        self.same(
            lambda: set_owner(self.tree.resolve(path, follow=False), uid, gid),
            lambda: os.chown(self.at(path), uid, gid, follow_symlinks=False),
        )

    @rule(path=paths)
    def readlink(self, path: str) -> None:
        self.same(lambda: self.tree.readlink(path), lambda: os.readlink(self.at(path)))

    @rule(
        path=paths,
        access=st.sampled_from([os.O_RDONLY, os.O_WRONLY, os.O_RDWR]),
        flags=st.lists(
            st.sampled_from([os.O_CREAT, os.O_EXCL, os.O_TRUNC, os.O_DIRECTORY, os.O_NOFOLLOW]), unique=True
        ).map(sum),
        data=content,
        offset=sizes,
    )
    def write(self, path: str, access: int, flags: int, data: bytes, offset: int) -> None:
        self.same(
            lambda: self._write(path, access | flags, data, offset),
            lambda: self._write_real(path, access | flags, data, offset),
        )

    def _write(self, path: str, flags: int, data: bytes, offset: int) -> None:
        handle = self.tree.open(path, flags, 0o644).handle
        if handle is not None:
            if flags & os.O_ACCMODE:
                handle.write(memoryview(data), offset)
            handle.close()

    def _write_real(self, path: str, flags: int, data: bytes, offset: int) -> None:
        fd = os.open(self.at(path), flags, 0o644)
        if flags & os.O_ACCMODE:
            os.pwrite(fd, data, offset)
        os.close(fd)

    @rule(path=paths, size=sizes)
    def truncate(self, path: str, size: int) -> None:
        self.same(lambda: self._truncate(path, size), lambda: os.truncate(self.at(path), size))

    def _truncate(self, path: str, size: int) -> None:
        handle = self.tree.open(path, os.O_WRONLY).handle
        assert handle is not None
        handle.truncate(size)
        handle.close()

    @rule(path=paths)
    def open_and_keep(self, path: str) -> None:
        self._close()
        ours = outcome(lambda: self.tree.open(path, os.O_RDWR).handle)
        theirs = outcome(lambda: os.open(self.at(path), os.O_RDWR))
        if isinstance(ours, Handle) and isinstance(theirs, int):
            self.open = (ours, theirs)
        else:
            assert ours == theirs

    @rule(data=content)
    def append_to_kept(self, data: bytes) -> None:
        if self.open is not None:
            end = self.open[0].append(memoryview(data))
            assert end == os.lseek(self.open[1], 0, os.SEEK_END) + os.write(self.open[1], data)

    @rule(size=sizes)
    def truncate_kept(self, size: int) -> None:
        if self.open is not None:
            self.open[0].truncate(size)
            os.ftruncate(self.open[1], size)

    @rule()
    def restart(self) -> None:
        self._close()
        before = describe(self.overlay.root)
        self.overlay.close()
        self._start()
        assert describe(self.overlay.root) == before

    @rule()
    def compact(self) -> None:
        if (self.home / "state").exists():
            self.overlay.compact()

    @invariant()
    def the_same_files(self) -> None:
        assert describe(self.overlay.root, times=False) == describe_host(self.real)

    @invariant()
    def the_same_open_file(self) -> None:
        if self.open is not None:
            ours, theirs = self.open
            buffer = bytearray(1 << 13)
            count = ours.readinto(memoryview(buffer), 0)
            assert bytes(buffer[:count]) == os.pread(theirs, 1 << 13, 0)
            assert (ours.node.nlink, ours.node.size) == (os.fstat(theirs).st_nlink, count)


LikeLinux.TestCase.settings = settings(
    max_examples=25,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestLikeLinux = LikeLinux.TestCase
