"""A small real backend for the engine's tests: containers are process groups of this machine in a directory each.

Nothing is faked: programs run, files are files. It isolates nothing, knows no networks beyond its records, and a
published port is a real listener that nobody serves.
"""

from __future__ import annotations

import asyncio
import io
import os
import posixpath
import pty
import shutil
import signal
import socket
import stat
import subprocess
import tarfile
import termios
import time
from collections.abc import AsyncIterator, Collection
from pathlib import Path

from backends.api.errors import NotFound
from backends.api.types import Change, PathStat
from backends.core.clock import rfc3339
from backends.core.drivers import (
    ContainerSpec,
    Credentials,
    Drivers,
    EndpointSpec,
    ExecSpec,
    ExitStatus,
    Limits,
    NetworkSpec,
    PortSpec,
    ProcessRow,
    StartError,
    Usage,
)
from backends.core.fdio import FdStreams
from sandbox.images.store import Store


class LocalProcess:
    """A child process with its own session."""

    def __init__(self, child: subprocess.Popen[bytes], streams: FdStreams) -> None:
        self._child = child
        self._streams = streams
        self._exited: asyncio.Future[ExitStatus] = asyncio.get_running_loop().create_future()
        self._pidfd = os.pidfd_open(child.pid)
        asyncio.get_running_loop().add_reader(self._pidfd, self._ended)

    @property
    def pid(self) -> int:
        return self._child.pid

    def output(self) -> AsyncIterator[tuple[int, bytes]]:
        return self._streams.output()

    async def write(self, data: bytes) -> None:
        await self._streams.write(data)

    def close_stdin(self) -> None:
        self._streams.close_stdin()

    def resize(self, height: int, width: int) -> None:
        self._streams.resize(height, width)

    def signal(self, number: int) -> None:
        if self._exited.done():
            raise ProcessLookupError
        os.kill(self._child.pid, number)

    async def wait(self) -> ExitStatus:
        return await asyncio.shield(self._exited)

    def _ended(self) -> None:
        asyncio.get_running_loop().remove_reader(self._pidfd)
        os.close(self._pidfd)
        code = self._child.wait()
        self._exited.set_result(ExitStatus(code if code >= 0 else 128 - code))


class LocalContainer:
    """The directory and processes of one container."""

    def __init__(self, spec: ContainerSpec) -> None:
        self.spec = spec
        self.root = spec.directory / "rootfs"
        self.processes: list[LocalProcess] = []
        self.ports: list[socket.socket] = []


class LocalDriver:
    """All five interfaces in one object."""

    def __init__(self, images: Store) -> None:
        self._images = images
        self.containers: dict[str, LocalContainer] = {}
        self.calls: list[tuple[str, ...]] = []

    # -- life cycle

    async def prepare(self, container: ContainerSpec) -> None:
        found = self.containers.setdefault(container.id, LocalContainer(container))
        found.spec = container
        if not found.root.exists():
            found.root.mkdir(parents=True)
            for layer in container.image.layers if container.image else ():
                self._unpack(layer.diff_id, found.root)
        for mount in container.mounts:
            target = found.root / mount.destination.lstrip("/")
            if mount.kind == "tmpfs":
                target.mkdir(parents=True, exist_ok=True)
            elif not target.is_symlink():
                if target.is_dir():
                    shutil.rmtree(target)
                else:
                    target.unlink(missing_ok=True)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.symlink_to(mount.source)

    def _unpack(self, diff_id: str, root: Path) -> None:
        index = self._images.layer(diff_id)
        with os.fdopen(os.dup(index.fd()), "rb") as file:
            file.seek(0)
            with tarfile.open(fileobj=file) as archive:
                archive.extraction_filter = getattr(tarfile, "tar_filter", None)  # Debian 12 has Python 3.11.2
                archive.extractall(root)

    async def start(self, container: ContainerSpec, process: ExecSpec) -> LocalProcess:
        await self.prepare(container)
        return self._spawn(self.containers[container.id], process)

    async def exec(self, container_id: str, process: ExecSpec) -> LocalProcess:
        return self._spawn(self.containers[container_id], process)

    def _spawn(self, container: LocalContainer, spec: ExecSpec) -> LocalProcess:
        env = dict(entry.split("=", 1) for entry in spec.env)
        program = shutil.which(spec.argv[0], path=env.get("PATH"))
        if program is None:
            if "/" in spec.argv[0] and os.path.exists(spec.argv[0]):
                raise StartError(126, f'exec: "{spec.argv[0]}": permission denied')
            raise StartError(127, f'exec: "{spec.argv[0]}": executable file not found in $PATH')
        cwd = container.root / spec.cwd.lstrip("/")
        cwd.mkdir(parents=True, exist_ok=True)
        child, streams = _open(program, spec, cwd, env)
        found = LocalProcess(child, streams)
        container.processes.append(found)
        return found

    async def pause(self, container_id: str) -> None:
        self._signal_all(container_id, signal.SIGSTOP)

    async def unpause(self, container_id: str) -> None:
        self._signal_all(container_id, signal.SIGCONT)

    def _signal_all(self, container_id: str, number: int) -> None:
        for process in self.containers[container_id].processes:
            try:
                os.killpg(process.pid, number)
            except ProcessLookupError:
                continue

    async def update(self, container_id: str, limits: Limits) -> None:
        self.calls.append(("update", container_id, str(limits.memory)))

    async def top(self, container_id: str) -> list[ProcessRow]:
        rows = []
        for process in self.containers[container_id].processes:
            try:
                argv = Path(f"/proc/{process.pid}/cmdline").read_bytes().split(b"\0")[:-1]
            except FileNotFoundError:
                continue
            text = b" ".join(argv).decode()
            rows.append(ProcessRow(process.pid, os.getpid(), 0, text.split()[0], text, "root", started=time.time()))
        return rows

    async def stats(self, container_id: str) -> Usage:
        return Usage(cpu_user=1_000_000, memory=1 << 20, pids=len(self.containers[container_id].processes))

    async def stop_all(self, container_id: str) -> None:
        container = self.containers.get(container_id)
        if container is None:
            return
        self._signal_all(container_id, signal.SIGKILL)
        for process in container.processes:
            await process.wait()
        container.processes.clear()

    async def release(self, container_id: str) -> None:
        await self.stop_all(container_id)
        self.containers.pop(container_id, None)

    # -- files

    def _path(self, container_id: str, path: str) -> Path:
        container = self.containers[container_id]
        for mount in sorted(container.spec.mounts, key=lambda mount: -len(mount.destination)):
            clean = posixpath.normpath(path)
            if mount.source and (clean == mount.destination or clean.startswith(f"{mount.destination}/")):
                return Path(mount.source + clean[len(mount.destination) :])
        return container.root / path.lstrip("/")

    async def stat(self, container_id: str, path: str) -> PathStat:
        return _stat(self._path(container_id, path), path)

    async def read_file(self, container_id: str, path: str, limit: int = 1 << 20) -> bytes:
        return self._path(container_id, path).read_bytes()[:limit]

    async def get_archive(self, container_id: str, path: str) -> tuple[PathStat, AsyncIterator[bytes]]:
        source = self._path(container_id, path)
        found = _stat(source, path)
        name = "." if path.endswith("/.") else posixpath.basename(posixpath.normpath(path))
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            archive.add(source, arcname=name)
        return found, _pieces(buffer.getvalue())

    async def put_archive(
        self,
        container_id: str,
        path: str,
        body: AsyncIterator[bytes],
        no_overwrite: bool,
        owner: Credentials | None,
    ) -> None:
        target = self._path(container_id, path)
        if not target.exists():
            raise FileNotFoundError(path)
        if not target.is_dir():
            raise NotADirectoryError(20, "extraction point is not a directory")
        data = b"".join([piece async for piece in body])
        try:
            with tarfile.open(fileobj=io.BytesIO(data)) as archive:
                archive.extraction_filter = getattr(tarfile, "tar_filter", None)  # Debian 12 has Python 3.11.2
                archive.extractall(target)
        except tarfile.TarError as error:
            raise OSError(22, str(error)) from None

    async def changes(self, container_id: str) -> list[Change]:
        return []

    async def layer(self, container_id: str, without: Collection[str] = ()) -> AsyncIterator[bytes]:
        """What is new or changed in content; nothing of this driver's tests is deleted."""
        container = self.containers[container_id]
        before = container.spec.directory / "before"
        for layer in container.spec.image.layers if container.spec.image else ():
            self._unpack(layer.diff_id, before)
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            for path in sorted(container.root.rglob("*")):
                name = str(path.relative_to(container.root))
                old = before / name
                if any(f"/{name}" == mount.destination for mount in container.spec.mounts):
                    continue
                if not old.exists() or (path.is_file() and path.read_bytes() != old.read_bytes()):
                    archive.add(path, arcname=name, recursive=False)
        shutil.rmtree(before, ignore_errors=True)
        return _pieces(buffer.getvalue())

    async def export(self, container_id: str) -> AsyncIterator[bytes]:
        _, body = await self.get_archive(container_id, "/.")
        return body

    async def usage(self, container_id: str) -> tuple[int, int]:
        if container_id not in self.containers:
            raise NotFound(f"No such container: {container_id}")
        files = [path for path in self.containers[container_id].root.rglob("*") if path.is_file()]
        size = sum(path.stat().st_size for path in files)
        return size, size

    async def copy_up(self, container_id: str, path: str, directory: Path) -> None:
        spec = self.containers[container_id].spec
        scratch = spec.directory / "scratch"
        for layer in spec.image.layers if spec.image else ():
            self._unpack(layer.diff_id, scratch)
        source = scratch / path.lstrip("/")
        if source.is_dir():
            shutil.copytree(source, directory, dirs_exist_ok=True)
        shutil.rmtree(scratch, ignore_errors=True)

    async def fill(self, directory: Path, tar: Path) -> None:
        with tarfile.open(tar) as archive:
            archive.extraction_filter = getattr(tarfile, "fully_trusted_filter", None)  # Debian 12 has Python 3.11.2
            archive.extractall(directory)

    # -- networks

    async def add_network(self, network: NetworkSpec) -> None:
        self.calls.append(("add_network", network.name, network.subnet))

    async def remove_network(self, network_id: str) -> None:
        self.calls.append(("remove_network", network_id))

    async def open_stack(self, container_id: str, mode: str, hosts: dict[str, str]) -> None:
        self.calls.append(("open_stack", container_id, mode, *(f"{key}={hosts[key]}" for key in sorted(hosts))))

    async def connect(self, container_id: str, endpoint: EndpointSpec) -> None:
        self.calls.append(("connect", container_id, endpoint.address, *endpoint.names))

    async def disconnect(self, container_id: str, endpoint_id: str) -> None:
        self.calls.append(("disconnect", container_id))

    async def rename(self, container_id: str, endpoint: EndpointSpec) -> None:
        self.calls.append(("rename", container_id, *endpoint.names))

    async def publish(self, container_id: str, port: PortSpec) -> int:
        six = ":" in port.host_ip
        listener = socket.socket(socket.AF_INET6 if six else socket.AF_INET)
        try:
            listener.bind(("::1" if six else "127.0.0.1", port.host_port))
            listener.listen()
        except OSError:
            listener.close()
            raise
        self.containers[container_id].ports.append(listener)
        return int(listener.getsockname()[1])

    async def unpublish(self, container_id: str, port: PortSpec) -> None:
        ports = self.containers[container_id].ports
        family = socket.AF_INET6 if ":" in port.host_ip else socket.AF_INET
        for listener in [
            known for known in ports if (known.family, known.getsockname()[1]) == (family, port.host_port)
        ]:
            ports.remove(listener)
            listener.close()

    async def close_stack(self, container_id: str) -> None:
        container = self.containers.get(container_id)
        for listener in container.ports if container else ():
            listener.close()

    def drivers(self) -> Drivers:
        """The bundle that an engine takes."""
        return Drivers("local", self, self, self, self)


def _open(program: str, spec: ExecSpec, cwd: Path, env: dict[str, str]) -> tuple[subprocess.Popen[bytes], FdStreams]:
    argv = [spec.argv[0], *spec.argv[1:]]
    if spec.tty:
        master, slave = pty.openpty()
        if spec.size:
            termios.tcsetwinsize(slave, spec.size)  # before the program can ask for it
        child = subprocess.Popen(
            argv, executable=program, cwd=cwd, env=env, stdin=slave, stdout=slave, stderr=slave, start_new_session=True
        )
        os.close(slave)
        return child, FdStreams(master, master)
    out, err = os.pipe(), os.pipe()
    pipe_in = os.pipe() if spec.stdin else None
    child = subprocess.Popen(
        argv,
        executable=program,
        cwd=cwd,
        env=env,
        stdin=pipe_in[0] if pipe_in else subprocess.DEVNULL,
        stdout=out[1],
        stderr=err[1],
        start_new_session=True,
    )
    for fd in (out[1], err[1], *(pipe_in[:1] if pipe_in else ())):
        os.close(fd)
    return child, FdStreams(pipe_in[1] if pipe_in else None, out[0], err[0])


def _stat(path: Path, name: str) -> PathStat:
    found = path.lstat()
    mode = stat.S_IMODE(found.st_mode) & 0o777
    if stat.S_ISDIR(found.st_mode):
        mode |= 1 << 31
    if stat.S_ISLNK(found.st_mode):
        mode |= 1 << 27
    return PathStat(
        name=posixpath.basename(posixpath.normpath(name)),
        size=found.st_size,
        mode=mode,
        mtime=rfc3339(found.st_mtime_ns),
        linkTarget=os.readlink(path) if path.is_symlink() else "",
    )


async def _pieces(data: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(data), 1 << 16):
        yield data[start : start + (1 << 16)]
