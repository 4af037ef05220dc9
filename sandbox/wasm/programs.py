"""What an executable file runs as.

`#!` scripts run their interpreter, WebAssembly modules of our system call interface run as they are, ELF files run as
the WebAssembly twin of the same name (our bash, rsync, or an applet of our busybox). What cannot run is refused by a
program that says so on standard error and exits 126, so that a shell's script goes on as it would after any failure.
"""

from __future__ import annotations

import errno
import os
import struct
from collections import OrderedDict
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from sandbox.wasm.engine import Engine, EngineError
from sandbox.wasm.kernel.executable import Executable
from sandbox.wasm.kernel.machine import Program, PythonProgram
from sandbox.wasm.vfs.node import Directory, File, Node, Symlink, fail, read_all
from sandbox.wasm.vfs.permissions import check_access

if TYPE_CHECKING:
    from sandbox.wasm.kernel.task import Task

X_OK = 1
_HEAD = 256
_INTERPRETERS = 4
_LINKS = 40
_LARGEST_MODULE = 32 << 20
"""Bytes: a module is compiled in the worker's memory, which takes many times its size."""
_REMEMBERED = 2048
CAPABLE = "docker, ecs, cloudrun, aca"

_MACHINES = {
    0x03: "x86", 0x28: "ARM", 0x3E: "x86-64", 0xB7: "AArch64", 0xF3: "RISC-V", 0x15: "PowerPC64", 0x16: "S390",
    0x102: "LoongArch",
}  # fmt: skip
_ALIASES = {
    "dash": "sh", "mawk": "awk", "gawk": "awk", "nawk": "awk", "original-awk": "awk", "vim.tiny": "vi",
    "vim.basic": "vi", "nc.openbsd": "nc", "nc.traditional": "nc", "procps": "ps", "busybox-static": "busybox",
}  # fmt: skip
_STANDARD = ("/bin", "/sbin", "/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin")
_SERVERS = {"httpd", "ftpd", "tftpd", "telnetd", "udhcpd", "ntpd", "inetd", "crond", "syslogd", "klogd", "init", "dnsd",
            "lpd", "fakeidentd", "runsv", "runsvdir", "tcpsvd", "udpsvd"}  # fmt: skip
"""Names that an image's own program may have as well: outside the standard directories they are not replaced."""


@dataclass(frozen=True, slots=True)
class Twin:
    """A program of ours and the name that its first argument must have (None: the caller's own will do)."""

    module: str
    applet: str | None


@dataclass(frozen=True, slots=True)
class Kind:
    """What a file's content says it is. `text`: the rest of a `#!` line, or why it cannot be run."""

    what: str
    text: str = ""
    program: Program | None = None


class Programs:
    """Finds out what files run as; see `kernel.executable.Loader`. `userland` holds our programs and applets.txt."""

    def __init__(self, engine: Engine, userland: Path) -> None:
        self._engine = engine
        self._userland = userland
        self._modules = {path.stem for path in userland.glob("*.wasm")}
        self._applets = {line.rsplit("/", 1)[-1] for line in (userland / "applets.txt").read_text().split()}
        self._loaded: dict[str, Program] = {}
        self._kinds: OrderedDict[tuple[object, ...], Kind] = OrderedDict()

    def warm(self) -> None:
        """Load our own programs before the first container wants them."""
        for name in sorted(self._modules):
            self._own(name)

    def __call__(self, task: Task, path: str, argv: list[str]) -> Executable:
        return self._load(task, path, argv, os.path.basename(path.rstrip("/")), 0)

    def _load(self, task: Task, path: str, argv: list[str], name: str, depth: int) -> Executable:
        node, place = locate(task, path)
        if isinstance(node, Directory):
            fail(errno.EACCES, path)
        check_access(node, X_OK, task.credentials.access)
        if not isinstance(node, File):
            fail(errno.EACCES, path)
        kind = self._kind(node)
        if kind.what == "script":
            if depth == _INTERPRETERS:
                fail(errno.ELOOP, path)
            words = kind.text.split(None, 1)
            return self._load(task, words[0], [*words, path, *argv[1:]], name, depth + 1)
        info = node.stat()
        made = Executable(_NOTHING, place, argv, name[:15], info.mode, info.uid, info.gid)
        if kind.what == "elf":
            return self._substitute(made, path, kind.text)
        if kind.program is None:
            return _refused(made, f"exec {path}: {kind.text}")
        return replace(made, program=kind.program)

    def _substitute(self, made: Executable, path: str, machine: str) -> Executable:
        names = (os.path.basename(made.path), os.path.basename(path))
        twin = next((found for name in names if (found := self._twin(name, made.path))), None)
        if twin is None:
            reason = f"{machine} ELF binary with no WebAssembly twin; backends that can run it: {CAPABLE}"
            return _refused(made, f"exec {path}: {reason}")
        argv = made.argv if twin.applet is None else [_named(made.argv[0], twin.applet), *made.argv[1:]]
        return replace(made, program=self._own(twin.module), argv=argv)

    def _twin(self, name: str, path: str) -> Twin | None:
        name = _ALIASES.get(name, name)
        if name in self._modules:
            return Twin(name, None)
        if name not in self._applets or "busybox" not in self._modules:
            return None
        if name in _SERVERS and os.path.dirname(path) not in _STANDARD:
            return None
        return Twin("busybox", name)

    def _own(self, name: str) -> Program:
        program = self._loaded.get(name)
        if program is None:
            program = self._loaded[name] = self._engine.program((self._userland / f"{name}.wasm").read_bytes())
        return program

    def _kind(self, node: File) -> Kind:
        info = node.stat()
        key = ("node", info.dev, info.ino, info.size, info.mtime_ns, info.ctime_ns)
        kind = self._kinds.get(key)
        if kind is not None:
            return kind
        # PERF: containers of one image have nodes of their own, but their bytes lie at one place of the host.
        place = _place(node)
        kind = self._kinds.get(place) if place is not None else None
        if kind is None:
            kind = self._look(node)
        for each in (key, place):
            if each is not None:
                self._kinds[each] = kind
        while len(self._kinds) > _REMEMBERED:
            self._kinds.popitem(last=False)
        return kind

    def _look(self, node: File) -> Kind:
        head = _head(node)
        if head.startswith(b"#!"):
            line = head[2:].split(b"\n", 1)[0].strip().decode("utf-8", "surrogateescape")
            if line:
                return Kind("script", line)
        if head.startswith(b"\0asm"):
            size = node.size
            if size > _LARGEST_MODULE:
                return Kind("wasm", f"WebAssembly module of {size} bytes, more than the {_LARGEST_MODULE} that are run")
            try:
                return Kind("wasm", program=self._engine.program(read_all(node, _LARGEST_MODULE)))
            except EngineError as error:
                return Kind("wasm", f"WebAssembly module of another system interface: {error}")
        if not head.startswith(b"\x7fELF") or len(head) < 20:
            fail(errno.ENOEXEC)
        number: int = struct.unpack_from("<H" if head[5] == 1 else ">H", head, 18)[0]
        return Kind("elf", _MACHINES.get(number, f"machine {number}"))


def _named(argument: str, applet: str) -> str:
    """argv[0] as busybox understands it: with the applet's name at its end, a login shell's dash kept."""
    login = argument.startswith("-")
    if os.path.basename(argument.lstrip("-")) == applet:
        return argument
    return f"-{applet}" if login else applet


def _place(node: File) -> tuple[object, ...] | None:
    """Where on the host a file's content lies, as long as nobody writes to it."""
    handle = node.open(os.O_RDONLY)
    try:
        found = handle.host_range()
        if found is None:
            return None
        fd, offset, size = found
        info = os.fstat(fd)
        return ("host", info.st_dev, info.st_ino, info.st_mtime_ns, info.st_ctime_ns, offset, size)
    finally:
        handle.close()


def _head(node: File) -> bytes:
    handle = node.open(os.O_RDONLY)
    try:
        buffer = bytearray(_HEAD)
        return bytes(buffer[: handle.readinto(memoryview(buffer), 0)])
    finally:
        handle.close()


def locate(task: Task, path: str) -> tuple[Node, str]:
    """The file that `path` leads to, and its own path with every link resolved."""
    tree, cwd = task.kernel.tree, task.cwd
    root, access = task.root, task.credentials.access
    links = 0
    while True:
        parent, name, slash = tree.resolve_parent(path, cwd, root=root, cred=access)
        node = tree.child(parent, name) if name not in ("", ".", "..") else tree.resolve(path, cwd, root=root)
        if node is None:
            fail(errno.ENOENT, path)
        if isinstance(node, Symlink):
            links += 1
            if links > _LINKS:
                fail(errno.ELOOP, path)
            magic = node.follow()
            if magic is None:
                path, cwd = node.target + ("/" if slash else ""), parent
                continue
            return magic, node.target
        if slash and not isinstance(node, Directory):
            fail(errno.ENOTDIR, path)
        return node, f"{tree.path_of(parent, root).rstrip('/')}/{name}"


def _no_program(_task: Task) -> int:
    return 126


_NOTHING = PythonProgram(_no_program)


def _refused(made: Executable, reason: str) -> Executable:
    def complain(task: Task) -> int:
        stderr = task.files.table.get(2)
        if stderr is not None:
            stderr.write_from(task, memoryview(f"{reason}\n".encode("utf-8", "surrogateescape")))
        return 126

    return replace(made, program=PythonProgram(complain), refusal=reason)
