"""Socket system calls as a program makes them, blocking ones in threads of their own."""

from __future__ import annotations

import errno
import os
import socket
import stat
import struct
import threading
import time
from collections.abc import Callable

import pytest

from sandbox.wasm.kernel.credentials import Credentials
from sandbox.wasm.kernel.syscalls import RESTART
from sandbox.wasm.net import Stack
from sandbox.wasm.net.isolated import IsolatedStack
from tests.waiting import eventually

from .guest import Guest, guests

NONBLOCK, CLOEXEC, DONTWAIT, WAITALL, NOSIGNAL = os.O_NONBLOCK, os.O_CLOEXEC, 0x40, 0x100, 0x4000


def serve(guest: Guest, port: int = 80) -> int:
    fd = guest.socket()
    assert guest.call("bind", fd, *guest.inet("0.0.0.0", port)) == 0
    assert guest.call("listen", fd, 5) == 0
    return fd


def start(act: Callable[[], object]) -> tuple[threading.Thread, list[object]]:
    found: list[object] = []
    thread = threading.Thread(target=lambda: found.append(act()))
    thread.start()
    return thread, found


def sleeping(guest: Guest) -> None:
    """Until the process waits in the kernel."""
    eventually(lambda: guest.task.state == "S", 10)


def test_accept_waits_and_tells_who_came(web: IsolatedStack, client: IsolatedStack) -> None:
    with guests(web, client) as (server, one):
        listening = serve(server)
        address, size = server.room(16), server.put(struct.pack("<i", 16))
        thread, found = start(lambda: server.call("accept4", listening, address, size, CLOEXEC))
        sleeping(server)
        fd = one.socket()
        assert one.call("connect", fd, *one.inet("10.5.0.2", 80)) == 0
        thread.join()
        (accepted,) = found
        assert isinstance(accepted, int)
        assert server.task.files.cloexec(accepted)
        assert server.inet_at(address) == one.name("getsockname", fd) == server.name("getpeername", accepted)
        assert one.name("getpeername", fd) == server.name("getsockname", accepted) == ("10.5.0.2", 80)
        assert one.send(fd, b"hello") == 5
        assert server.recv(accepted) == b"hello"


def test_read_waits_and_a_signal_ends_the_wait(web: IsolatedStack) -> None:
    with guests(web) as (guest,):
        fds = guest.room(8)
        assert guest.call("socketpair", socket.AF_UNIX, socket.SOCK_STREAM, 0, fds) == 0
        one, two = struct.unpack("<ii", guest.get(fds, 8))
        thread, found = start(lambda: guest.recv(one))
        sleeping(guest)
        guest.signal()
        thread.join()
        assert found == [RESTART]
        guest.task.signals.pending = 0
        assert guest.send(two, b"x") == 1
        assert guest.recv(one) == b"x"


def test_blocking_write_takes_everything(web: IsolatedStack, client: IsolatedStack) -> None:
    with guests(web, client) as (server, one):
        listening, fd = serve(server), one.socket()
        assert one.call("connect", fd, *one.inet("10.5.0.2", 80)) == 0
        accepted = server.call("accept", listening, 0, 0)
        data = os.urandom(900_000)
        thread, found = start(lambda: one.send(fd, data))
        assert server.recv(accepted, len(data), WAITALL) == data
        thread.join()
        assert found == [len(data)]


def test_nothing_to_do_is_said_at_once(web: IsolatedStack) -> None:
    with guests(web) as (guest,):
        listening = serve(guest)
        quick = guest.call("socket", socket.AF_INET, socket.SOCK_DGRAM | NONBLOCK | CLOEXEC, 0)
        slow = guest.socket(socket.SOCK_DGRAM)
        assert guest.task.files.cloexec(quick)
        assert guest.recv(quick) == -errno.EAGAIN
        assert guest.recv(slow, 10, DONTWAIT) == -errno.EAGAIN
        guest.task.files.get(listening).set_flags(NONBLOCK)
        assert guest.call("accept", listening, 0, 0) == -errno.EAGAIN


def test_receive_timeout(web: IsolatedStack) -> None:
    with guests(web) as (guest,):
        fd = guest.socket(socket.SOCK_DGRAM)
        value = guest.put(struct.pack("<qq", 0, 20_000))
        assert guest.call("setsockopt", fd, 1, 66, value, 16) == 0
        before = time.monotonic()
        assert guest.recv(fd) == -errno.EAGAIN
        assert time.monotonic() - before >= 0.02
        size = guest.put(struct.pack("<i", 16))
        assert guest.call("getsockopt", fd, 1, 66, value, size) == 0
        assert struct.unpack("<qq", guest.get(value, 16)) == (0, 20_000)


def test_broken_connection_signals_unless_told_not_to(web: IsolatedStack) -> None:
    with guests(web) as (guest,):
        fds = guest.room(8)
        assert guest.call("socketpair", socket.AF_UNIX, socket.SOCK_STREAM, 0, fds) == 0
        one, two = struct.unpack("<ii", guest.get(fds, 8))
        guest.task.files.close(two)
        with guest.kernel.lock:
            guest.task.signals.mask = 1 << 12
        assert guest.send(one, b"x", NOSIGNAL) == -errno.EPIPE
        assert guest.pending() == set()
        assert guest.send(one, b"x") == -errno.EPIPE
        assert guest.pending() == {13}


def test_arguments_are_checked(web: IsolatedStack) -> None:
    with guests(web) as (guest,):
        fd = guest.socket()
        assert guest.call("socket", 10, 1, 0) == -errno.EAFNOSUPPORT
        assert guest.call("socket", 2, 1, 17) == -errno.EPROTONOSUPPORT
        assert guest.call("socket", 2, 9, 0) == -errno.ESOCKTNOSUPPORT
        assert guest.call("bind", 99, *guest.inet("0.0.0.0", 1)) == -errno.EBADF
        assert guest.call("bind", fd, guest.inet("0.0.0.0", 1)[0], 8) == -errno.EINVAL
        assert guest.call("bind", fd, 1 << 24, 16) == -errno.EFAULT
        assert guest.call("connect", fd, *guest.unix(b"/x\0")) == -errno.EAFNOSUPPORT
        assert guest.call("shutdown", fd, 3) == -errno.EINVAL
        assert guest.call("accept4", fd, 0, 0, 1) == -errno.EINVAL
        assert guest.call("getpeername", fd, 0, 0) == -errno.ENOTCONN
        assert guest.call("listen", 1, 1) == -errno.EBADF
        stream, datagram, unspecified = guest.socket(family=1), guest.socket(2, family=1), guest.put(bytes(16))
        for sock in (stream, datagram):
            assert guest.call("bind", sock, unspecified, 16) == -errno.EINVAL
        assert guest.call("connect", stream, unspecified, 16) == -errno.EINVAL
        assert guest.call("connect", datagram, unspecified, 16) == 0
        assert guest.call("bind", datagram, *guest.unix(b"/datagram\0")) == 0
        assert guest.call("connect", stream, *guest.unix(b"/datagram\0")) == -errno.EPROTOTYPE


def test_attributes_are_a_socket_s(web: IsolatedStack) -> None:
    with guests(web) as (guest,):
        file = guest.task.files.get(serve(guest))
        assert stat.S_ISSOCK(file.stat().mode)
        assert file.name == f"socket:[{file.stat().ino}]"


def test_without_a_network_namespace_there_are_no_sockets(web: IsolatedStack) -> None:
    guest = Guest(web)
    guest.kernel.stack = None
    assert guest.call("socket", 2, 1, 0) == -errno.EAFNOSUPPORT
    guest.close()


def test_datagram_messages_by_the_vector(web: IsolatedStack, client: IsolatedStack) -> None:
    with guests(web, client) as (server, one):
        receiving, sending = server.socket(socket.SOCK_DGRAM), one.socket(socket.SOCK_DGRAM)
        assert server.call("bind", receiving, *server.inet("0.0.0.0", 53)) == 0
        target = one.inet("10.5.0.2", 53)
        headers = b""
        for text in (b"one", b"three"):
            header = one.message([(one.put(text[:1]), 1), (one.put(text[1:]), len(text) - 1)], name=target)
            headers += one.get(header, 28) + bytes(4)
        sent = one.put(headers)
        assert one.call("sendmmsg", sending, sent, 2, 0) == 2
        assert [one.task.memory.u32(sent + at) for at in (28, 60)] == [3, 5]
        buffers = [server.room(4) for _ in range(2)]
        names = [server.room(16) for _ in range(2)]
        answers = [server.message([(b, 4)], name=(n, 16)) for b, n in zip(buffers, names, strict=True)]
        got = server.put(b"".join(server.get(answer, 28) + bytes(4) for answer in answers))
        assert server.call("recvmmsg_time64", receiving, got, 2, 0, 0) == 2
        assert [server.get(buffers[0], 3), server.get(buffers[1], 4)] == [b"one", b"thre"]
        assert [server.task.memory.u32(got + at + 28) for at in (0, 32)] == [3, 4]
        assert [server.task.memory.u32(got + at + 24) & 0x20 for at in (0, 32)] == [0, 0x20]
        assert server.inet_at(names[0]) == ("10.5.0.3", one.name("getsockname", sending)[1])


def test_unix_socket_in_the_file_tree(web: IsolatedStack) -> None:
    with guests(web) as (server,):
        one = server.beside()
        one.task.cwd = server.kernel.tree.makedirs("/run")
        listening, fd = server.socket(family=1), one.socket(family=1)
        assert server.call("bind", listening, *server.unix(b"/run/app.sock\0")) == 0
        assert server.call("bind", server.socket(family=1), *server.unix(b"/run/app.sock\0")) == -errno.EADDRINUSE
        assert one.call("connect", fd, *one.unix(b"app.sock")) == -errno.ECONNREFUSED
        assert server.call("listen", listening, 1) == 0
        assert one.call("connect", fd, *one.unix(b"app.sock")) == 0
        accepted = server.call("accept", listening, 0, 0)
        assert one.send(fd, b"hi") == 2
        assert server.recv(accepted) == b"hi"
        address, size = server.room(110), server.put(struct.pack("<i", 110))
        assert server.call("getsockname", listening, address, size) == 0
        assert server.get(address, server.task.memory.u32(size)) == b"\1\0/run/app.sock\0"
        value, room = server.room(12), server.put(struct.pack("<i", 12))
        assert server.call("getsockopt", accepted, 1, 17, value, room) == 0
        assert struct.unpack("<iII", server.get(value, 12)) == (one.task.pid, 0, 0)
        assert one.call("connect", one.socket(family=1), *one.unix(b"missing")) == -errno.ENOENT
        assert one.call("connect", one.socket(family=1), *one.unix(b"/run")) == -errno.ECONNREFUSED
        one.close()


def test_unix_socket_without_permission(web: IsolatedStack) -> None:
    with guests(web) as (guest,):
        listening = guest.socket(family=1)
        guest.task.umask = 0o077
        assert guest.call("bind", listening, *guest.unix(b"/private.sock")) == 0
        assert guest.call("listen", listening, 1) == 0
        stranger = guest.beside()
        stranger.task.credentials = Credentials.of(1000, 1000)
        path = stranger.unix(b"/private.sock")
        assert stranger.call("connect", stranger.socket(family=1), *path) == -errno.EACCES
        stranger.close()


def test_descriptors_travel_between_processes(web: IsolatedStack) -> None:
    with guests(web) as (guest,):
        fds = guest.room(8)
        assert guest.call("socketpair", 1, socket.SOCK_STREAM, 0, fds) == 0
        one, two = struct.unpack("<ii", guest.get(fds, 8))
        assert guest.call("socketpair", 1, socket.SOCK_STREAM, 0, fds) == 0
        given, kept = struct.unpack("<ii", guest.get(fds, 8))
        control = guest.put(struct.pack("<Iiii", 16, 1, 1, given))
        assert guest.call("sendmsg", one, guest.message([(guest.put(b"x"), 1)], control=(control, 16)), 0) == 1
        file = guest.task.files.get(given)
        assert file.references == 2
        guest.task.files.close(given)
        answer = guest.message([(guest.room(1), 1)], control=(guest.room(64), 64))
        assert guest.call("recvmsg", two, answer, 0x40000000) == 1
        place, used = guest.task.memory.u32(answer + 16), guest.task.memory.u32(answer + 20)
        assert (used, struct.unpack("<Iii", guest.get(place, 12))) == (16, (16, 1, 1))
        (got,) = struct.unpack("<i", guest.get(place + 12, 4))
        assert (guest.task.files.get(got), file.references, guest.task.files.cloexec(got)) == (file, 1, True)
        assert guest.send(got, b"through") == 7
        assert guest.recv(kept) == b"through"
        bad = guest.put(struct.pack("<Iiii", 16, 1, 1, 99))
        assert guest.call("sendmsg", one, guest.message([(guest.put(b"x"), 1)], control=(bad, 16)), 0) == -errno.EBADF


def test_descriptors_without_room_are_dropped(web: IsolatedStack) -> None:
    with guests(web) as (guest,):
        fds = guest.room(8)
        assert guest.call("socketpair", 1, socket.SOCK_STREAM, 0, fds) == 0
        one, two = struct.unpack("<ii", guest.get(fds, 8))
        control = guest.put(struct.pack("<Iiii", 16, 1, 1, one))
        for _ in range(2):
            assert guest.call("sendmsg", one, guest.message([(guest.put(b"x"), 1)], control=(control, 16)), 0) == 1
        file = guest.task.files.get(one)
        answer = guest.message([(guest.room(1), 1)])
        assert guest.call("recvmsg", two, answer, 0) == 1
        assert guest.task.memory.u32(answer + 24) == socket.MSG_CTRUNC
        assert guest.recv(two) == b"x"
        assert file.references == 1


def test_interface_requests(web: IsolatedStack) -> None:
    with guests(web) as (guest,):
        file = guest.task.files.get(guest.socket(socket.SOCK_DGRAM))
        ifreq = guest.put(b"eth0".ljust(32, b"\0"))
        assert file.ioctl(guest.task, 0x8915, ifreq) == 0
        assert guest.inet_at(ifreq + 16) == ("10.5.0.2", 0)
        room = guest.room(128)
        ifconf = guest.put(struct.pack("<II", 128, room))
        assert file.ioctl(guest.task, 0x8912, ifconf) == 0
        assert guest.task.memory.u32(ifconf) == 64
        with pytest.raises(OSError) as caught:
            file.ioctl(guest.task, 0x5401, 0)
        assert caught.value.errno == errno.ENOTTY


def test_waiting_and_nonblocking_connect_outside(client: IsolatedStack) -> None:
    from sandbox.wasm.net.hostaddress import own_address

    address = own_address()
    assert address is not None
    server = socket.socket()
    server.bind((address, 0))
    server.listen(2)
    port = server.getsockname()[1]
    with guests(client) as (guest,):
        fd, quick = guest.socket(), guest.socket(socket.SOCK_STREAM | NONBLOCK)
        assert guest.call("connect", fd, *guest.inet(address, port)) == 0
        assert guest.call("connect", quick, *guest.inet(address, port)) == -errno.EINPROGRESS
        file = guest.task.files.get(quick)
        assert file.host_fd is not None
        assert guest.task.wait_fd(file.host_fd, 4) is True
        value, size = guest.room(4), guest.put(struct.pack("<i", 4))
        assert guest.call("getsockopt", quick, 1, 4, value, size) == 0
        assert guest.task.memory.i32(value) == 0
        assert guest.name("getpeername", quick) == (address, port)
    server.close()


def test_host_network(no_descriptor_is_left: None) -> None:
    with guests(Stack.host()) as (guest,):
        listening = guest.socket()
        assert guest.call("bind", listening, *guest.inet("127.0.0.1", 0)) == 0
        assert guest.call("listen", listening, 1) == 0
        fd = guest.socket()
        assert guest.call("connect", fd, *guest.inet(*guest.name("getsockname", listening))) == 0
        accepted = guest.call("accept", listening, 0, 0)
        assert guest.name("getpeername", accepted) == guest.name("getsockname", fd)
        assert guest.call("socket", 10, 1, 0) >= 0
