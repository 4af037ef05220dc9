"""The event bus: a bounded history, and subscribers that see every event from a point in it, once and in order."""

from __future__ import annotations

import asyncio
import re
import weakref
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping

import msgspec

from backends.api.types import Event, Filters
from backends.core.clock import SECOND, Clock, system_clock
from backends.core.filters import labels_match
from backends.core.store import Store

HISTORY = 1000
QUEUE = 10_000


class EventBus:
    """Events of one worker. The tail of the history outlives the worker."""

    def __init__(self, store: Store, clock: Clock = system_clock) -> None:
        self._store = store
        self._clock = clock
        decoder = msgspec.json.Decoder(Event)
        self._history: deque[Event] = deque((decoder.decode(body) for body in store.events(HISTORY)), HISTORY)
        self._last = self._history[-1].timeNano if self._history else 0
        self._subscribers: weakref.WeakSet[asyncio.Queue[Event]] = weakref.WeakSet()  # as long as someone may read

    def emit(self, kind: str, action: str, actor: str, attributes: Mapping[str, str]) -> None:
        """Record an event now. Times strictly increase, so that ``since`` cuts cleanly."""
        self._last = now = max(self._clock(), self._last + 1)
        event = Event(
            Type=kind,
            Action=action,
            Actor={"ID": actor, "Attributes": dict(attributes)},
            scope="local",
            time=now // SECOND,
            timeNano=now,
        )
        self._history.append(event)
        self._store.later(lambda: self._store.add_event(now, msgspec.json.encode(event), HISTORY))
        for queue in tuple(self._subscribers):
            if queue.full():
                self._subscribers.discard(queue)  # it reads too slowly: its stream ends after what it has
                continue
            queue.put_nowait(event)

    def pruned(self, kind: str, reclaimed: int) -> None:
        """Record that a prune of this kind of objects ended (API 1.41), whatever it removed; ``reclaimed`` is bytes."""
        self.emit(kind, "prune", "", {"reclaimed": str(reclaimed)})

    async def subscribe(self, since: int, until: int, filters: Filters) -> AsyncIterator[Event]:
        """Yield matching events; from the history when ``since`` is set, up to ``until`` when that is set."""
        matches = event_filter(filters)
        queue: asyncio.Queue[Event] = asyncio.Queue(QUEUE)
        past = [event for event in self._history if event.timeNano >= since] if since else []
        self._subscribers.add(queue)
        return self._feed(queue, past, until, matches)

    async def _feed(
        self, queue: asyncio.Queue[Event], past: list[Event], until: int, matches: Callable[[Event], bool]
    ) -> AsyncIterator[Event]:
        try:
            for event in past:
                if until and event.timeNano > until:
                    return
                if matches(event):
                    yield event
            while True:
                event_or_none = await self._next(queue, until)
                if event_or_none is None or (until and event_or_none.timeNano > until):
                    return
                if matches(event_or_none):
                    yield event_or_none
        finally:
            self._subscribers.discard(queue)

    async def _next(self, queue: asyncio.Queue[Event], until: int) -> Event | None:
        if not queue.empty():
            return queue.get_nowait()
        if queue not in self._subscribers:
            return None
        if not until:
            return await queue.get()
        try:
            async with asyncio.timeout(max(0.0, (until - self._clock()) / SECOND)):
                return await queue.get()
        except TimeoutError:
            return None


def event_filter(filters: Filters) -> Callable[[Event], bool]:
    """Return the predicate of a filter map. A key that events do not have does nothing, as in Docker."""

    def matches(event: Event) -> bool:
        attributes: dict[str, str] = event.Actor["Attributes"]
        if not _one_of(filters, "type", event.Type) or not _one_of(filters, "scope", event.scope):
            return False
        if "event" in filters and not any(_action_matches(event.Action, wanted) for wanted in filters["event"]):
            return False
        if "label" in filters and not labels_match(filters["label"], attributes):
            return False
        if any(filters.get(key) for key in ("daemon", "plugin", "node", "service", "secret", "config")):
            return False
        return all(_object_matches(event, key, filters) for key in ("container", "image", "volume", "network"))

    return matches


def _one_of(filters: Filters, key: str, value: str) -> bool:
    return not filters.get(key) or value in filters[key]


def _action_matches(action: str, wanted: str) -> bool:
    family, colon, _ = action.partition(":")
    return wanted == action or (bool(colon) and wanted == family)


def _object_matches(event: Event, key: str, filters: Filters) -> bool:
    wanted = filters.get(key)
    if not wanted:
        return True
    identity: str = event.Actor["ID"]
    attributes: dict[str, str] = event.Actor["Attributes"]
    if key == "image":
        names = {identity, attributes.get("name", "")} if event.Type == "image" else {attributes.get("image", "")}
        names |= {re.sub(r":[^:/]*\Z", "", name) for name in names if not name.startswith("sha256:")}
        return any(value in names for value in wanted)
    known = (identity, attributes.get("name", ""))  # of whatever object: as in Docker, a prefix of it is enough
    return any(name.startswith(value.removeprefix("/")) for value in wanted for name in known if value)
