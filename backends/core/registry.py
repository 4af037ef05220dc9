"""The containers of a worker, by id, unique id prefix and name."""

from __future__ import annotations

from collections.abc import Iterator

from backends.api.errors import Conflict, InvalidArgument, NotFound
from backends.core.container import Container
from backends.core.links import parse_link


class Registry:
    """Containers in the order of their creation. Names are reserved before a container exists."""

    def __init__(self) -> None:
        self._by_id: dict[str, Container] = {}
        self._coming: dict[str, Container] = {}
        self._names: dict[str, str] = {}

    def __iter__(self) -> Iterator[Container]:
        return iter(tuple(self._by_id.values()))

    def __len__(self) -> int:
        return len(self._by_id)

    def __contains__(self, name: object) -> bool:
        """Whether a container's name is taken."""
        return name in self._names

    def get(self, container_id: str) -> Container | None:
        """Return the container of a full id."""
        return self._by_id.get(container_id)

    def find(self, ref: str) -> Container:
        """Return the container that ``ref`` means; NotFound, or InvalidArgument for an ambiguous prefix.

        ``owner/alias`` is what the legacy link ``alias`` of the container ``owner`` leads to.
        """
        if (found := self._by_id.get(ref)) is not None:
            return found
        if (owner := self._names.get(ref.removeprefix("/"))) is not None and owner in self._by_id:
            return self._by_id[owner]
        if not ref:
            raise InvalidArgument('invalid name or ID supplied: ""')
        if "/" in ref:
            return self._linked(ref)
        matching = [key for key in self._by_id if key.startswith(ref)]
        if len(matching) > 1:
            raise InvalidArgument(f"multiple IDs found with provided prefix: {ref}")
        if not matching:
            raise NotFound(f"No such container: {ref}")
        return self._by_id[matching[0]]

    def _linked(self, ref: str) -> Container:
        owner, _, alias = ref.removeprefix("/").partition("/")
        found = self._by_id.get(self._names.get(owner, ""))
        for link in (found.record.host_config.get("Links") if found is not None else None) or ():
            target, name = parse_link(link)
            if name == alias:
                return self.find(target)
        raise NotFound(f"No such container: {ref}")

    def reserve(self, name: str, container_id: str) -> None:
        """Take a name; Conflict when another container has it."""
        owner = self._names.get(name)
        if owner is not None and owner != container_id:
            raise Conflict(
                f'Conflict. The container name "/{name}" is already in use by container "{owner}". '
                "You have to remove (or rename) that container to be able to reuse that name."
            )
        self._names[name] = container_id

    def release(self, name: str) -> None:
        """Give a name back."""
        self._names.pop(name, None)

    def expect(self, container: Container) -> None:
        """A container is being made: nobody finds it, but what it refers to is in use."""
        self._coming[container.id] = container

    def users(self) -> Iterator[Container]:
        """Everyone who may refer to an image or a volume: also containers that are being made."""
        return iter((*self._by_id.values(), *self._coming.values()))

    def add(self, container: Container) -> None:
        """Make a container known; its name is reserved already."""
        self._coming.pop(container.id, None)
        self._by_id[container.id] = container

    def remove(self, container: Container) -> None:
        """Forget a container and its name."""
        self._coming.pop(container.id, None)
        self._by_id.pop(container.id, None)
        if self._names.get(container.name) == container.id:
            del self._names[container.name]
