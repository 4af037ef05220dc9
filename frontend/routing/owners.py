"""Whose an object is: ids, unique prefixes of ids and names, across all workers."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any, TypeVar

from backends.api import types as t
from backends.api.errors import EngineError, InvalidArgument, NotFound, Unavailable
from frontend.routing.asking import Said, ask
from frontend.routing.workers import Worker

T = TypeVar("T")
REMEMBERED = 65536
_FULL_ID = re.compile(r"[0-9a-f]{64}")

#: What the present request has found already, by kind and reference; set where a request begins.
found_for_request: ContextVar[dict[tuple[str, str], Any]] = ContextVar("found_for_request")


class Owners:
    """Finds the workers that have an object. ``workers``: the default one first.

    An id never changes its worker, so that of a full id is remembered; names and prefixes are asked for each time.
    """

    def __init__(self, workers: list[Worker]) -> None:
        self.workers = workers
        self._by_id: OrderedDict[str, Worker] = OrderedDict()

    def remember(self, identity: str, worker: Worker) -> None:
        """Keep whose ``identity`` is."""
        self._by_id[identity] = worker
        self._by_id.move_to_end(identity)
        if len(self._by_id) > REMEMBERED:
            self._by_id.popitem(last=False)

    async def container(self, ref: str) -> Worker:
        """The worker of the container that ``ref`` means.

        Raises NotFound; InvalidArgument when it means several; Unavailable when a worker that may have it is away.
        """
        if (known := self._by_id.get(ref)) is not None:
            return known
        return await self._once("container", ref, self._find_container)

    async def exec(self, exec_id: str) -> Worker:
        """The worker that runs an exec."""
        if (known := self._by_id.get(exec_id)) is not None:
            return known
        said = await ask(self.workers, "inspect_exec", exec_id)
        owner = next((one.worker for one in said if one.error is None), None)
        if owner is None:
            raise missing(said, f"No such exec instance: {exec_id}")
        self.remember(exec_id, owner)
        return owner

    async def image(self, name: str) -> list[Worker]:
        """The workers that have an image, at least one. Raises NotFound; Unavailable while the default is away."""
        return await self._once("image", name, self._find_image)

    async def network(self, ref: str) -> list[tuple[Worker, t.Network]]:
        """The workers that have a network of one name, that which ``ref`` means first."""
        return await self._once("network", ref, self._find_network)

    async def volume(self, name: str) -> list[tuple[Worker, t.Volume]]:
        """The workers that have a volume of this name."""
        said = await ask(self.workers, "inspect_volume", name)
        found = [(one.worker, one.value) for one in said if one.error is None]
        if not found:
            raise absent(said, f"get {name}: no such volume")
        return found

    async def _once(self, kind: str, ref: str, find: Callable[[str], Awaitable[T]]) -> T:
        memo = found_for_request.get({})
        if (kind, ref) not in memo:
            memo[kind, ref] = await find(ref)
        found: T = memo[kind, ref]
        return found

    async def _find_container(self, ref: str) -> Worker:
        said = await ask(self.workers, "inspect_container", ref)
        best = _best([(_rank(ref, one.value.id, one.value.name), one) for one in said if one.error is None])
        if not best:
            raise missing(said, f"No such container: {ref}")
        if len(best) > 1:
            names = " and ".join(one.worker.name for one in best)
            reason = f"multiple IDs found with provided prefix: {ref}"
            if best[0].value.name == f"/{ref.removeprefix('/')}":
                reason = f"multiple containers are named {ref} (on {names}): use the id"
            raise InvalidArgument(reason)
        if best[0].value.name != f"/{ref.removeprefix('/')}":
            _raise_ambiguous(said)
        if _FULL_ID.fullmatch(best[0].value.id):
            self.remember(best[0].value.id, best[0].worker)
        return best[0].worker

    async def _find_image(self, name: str) -> list[Worker]:
        said = await ask(self.workers, "inspect_image", name)
        found = [one.worker for one in said if one.error is None]
        if not found:
            raise absent(said, f"No such image: {name}")
        return found

    async def _find_network(self, ref: str) -> list[tuple[Worker, t.Network]]:
        said = await ask(self.workers, "inspect_network", ref)
        best = _best([(_rank(ref, one.value.id, one.value.name), one) for one in said if one.error is None])
        if not best:
            raise absent(said, f"network {ref} not found")
        first, name = best[0], best[0].value.name
        if ref == name:
            return [(one.worker, one.value) for one in best]
        if len(best) > 1:
            raise InvalidArgument(f"network {ref} is ambiguous ({len(best)} matches found based on ID prefix)")
        others = await ask([worker for worker in self.workers if worker is not first.worker], "inspect_network", name)
        same = [(one.worker, one.value) for one in others if one.error is None and one.value.name == name]
        return [(first.worker, first.value), *same]


def _rank(ref: str, identity: str, name: str) -> int:
    """Docker's order: a full id, then a name, then the beginning of an id."""
    if identity == ref:
        return 0
    return 1 if name.removeprefix("/") == ref.removeprefix("/") else 2


def _best(found: list[tuple[int, Said]]) -> list[Said]:
    lowest = min((rank for rank, _ in found), default=0)
    return [one for rank, one in found if rank == lowest]


def _raise_ambiguous(said: list[Said]) -> None:
    for one in said:
        if isinstance(one.error, InvalidArgument):
            raise one.error


def absent(said: list[Said], message: str) -> EngineError:
    """Return the error for an image, network or volume that nobody who answers has.

    New ones are made on the default worker, so what it lacks does not exist; another that is away has no say.
    """
    if isinstance(said[0].error, NotFound):
        said = [one for one in said if not isinstance(one.error, Unavailable)]
    return missing(said, message)


def missing(said: list[Said], message: str) -> EngineError:
    """Return the error for what no worker has: one that is away may have it."""
    errors = [one.error for one in said if one.error is not None]
    other = [error for error in errors if not isinstance(error, NotFound | Unavailable)]
    away = [error for error in errors if isinstance(error, Unavailable)]
    if other:
        return other[0]
    if away:
        return Unavailable(f"{message} (of those that answer: {away[0].message})")
    return errors[0] if errors else NotFound(message)
