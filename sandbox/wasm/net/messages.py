"""struct msghdr and cmsghdr of a program: 32-bit, little endian."""

from __future__ import annotations

import errno
import socket
import struct
from typing import TYPE_CHECKING, NamedTuple

from sandbox.wasm.net.base import Socket, fail
from sandbox.wasm.net.rights import drop
from sandbox.wasm.net.unix import UnixSocket

if TYPE_CHECKING:
    from sandbox.wasm.kernel.files import OpenFile
    from sandbox.wasm.kernel.memory import Memory
    from sandbox.wasm.kernel.task import Task

_MSGHDR = struct.Struct("<IiIIIIi")
_CMSGHDR = struct.Struct("<Iii")
_RESULTS = struct.Struct("<Ii")
MSGHDR_SIZE = _MSGHDR.size
MMSGHDR_SIZE = MSGHDR_SIZE + 4
_NAME_SIZE_AT, _CONTROL_SIZE_AT = 4, 20
_MAX_VECTORS = 1024
_MAX_RIGHTS = 253
_MAX_CONTROL = 20480


class Header(NamedTuple):
    """struct msghdr: addresses and sizes."""

    name: int
    name_size: int
    vectors: int
    vector_count: int
    control: int
    control_size: int
    flags: int


def read_header(memory: Memory, address: int) -> Header:
    return Header(*memory.unpack(_MSGHDR, address))


def views(memory: Memory, header: Header) -> list[memoryview]:
    """The message's buffers, in the program's memory; EMSGSIZE for too many."""
    if header.vector_count > _MAX_VECTORS:
        fail(errno.EMSGSIZE)
    raw = memory.read(header.vectors, header.vector_count * 8) if header.vector_count else b""
    return [memory.view(base, size) for base, size in struct.iter_unpack("<II", raw)]


def rights_to_send(task: Task, sock: Socket, header: Header) -> list[OpenFile]:
    """The open files of all SCM_RIGHTS, each with a reference for its journey; EINVAL for other control messages."""
    if not header.control_size:
        return []
    if header.control_size > _MAX_CONTROL:
        fail(errno.ENOBUFS)
    if not isinstance(sock, UnixSocket):
        fail(errno.EINVAL)
    found = [task.files.get(fd) for fd in _descriptors(task.memory.read(header.control, header.control_size))]
    return [file.hold() for file in found]


def _descriptors(control: bytes) -> list[int]:
    found: list[int] = []
    at = 0
    while at + _CMSGHDR.size <= len(control):
        size, level, kind = _CMSGHDR.unpack_from(control, at)
        if size < _CMSGHDR.size or at + size > len(control) or (level, kind) != (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            fail(errno.EINVAL)
        count = (size - _CMSGHDR.size) // 4
        found += struct.unpack_from(f"<{count}i", control, at + _CMSGHDR.size)
        at += size + -size % 4
    if len(found) > _MAX_RIGHTS:
        fail(errno.EINVAL)
    return found


def give_rights(task: Task, header: Header, rights: tuple[object, ...], *, cloexec: bool) -> tuple[int, int]:
    """Install what fits into the control buffer; (bytes of it used, MSG_CTRUNC if some did not fit)."""
    if not rights:
        return 0, 0
    room = max(0, header.control_size - _CMSGHDR.size) // 4
    fds: list[int] = []
    try:
        for right in rights[:room]:
            fds.append(task.files.install(right, cloexec=cloexec))  # type: ignore[arg-type]
    except OSError:
        pass  # no descriptor is free: the rest is lost, which MSG_CTRUNC tells
    finally:
        drop(rights)
    cut = socket.MSG_CTRUNC if len(fds) < len(rights) else 0
    if not fds:
        return 0, cut
    size = _CMSGHDR.size + 4 * len(fds)
    task.memory.write(
        header.control, _CMSGHDR.pack(size, socket.SOL_SOCKET, socket.SCM_RIGHTS) + struct.pack(f"<{len(fds)}i", *fds)
    )
    return size, cut


def write_results(memory: Memory, address: int, name_size: int, control_size: int, flags: int) -> None:
    """What recvmsg changes in the header."""
    memory.write(address + _NAME_SIZE_AT, name_size.to_bytes(4, "little"))
    memory.write(address + _CONTROL_SIZE_AT, _RESULTS.pack(control_size, flags))
