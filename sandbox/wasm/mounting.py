"""What a container finds mounted: its volumes, and what the kernel provides (/proc, /dev, /sys and their kin)."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from sandbox.wasm.kernel.devfs import make_dev, make_pts
from sandbox.wasm.kernel.kernel import Kernel
from sandbox.wasm.kernel.procfs import make_procfs
from sandbox.wasm.kernel.sysfs import make_sysfs
from sandbox.wasm.shared import SharedMemory, Tenancy
from sandbox.wasm.specs import Content, Mount, SandboxSpec
from sandbox.wasm.vfs.dynamic import DynamicFile
from sandbox.wasm.vfs.host import HostMount
from sandbox.wasm.vfs.node import File, FileSystem, Node, fail, write_all
from sandbox.wasm.vfs.overlay import Overlay
from sandbox.wasm.vfs.tmpfs import Tmpfs
from sandbox.wasm.vfs.tree import FileTree


class Mounts:
    """Builds a container's tree anew for each start; the root file system stays, tmpfs are emptied, as in Docker."""

    def __init__(self, overlay: Overlay, spec: SandboxSpec, shared: SharedMemory) -> None:
        self._overlay = overlay
        self.spec = spec
        self._shared = shared
        self._systems: list[FileSystem] = []

    def tree(self, tenancy: Tenancy) -> FileTree:
        """A tree with the spec's mounts. What the last one had mounted is given back. OSError; then that stays."""
        tree, systems = self._build(self.spec.mounts, tenancy, whole=True)
        self.close()
        self._systems = systems
        return tree

    @contextmanager
    def view(self) -> Iterator[FileTree]:
        """A tree for a while with what the host mounts as it is now; where that is not there nothing is found."""
        mounts = [mount for mount in self.spec.mounts if mount.kind != "tmpfs" or mount.shared]
        tenancy = Tenancy()
        try:
            tree, systems = self._build(mounts, tenancy, whole=False)
            try:
                yield tree
            finally:
                _close(systems)
        finally:
            tenancy.over = True
            self._shared.sweep()

    def _build(self, mounts: Iterable[Mount], tenancy: Tenancy, whole: bool) -> tuple[FileTree, list[FileSystem]]:
        tree, systems = FileTree(self._overlay.root), list[FileSystem]()
        self._overlay.read_only = False
        try:
            for mount in mounts:
                try:
                    self._mount(tree, mount, tenancy, systems)
                except OSError:
                    if whole:
                        raise
                    tree.hide(mount.destination, mount.source)
        except BaseException:
            _close(systems)
            raise
        finally:
            self._overlay.read_only = self.spec.read_only
        return tree, systems

    def _mount(self, tree: FileTree, mount: Mount, tenancy: Tenancy, systems: list[FileSystem]) -> None:
        system: Tmpfs | HostMount
        if mount.shared:
            system = self._shared.mount(mount.shared, tenancy, lambda: self._tmpfs(mount))
        elif mount.kind == "tmpfs":
            system = self._tmpfs(mount)
        elif mount.source:
            system = HostMount(mount.source, read_only=mount.read_only)
        else:
            fail(errno.ENOENT, mount.destination)
        if not mount.shared:
            systems.append(system)
        source = "tmpfs" if mount.kind == "tmpfs" else mount.source
        tree.mount(mount.destination, system.root, mount.read_only, source)

    def _tmpfs(self, mount: Mount) -> Tmpfs:
        return Tmpfs(mount.size or self._memory, 0o1777 if mount.mode is None else mount.mode, mount.owner)

    @property
    def _memory(self) -> int | None:
        """How big a tmpfs of no size of its own may get: no bigger than all that the container may use."""
        return self.spec.limits.memory or None

    def add_system(self, tree: FileTree, kernel: Kernel, terminal: bool) -> None:
        """Mount what a kernel provides for one run, and the spec's files."""
        self._overlay.read_only = False
        covered = {mount.destination for mount in self.spec.mounts}
        shm, mqueue, dev = Tmpfs(self.spec.limits.shm_size), Tmpfs(self._memory), make_dev(terminal)
        self._systems += [shm, mqueue, dev]
        provided: list[tuple[str, Node, bool]] = [
            ("/proc", make_procfs(kernel), False),
            ("/dev", dev.root, False),
            ("/dev/pts", make_pts(kernel), False),
            ("/dev/shm", shm.root, False),
            ("/dev/mqueue", mqueue.root, False),
            ("/sys", make_sysfs(kernel), True),
        ]
        for path, node, read_only in provided:
            if path not in covered:
                tree.mount(path, node, read_only)
        for path, content in self.spec.files.items():
            if path not in covered:
                tree.mount(path, _file(content), source="sockerless")
        self._overlay.read_only = self.spec.read_only

    def end(self) -> None:
        """The run is over: what its mounts keep in memory is given back."""
        memory = [system for system in self._systems if isinstance(system, Tmpfs)]
        self._systems = [system for system in self._systems if system not in memory]
        _close(memory)
        self._shared.sweep()

    def close(self) -> None:
        """Give back all that is mounted."""
        _close(self._systems)
        self._systems = []
        self._shared.sweep()


def _close(systems: Sequence[FileSystem]) -> None:
    for system in systems:
        system.close()


def _file(content: Content) -> Node:
    if callable(content):
        return DynamicFile(content)
    holder = Tmpfs(mode=0o755)
    made: File = holder.root.create("content", 0o644, 0, 0)
    write_all(made, content)
    return made
