"""Container lists: one row a container, rendered once per change, and Docker's filters over them."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Callable, Iterable, Mapping

import msgspec

from backends.api import types as t
from backends.api.errors import InvalidArgument, NotFound
from backends.core import inspect
from backends.core.clock import SECOND, human_duration
from backends.core.container import Container
from backends.core.filters import boolean, check_keys, labels_match, name_matches
from backends.core.lifecycle import Status
from backends.core.links import parse_link
from backends.core.registry import Registry
from backends.core.validate import parse_port

_FILTERS = {
    "ancestor", "before", "exited", "expose", "health", "id", "is-task", "isolation", "label", "name", "network",
    "publish", "since", "status", "volume",
}  # fmt: skip
Test = Callable[[Container], bool]
_TIMELESS = {"created", "removing", "dead"}
"""States whose status text tells no time."""


def select(
    registry: Registry, all: bool, limit: int, filters: t.Filters, images: Mapping[str, set[str]]
) -> list[Container]:
    """Return the containers of a list request, the newest first. ``images``: the ids that each ancestor means."""
    check_keys(filters, _FILTERS)
    tests = _tests(registry, filters, images)
    if not (all or limit > 0 or "status" in filters):
        tests.append(lambda container: container.running)
    found = [container for container in registry if not container.gone]
    for test in tests:
        found = [container for container in found if test(container)]
    found.sort(key=lambda container: container.record.created, reverse=True)
    return found[:limit] if limit > 0 else found


def _tests(registry: Registry, filters: t.Filters, images: Mapping[str, set[str]]) -> list[Test]:
    tests: list[Test] = []

    def any_of(key: str, test: Callable[[Container, str], bool]) -> None:
        if values := filters.get(key):
            tests.append(lambda container: any(test(container, value) for value in values))

    if names := filters.get("name"):
        tests.append(lambda container: name_matches(names, f"/{container.name}", container.name))
    if labels := filters.get("label"):
        tests.append(lambda container: labels_match(labels, container.record.config.get("Labels")))
    _check_choices(filters, "status", {str(status) for status in Status}, "state")
    _check_choices(filters, "health", {"starting", "healthy", "unhealthy", "none"}, "health")
    any_of("id", lambda container, value: value != "" and container.id.startswith(value))
    any_of("status", lambda container, value: value == container.status)
    any_of("health", lambda container, value: _health(container) == value)
    any_of("exited", lambda container, value: _exited(container) == _integer("exited", value))
    any_of("network", _on_network)
    any_of("volume", _has_volume)
    any_of("publish", lambda container, value: _covers(value, _published(container)))
    any_of("expose", lambda container, value: _covers(value, _exposed(container)))
    if ancestors := filters.get("ancestor"):
        ids = set().union(*(images[name] for name in ancestors))
        tests.append(lambda container: container.record.image in ids)
    for key, sign in (("before", 1), ("since", -1)):
        for ref in filters.get(key, ()):
            moment = _created(registry, ref)
            tests.append(lambda c, sign=sign, moment=moment: sign * c.record.created < sign * moment)  # type: ignore[misc]
    if boolean(filters, "is-task"):
        tests.append(lambda _: False)
    return tests


def _check_choices(filters: t.Filters, key: str, choices: set[str], what: str) -> None:
    order = {"state": "created, running, paused, restarting, removing, exited, dead"}
    for value in filters.get(key, ()):
        if value not in choices:
            listed = order.get(what, "none, starting, healthy, unhealthy")
            raise InvalidArgument(
                f"invalid filter '{key}={value}': invalid value for {what} ({value}): must be one of {listed}"
            )


def _health(container: Container) -> str:
    health = container.record.state.health
    return "none" if health is None else health.status


def _exited(container: Container) -> int | None:
    ended = container.status is Status.EXITED
    return container.record.state.exit_code if ended else None


def _integer(key: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise InvalidArgument(f"invalid filter '{key}={text}'") from None


def _on_network(container: Container, value: str) -> bool:
    return any(
        value == name or (endpoint.network_id and value and endpoint.network_id.startswith(value))
        for name, endpoint in container.record.endpoints.items()
    )


def _has_volume(container: Container, value: str) -> bool:
    mounts = [mount for mount in container.record.mounts if mount.listed]
    return any(value in (mount.volume, mount.destination, mount.source) for mount in mounts)


def _published(container: Container) -> list[tuple[int, str]]:
    """Docker's ``publish`` filter means the ports of the host."""
    return [(port.host_port, port.protocol) for port in container.record.ports]


def _exposed(container: Container) -> list[tuple[int, str]]:
    bound = [(port.port, port.protocol) for port in container.record.ports]
    return bound + [parse_port(port) for port in container.config.exposed_ports or ()]


def _covers(text: str, ports: list[tuple[int, str]]) -> bool:
    numbers, _, protocol = text.partition("/")
    low, _, high = numbers.partition("-")
    try:
        first, last = int(low), int(high or low)
    except ValueError:
        raise InvalidArgument(f"invalid port specification: {text}") from None
    return any(first <= number <= last and kind == (protocol or "tcp") for number, kind in ports)


def _created(registry: Registry, ref: str) -> int:
    try:
        return registry.find(ref).record.created
    except NotFound:
        raise NotFound(f"No such container: {ref}") from None


# -- rows


def rows(
    containers: Iterable[Container],
    now: int,
    registry: Registry,
    sizes: Mapping[str, tuple[int, int]],
    image_ids: Callable[[str], set[str]],
) -> list[t.ContainerSummary]:
    """Return the rows of these containers, ``sizes`` (by id) of those that shall show them.

    ``image_ids``: what an image's name means now; a container whose image lost its name shows the image's id.
    """
    found = [_row(container, now) for container in containers]
    meant = {name: image_ids(name) for name in {row.image for row in found}}
    found = [_renamed(row) if row.image_id not in meant[row.image] else row for row in found]
    linked = _linked(registry)
    if linked or sizes:
        return [_extended(row, linked.get(row.id), sizes.get(row.id)) for row in found]
    return found


def _linked(registry: Registry) -> dict[str, list[str]]:
    """What other containers call a container by a legacy link ("/other/alias"), by its id."""
    found: dict[str, list[str]] = {}
    # PERF: the typed view of a host configuration costs 10 us.
    for owner in [container for container in registry if container.record.host_config.get("Links")]:
        for link in owner.record.host_config.get("Links") or ():
            target, alias = parse_link(link)
            with contextlib.suppress(NotFound, InvalidArgument):
                found.setdefault(registry.find(target).id, []).append(f"/{owner.name}/{alias}")
    return found


def _row(container: Container, now: int) -> t.ContainerSummary:
    """A row, as it was last time if its text is still true: time passes without the container's doing."""
    row = container.rendered
    if row is None:
        row = container.rendered = _render(container, now)
    elif row.state not in _TIMELESS and (text := status_text(container, now)) != row.status:
        row = container.rendered = msgspec.structs.replace(row, status=text)
    return row


def _renamed(row: t.ContainerSummary) -> t.ContainerSummary:
    return msgspec.structs.replace(row, image=row.image_id)


def _extended(row: t.ContainerSummary, linked: list[str] | None, sizes: tuple[int, int] | None) -> t.ContainerSummary:
    if linked:
        row = msgspec.structs.replace(row, names=sorted([*row.names, *linked]))
    if sizes is not None:
        row = msgspec.structs.replace(row, size_rw=sizes[0] or msgspec.UNSET, size_root_fs=sizes[1])
    return row


def _render(container: Container, now: int) -> t.ContainerSummary:
    record = container.record
    settings = inspect.network_settings(container)
    networks = {name: _listed(endpoint) for name, endpoint in settings.networks.items()}
    return t.ContainerSummary(
        id=record.id,
        names=[f"/{record.name}"],
        image=record.config.get("Image") or "",
        image_id=record.image,
        command=command_text([record.path, *record.args]),
        created=record.created // SECOND,
        ports=_ports(settings.ports),
        labels=record.config.get("Labels") or {},
        state=str(record.state.status),
        status=status_text(container, now),
        host_config={"NetworkMode": record.host_config["NetworkMode"]},
        network_settings=t.ListedNetworks(networks=msgspec.Raw(msgspec.json.encode(networks))),
        mounts=[inspect.mount(mount) for mount in record.mounts if mount.listed],
    )


def _listed(endpoint: t.Endpoint) -> t.Endpoint:
    """A list leaves out what an endpoint is called and how its driver is set."""
    return msgspec.structs.replace(endpoint, aliases=None, dns_names=None, driver_opts=None)


def command_text(argv: list[str]) -> str:
    """The command as ``docker ps`` shows it: arguments with blanks are quoted."""
    words = [argv[0]]
    for argument in argv[1:]:
        words.append(shlex.quote(argument) if not argument or set(argument) & set(" \t\n'\"") else argument)
    return " ".join(words)


def _ports(published: dict[str, list[t.PortBinding] | None]) -> list[t.Port]:
    found = []
    for key, bindings in published.items():
        number, protocol = parse_port(key)
        if bindings is None:
            found.append(t.Port(private_port=number, type=protocol))
        for binding in bindings or ():
            public = int(binding.host_port)
            found.append(t.Port(ip=binding.host_ip, private_port=number, public_port=public, type=protocol))
    return found


def status_text(container: Container, now: int) -> str:
    """Docker's human text: "Up 5 minutes (healthy)", "Exited (0) 2 seconds ago"."""
    state = container.record.state
    ago = human_duration((now - state.finished_at) / SECOND) if state.finished_at else ""
    match state.status:
        case Status.CREATED:
            return "Created"
        case Status.REMOVING:
            return "Removal In Progress"
        case Status.DEAD:
            return "Dead"
        case Status.RESTARTING:
            return f"Restarting ({state.exit_code}) {ago} ago"
        case Status.EXITED:
            return f"Exited ({state.exit_code}) {ago} ago"
    up = f"Up {human_duration((now - state.started_at) / SECOND)}"
    if state.status is Status.PAUSED:
        return f"{up} (Paused)"
    if state.health is not None:
        text = {"starting": "health: starting"}.get(state.health.status, state.health.status)
        return f"{up} ({text})"
    return up
