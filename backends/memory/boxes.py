"""The containers of the worker: what the engine said of each, and its sandbox once something needs it."""

from __future__ import annotations

import errno
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from backends.api.errors import NotFound
from backends.core.drivers import ContainerSpec
from sandbox.images.image import Image
from sandbox.images.store import Store
from sandbox.images.tree import LowerTree, lower_from_entries, merge
from sandbox.wasm.net import Stack
from sandbox.wasm.net.stack import Publication
from sandbox.wasm.net.switch import Endpoint
from sandbox.wasm.sandbox import Host, Limits, Mount, Sandbox, SandboxSpec

KEPT_TREES = 4
_UNUSED_LIMIT = 10.0
MOST_PROCESSES = 2000
"""Of a container without a limit of its own: no container may take all of the worker's threads."""


@dataclass
class Box:
    """One container. ``lock`` guards making its sandbox, from any thread; ``released`` ends all use of its files."""

    spec: ContainerSpec
    sandbox: Sandbox | None = None
    stack: Stack | None = None
    shared_stack: bool = False
    endpoints: dict[str, Endpoint] = field(default_factory=dict)
    publications: list[Publication] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    released: threading.Event = field(default_factory=threading.Event)
    users: int = 0
    changed: threading.Condition = field(default_factory=threading.Condition)

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Its files stay meanwhile; NotFound once it is released."""
        with self.changed:
            if self.released.is_set():
                raise NotFound(f"No such container: {self.spec.id}")
            self.users += 1
        try:
            yield
        finally:
            with self.changed:
                self.users -= 1
                self.changed.notify_all()

    def close(self) -> None:
        """Wait until nobody uses its files, and give them back; TimeoutError. Blocks."""
        with self.changed:
            self.released.set()
            if not self.changed.wait_for(lambda: not self.users, _UNUSED_LIMIT):
                raise TimeoutError(errno.ETIMEDOUT, "its files are in use")
        if self.sandbox is not None:
            self.sandbox.close()


class Boxes:
    """Containers by id. An image's merged tree is made once and shared by all that use it."""

    def __init__(self, host: Host, images: Store) -> None:
        self.host = host
        self._images = images
        self._by_id: dict[str, Box] = {}
        self._trees: dict[str, LowerTree] = {}
        self._recent: list[str] = []
        self._tree_lock = threading.Lock()

    def put(self, spec: ContainerSpec) -> None:
        """Know a container, or know it anew."""
        box = self._by_id.get(spec.id)
        if box is None:
            self._by_id[spec.id] = Box(spec)
        else:
            box.spec = spec

    def get(self, container_id: str) -> Box:
        """Return a container; NotFound."""
        try:
            return self._by_id[container_id]
        except KeyError:
            raise NotFound(f"No such container: {container_id}") from None

    def known(self, container_id: str) -> Box | None:
        """Return a container, or None."""
        return self._by_id.get(container_id)

    def forget(self, container_id: str) -> None:
        """Know it no longer; trees of images that nobody uses any more go, but for the last few."""
        self._by_id.pop(container_id, None)
        used = {box.spec.image.id for box in self._by_id.values() if box.sandbox is not None and box.spec.image}
        with self._tree_lock:
            for image_id in self._trees.keys() - used - set(self._recent):
                del self._trees[image_id]

    def lower(self, image: Image | None) -> LowerTree:
        """Return the merged layers of an image; blocks on the disk the first time. None has no files."""
        if image is None:
            return lower_from_entries(())
        with self._tree_lock:
            tree = self._trees.get(image.id)
            if tree is None:
                tree = merge([self._images.layer(layer.diff_id) for layer in image.layers])
                self._trees[image.id] = tree
            self._recent = [image.id, *(other for other in self._recent if other != image.id)][:KEPT_TREES]
            return tree

    def sandbox(self, box: Box) -> Sandbox:
        """Return a container's sandbox, making it if need be; blocks."""
        with box.lock:
            if box.sandbox is None:
                box.sandbox = Sandbox(self.host, self.sandbox_spec(box))
            return box.sandbox

    def sandbox_spec(self, box: Box) -> SandboxSpec:
        """What the sandbox must know."""
        spec = box.spec
        return SandboxSpec(
            id=spec.id,
            hostname=spec.hostname,
            lower=self.lower(spec.image),
            state=spec.directory / "layer",
            stack=box.stack,
            domainname=spec.domainname,
            mounts=tuple(
                Mount(
                    mount.kind,
                    mount.destination,
                    mount.source,
                    mount.read_only,
                    mount.size,
                    mount.mode,
                    mount.owner,
                    mount.shared,
                )
                for mount in spec.mounts
            ),
            limits=sandbox_limits(spec),
            read_only=spec.read_only,
            init=bool(spec.host_config.get("Init")),
        )


def sandbox_limits(spec: ContainerSpec) -> Limits:
    """The engine's limits as the sandbox takes them."""
    limits = spec.limits
    return Limits(limits.memory, limits.nano_cpus / 1e9, limits.pids or MOST_PROCESSES, limits.shm_size, limits.ulimits)
