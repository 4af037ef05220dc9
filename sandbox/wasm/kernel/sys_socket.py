"""Socket system calls. The sockets themselves are `sandbox.wasm.net`'s; here are the program's structures."""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from sandbox.wasm.kernel.abi import TIMESPEC, TIMESPEC32
from sandbox.wasm.kernel.syscalls import Interrupted, syscall
from sandbox.wasm.net import messages, sockaddr
from sandbox.wasm.net.base import Address, Credentials, Socket
from sandbox.wasm.net.file import MSG_DONTWAIT, SocketFile
from sandbox.wasm.net.rights import drop
from sandbox.wasm.net.stack import Stack
from sandbox.wasm.net.unix import Place, UnixSocket, pair
from sandbox.wasm.vfs.node import Special, fail
from sandbox.wasm.vfs.permissions import check_access

if TYPE_CHECKING:
    import struct

    from sandbox.wasm.kernel.task import Task

SOCK_NONBLOCK, SOCK_CLOEXEC = os.O_NONBLOCK, os.O_CLOEXEC
MSG_WAITFORONE, MSG_CMSG_CLOEXEC = 0x10000, 0x40000000
_KIND = 0xF
_MAX_OPTION = 1024
_MAX_MESSAGES = 1024


def _stack(task: Task) -> Stack:
    stack = task.kernel.stack
    if not isinstance(stack, Stack):
        fail(errno.EAFNOSUPPORT)
    return stack


def _file(task: Task, fd: int) -> SocketFile:
    found = task.files.get(fd)
    if not isinstance(found, SocketFile):
        fail(errno.ENOTSOCK)
    return found


def _credentials(task: Task) -> Credentials:
    return Credentials(task.pid, task.credentials.euid, task.credentials.egid)


def _install(task: Task, sock: Socket, flags: int) -> int:
    if isinstance(sock, UnixSocket):
        sock.credentials = _credentials(task)
    file = SocketFile(sock, _stack(task), flags & SOCK_NONBLOCK)
    return task.files.install(file, cloexec=bool(flags & SOCK_CLOEXEC))


def _read_address(task: Task, address: int, size: int) -> bytes:
    if not 0 <= size <= sockaddr.MAX_SIZE:
        fail(errno.EINVAL)
    return task.memory.read(address, size)


def _give_address(task: Task, found: Address | None, family: int, address: int, size_address: int) -> None:
    """Write a sockaddr, cut to the program's room, and its whole size; nothing where the program wants none."""
    if not address:
        return
    packed = sockaddr.pack(found, family)
    room = task.memory.i32(size_address)
    if room < 0:
        fail(errno.EINVAL)
    task.memory.write(address, packed[:room])
    task.memory.write(size_address, len(packed).to_bytes(4, "little"))


def _with_target(task: Task, sock: Socket, raw: bytes, use: Callable[[object], int | None]) -> int:
    """Call `use` with the address in `raw`: a Unix path becomes the node it leads to."""
    if sock.family != sockaddr.AF_UNIX:
        return use(sockaddr.unpack(raw, sock.family)) or 0
    if sockaddr.family_of(raw) == sockaddr.AF_UNSPEC:
        return use(None) or 0
    name = sockaddr.unpack(raw, sock.family)
    assert isinstance(name, bytes)
    if not name or name[0] == 0:
        return use(Place(name)) or 0
    node = task.kernel.tree.resolve(os.fsdecode(name), task.cwd, root=task.root, cred=task.credentials.access)
    if not isinstance(node, Special) or not stat.S_ISSOCK(node.mode):
        fail(errno.ECONNREFUSED)
    check_access(node, os.W_OK, task.credentials.access)
    descriptor = getattr(node, "descriptor", None)
    if descriptor is None:
        return use(Place(name, node.key)) or 0
    host = descriptor()
    try:
        return use(Place(name, node.key, host)) or 0
    finally:
        os.close(host)


@syscall("socket")
def sys_socket(task: Task, family: int, kind: int, protocol: int, *_: int) -> int:
    return _install(task, _stack(task).socket(family, kind & _KIND, protocol), kind)


@syscall("socketpair")
def sys_socketpair(task: Task, family: int, kind: int, protocol: int, address: int, *_: int) -> int:
    if family != sockaddr.AF_UNIX:
        fail(errno.EOPNOTSUPP)
    task.memory.view(address, 8)
    one, two = pair(_stack(task), kind & _KIND)
    one.peer_credentials = two.peer_credentials = _credentials(task)  # type: ignore[attr-defined]
    first = _install(task, one, kind)
    try:
        second = _install(task, two, kind)
    except OSError:
        task.files.close(first)
        raise
    task.memory.write(address, first.to_bytes(4, "little") + second.to_bytes(4, "little"))
    return 0


@syscall("bind")
def sys_bind(task: Task, fd: int, address: int, size: int, *_: int) -> int:
    sock = _file(task, fd).socket
    raw = _read_address(task, address, size)
    found = sockaddr.unpack(raw, sock.family)
    if isinstance(sock, UnixSocket):
        if not isinstance(found, bytes):
            fail(errno.EINVAL)
        _bind_unix(task, sock, found)
    else:
        sock.bind(found if found is not None else ("0.0.0.0", int.from_bytes(raw[2:4], "big")))
    return 0


def _bind_unix(task: Task, sock: UnixSocket, name: bytes) -> None:
    if not name or name[0] == 0:
        sock.bind(Place(name))
        return
    if sock.name:
        fail(errno.EINVAL)
    tree, path = task.kernel.tree, os.fsdecode(name)
    mode = stat.S_IFSOCK | 0o777 & ~task.umask
    try:
        node = tree.mknod(path, mode, cwd=task.cwd, root=task.root, cred=task.credentials.access)
    except FileExistsError:
        fail(errno.EADDRINUSE)
    sock.bind(Place(name, node.key))


@syscall("connect")
def sys_connect(task: Task, fd: int, address: int, size: int, *_: int) -> int:
    file = _file(task, fd)
    if isinstance(file.socket, UnixSocket):
        file.socket.credentials = _credentials(task)
    raw = _read_address(task, address, size)
    return _with_target(task, file.socket, raw, lambda target: file.connect(task, target))


@syscall("listen")
def sys_listen(task: Task, fd: int, backlog: int, *_: int) -> int:
    sock = _file(task, fd).socket
    if isinstance(sock, UnixSocket):
        sock.credentials = _credentials(task)
    sock.listen(backlog)
    return 0


@syscall("accept")
def sys_accept(task: Task, fd: int, address: int, size_address: int, *_: int) -> int:
    return sys_accept4(task, fd, address, size_address, 0)


@syscall("accept4")
def sys_accept4(task: Task, fd: int, address: int, size_address: int, flags: int, *_: int) -> int:
    file = _file(task, fd)
    if flags & ~(SOCK_NONBLOCK | SOCK_CLOEXEC):
        fail(errno.EINVAL)
    sock, peer = file.accept(task)
    made = _install(task, sock, flags)
    try:
        _give_address(task, peer, sock.family, address, size_address)
    except OSError:
        task.files.close(made)
        raise
    return made


@syscall("getsockname")
def sys_getsockname(task: Task, fd: int, address: int, size_address: int, *_: int) -> int:
    sock = _file(task, fd).socket
    _give_address(task, sock.local(), sock.family, address, size_address)
    return 0


@syscall("getpeername")
def sys_getpeername(task: Task, fd: int, address: int, size_address: int, *_: int) -> int:
    sock = _file(task, fd).socket
    _give_address(task, sock.peer(), sock.family, address, size_address)
    return 0


@syscall("shutdown")
def sys_shutdown(task: Task, fd: int, how: int, *_: int) -> int:
    sock = _file(task, fd).socket
    if how not in (0, 1, 2):
        fail(errno.EINVAL)
    sock.shutdown(how)
    return 0


@syscall("getsockopt")
def sys_getsockopt(task: Task, fd: int, level: int, name: int, address: int, size_address: int, *_: int) -> int:
    sock = _file(task, fd).socket
    room = task.memory.i32(size_address)
    if room < 0:
        fail(errno.EINVAL)
    value = sock.options.get(level, name)[:room]
    task.memory.write(address, value)
    task.memory.write(size_address, len(value).to_bytes(4, "little"))
    return 0


@syscall("setsockopt")
def sys_setsockopt(task: Task, fd: int, level: int, name: int, address: int, size: int, *_: int) -> int:
    sock = _file(task, fd).socket
    if not 0 <= size <= _MAX_OPTION:
        fail(errno.EINVAL)
    sock.options.set(level, name, task.memory.read(address, size))
    return 0


@syscall("send")
def sys_send(task: Task, fd: int, address: int, size: int, flags: int, *_: int) -> int:
    return sys_sendto(task, fd, address, size, flags, 0, 0)


@syscall("sendto")
def sys_sendto(task: Task, fd: int, address: int, size: int, flags: int, target: int, target_size: int) -> int:
    file = _file(task, fd)
    views = [task.memory.view(address, size)]
    if not target:
        return file.send(task, views, flags)
    raw = _read_address(task, target, target_size)
    return _with_target(task, file.socket, raw, lambda to: file.send(task, views, flags, to))


@syscall("recv")
def sys_recv(task: Task, fd: int, address: int, size: int, flags: int, *_: int) -> int:
    return sys_recvfrom(task, fd, address, size, flags, 0, 0)


@syscall("recvfrom")
def sys_recvfrom(task: Task, fd: int, address: int, size: int, flags: int, source: int, source_size: int) -> int:
    file = _file(task, fd)
    found = file.receive(task, [task.memory.view(address, size)], flags)
    drop(found.rights)
    _give_address(task, found.address, file.socket.family, source, source_size)
    return found.size


@syscall("sendmsg")
def sys_sendmsg(task: Task, fd: int, address: int, flags: int, *_: int) -> int:
    return _send_message(task, _file(task, fd), address, flags)


def _send_message(task: Task, file: SocketFile, address: int, flags: int) -> int:
    header = messages.read_header(task.memory, address)
    views = messages.views(task.memory, header)
    rights = messages.rights_to_send(task, file.socket, header)
    try:
        if not header.name:
            return file.send(task, views, flags, None, rights)
        raw = _read_address(task, header.name, header.name_size)
        return _with_target(task, file.socket, raw, lambda to: file.send(task, views, flags, to, rights))
    except (OSError, Interrupted):
        drop(rights)
        raise


@syscall("recvmsg")
def sys_recvmsg(task: Task, fd: int, address: int, flags: int, *_: int) -> int:
    return _receive_message(task, _file(task, fd), address, flags)


def _receive_message(task: Task, file: SocketFile, address: int, flags: int) -> int:
    header = messages.read_header(task.memory, address)
    found = file.receive(task, messages.views(task.memory, header), flags & ~MSG_CMSG_CLOEXEC)
    name = sockaddr.pack(found.address, file.socket.family) if header.name else b""
    task.memory.write(header.name, name[: header.name_size])
    used, cut = messages.give_rights(task, header, found.rights, cloexec=bool(flags & MSG_CMSG_CLOEXEC))
    messages.write_results(task.memory, address, len(name), used, found.flags | cut)
    return found.size


@syscall("sendmmsg")
def sys_sendmmsg(task: Task, fd: int, vector: int, count: int, flags: int, *_: int) -> int:
    file = _file(task, fd)

    def one(number: int, address: int) -> int:
        return _send_message(task, file, address, flags)

    return _each_message(task, vector, count, one)


def _each_message(task: Task, vector: int, count: int, act: Callable[[int, int], int | None]) -> int:
    """`act` on each struct mmsghdr until it answers None; the number done, an error only if it was the first."""
    done = 0
    while done < min(count & 0xFFFFFFFF, _MAX_MESSAGES):
        address = vector + done * messages.MMSGHDR_SIZE
        try:
            size = act(done, address)
        except (OSError, Interrupted):
            if done:
                break
            raise
        if size is None:
            break
        task.memory.write(address + messages.MSGHDR_SIZE, size.to_bytes(4, "little"))
        done += 1
    return done


def _receive_messages(task: Task, fd: int, vector: int, count: int, flags: int, timeout: float | None) -> int:
    file = _file(task, fd)
    end = None if timeout is None else time.monotonic() + timeout

    def one(number: int, address: int) -> int | None:
        if number and end is not None and time.monotonic() >= end:
            return None
        hurry = MSG_DONTWAIT if number and flags & MSG_WAITFORONE else 0
        return _receive_message(task, file, address, flags & ~MSG_WAITFORONE | hurry)

    return _each_message(task, vector, count, one)


def _seconds(task: Task, layout: struct.Struct, address: int) -> float | None:
    if not address:
        return None
    seconds, nanoseconds = task.memory.unpack(layout, address)
    return int(seconds) + int(nanoseconds) / 1e9


@syscall("recvmmsg_time64")
def sys_recvmmsg_time64(task: Task, fd: int, vector: int, count: int, flags: int, timeout: int, *_: int) -> int:
    return _receive_messages(task, fd, vector, count, flags, _seconds(task, TIMESPEC, timeout))


@syscall("recvmmsg")
def sys_recvmmsg(task: Task, fd: int, vector: int, count: int, flags: int, timeout: int, *_: int) -> int:
    return _receive_messages(task, fd, vector, count, flags, _seconds(task, TIMESPEC32, timeout))
