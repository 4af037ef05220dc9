"""Moving bytes: read, write and their kin."""

from __future__ import annotations

import errno
import os
import struct

from sandbox.wasm.kernel.abi import I64, offset64
from sandbox.wasm.kernel.files import OpenFile
from sandbox.wasm.kernel.regular import DirectoryFile, RegularFile
from sandbox.wasm.kernel.syscalls import syscall
from sandbox.wasm.kernel.task import Task
from sandbox.wasm.vfs.node import fail

_JOIN = 65536
_CHUNK = 1 << 20
_IOV_MAX = 1024


@syscall("read")
def read(task: Task, fd: int, address: int, size: int, *_: int) -> int:
    return task.files.get(fd).read_into(task, task.memory.view(address, size))


@syscall("write")
def write(task: Task, fd: int, address: int, size: int, *_: int) -> int:
    return task.files.get(fd).write_from(task, task.memory.view(address, size))


def vectors(task: Task, address: int, count: int) -> list[memoryview]:
    """The non-empty windows that an iovec array names."""
    if not 0 <= count <= _IOV_MAX:
        fail(errno.EINVAL)
    words = struct.unpack(f"<{2 * count}I", task.memory.read(address, 8 * count))
    return [task.memory.view(words[i], words[i + 1]) for i in range(0, 2 * count, 2) if words[i + 1]]


@syscall("readv")
def readv(task: Task, fd: int, address: int, count: int, *_: int) -> int:
    file = task.files.get(fd)
    views = vectors(task, address, count)
    return file.read_vector(task, views) if views else 0


@syscall("writev")
def writev(task: Task, fd: int, address: int, count: int, *_: int) -> int:
    file = task.files.get(fd)
    return write_vector(task, file, vectors(task, address, count))


def write_vector(task: Task, file: OpenFile, views: list[memoryview]) -> int:
    if len(views) == 1:
        return file.write_from(task, views[0])
    if sum(len(view) for view in views) <= _JOIN:
        return file.write_from(task, memoryview(b"".join(views)))
    done = 0
    for view in views:
        try:
            count = file.write_from(task, view)
        except OSError:
            if done:
                return done
            raise
        done += count
        if count < len(view):
            break
    return done


@syscall("pread64")
def pread(task: Task, fd: int, address: int, size: int, _pad: int, low: int, high: int) -> int:
    return task.files.get(fd).pread(task, task.memory.view(address, size), offset64(low, high))


@syscall("pwrite64")
def pwrite(task: Task, fd: int, address: int, size: int, _pad: int, low: int, high: int) -> int:
    return task.files.get(fd).pwrite(task, task.memory.view(address, size), offset64(low, high))


@syscall("preadv")
def preadv(task: Task, fd: int, address: int, count: int, low: int, high: int, *_: int) -> int:
    file, offset, done = task.files.get(fd), offset64(low, high), 0
    for view in vectors(task, address, count):
        got = file.pread(task, view, offset + done)
        done += got
        if got < len(view):
            break
    return done


@syscall("pwritev")
def pwritev(task: Task, fd: int, address: int, count: int, low: int, high: int, *_: int) -> int:
    file, offset, done = task.files.get(fd), offset64(low, high), 0
    for view in vectors(task, address, count):
        put = file.pwrite(task, view, offset + done)
        done += put
        if put < len(view):
            break
    return done


@syscall("lseek")
def lseek(task: Task, fd: int, offset: int, whence: int, *_: int) -> int:
    return task.files.get(fd).seek(offset, whence)


@syscall("_llseek")
def llseek(task: Task, fd: int, high: int, low: int, result: int, whence: int, *_: int) -> int:
    task.memory.pack(I64, result, task.files.get(fd).seek(offset64(low, high), whence))
    return 0


@syscall("ftruncate64")
def ftruncate(task: Task, fd: int, _pad: int, low: int, high: int, *_: int) -> int:
    task.files.get(fd).truncate(offset64(low, high))
    return 0


@syscall("fallocate")
def fallocate(task: Task, fd: int, mode: int, low: int, high: int, length_low: int, length_high: int) -> int:
    file = task.files.get(fd)
    if not isinstance(file, RegularFile):
        fail(errno.ENODEV)
    if not file.writable:
        fail(errno.EBADF)
    file.handle.fallocate(mode, offset64(low, high), offset64(length_low, length_high))
    return 0


@syscall("fsync", "fdatasync")
def fsync(task: Task, fd: int, *_: int) -> int:
    file = task.files.get(fd)
    if isinstance(file, RegularFile):
        file.handle.sync()
    elif not isinstance(file, DirectoryFile):
        fail(errno.EINVAL)
    return 0


@syscall("sync", "syncfs", "fadvise64_64", "readahead", "sync_file_range2")
def nothing_to_do(_task: Task, *_: int) -> int:
    """Advice, and writing back what is memory anyway."""
    return 0


def copy(task: Task, source: OpenFile, start: int | None, sink: OpenFile, at: int | None, size: int) -> int:
    """Move up to `size` bytes; `start` and `at` are positions, None: the files' own."""
    buffer = memoryview(bytearray(min(size, _CHUNK)))
    done = 0
    while done < size:
        piece = buffer[: min(size - done, _CHUNK)]
        got = source.read_into(task, piece) if start is None else source.pread(task, piece, start + done)
        if not got:
            break
        put = _put_all(task, sink, at if at is None else at + done, piece[:got])
        done += put
        if put < got:
            break
    return done


def _put_all(task: Task, sink: OpenFile, at: int | None, piece: memoryview) -> int:
    done = 0
    while done < len(piece):
        rest = piece[done:]
        done += sink.write_from(task, rest) if at is None else sink.pwrite(task, rest, at + done)
    return done


@syscall("sendfile64", "sendfile")
def sendfile(task: Task, out: int, into: int, offset: int, size: int, *_: int) -> int:
    sink, source = task.files.get(out), task.files.get(into)
    if not isinstance(source, RegularFile):
        fail(errno.EINVAL)
    if not offset:
        return copy(task, source, None, sink, None, size & 0xFFFFFFFF)
    start = task.memory.unpack(I64, offset)[0]
    done = copy(task, source, start, sink, None, size & 0xFFFFFFFF)
    task.memory.pack(I64, offset, start + done)
    return done


@syscall("copy_file_range")
def copy_file_range(task: Task, into: int, off_in: int, out: int, off_out: int, size: int, flags: int) -> int:
    source, sink = task.files.get(into), task.files.get(out)
    if flags or not isinstance(source, RegularFile) or not isinstance(sink, RegularFile):
        fail(errno.EINVAL)
    if sink.flags & os.O_APPEND:
        fail(errno.EBADF)
    start = task.memory.unpack(I64, off_in)[0] if off_in else None
    at = task.memory.unpack(I64, off_out)[0] if off_out else None
    done = copy(task, source, start, sink, at, size & 0xFFFFFFFF)
    for place, value in ((off_in, start), (off_out, at)):
        if place and value is not None:
            task.memory.pack(I64, place, value + done)
    return done
