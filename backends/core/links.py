"""Legacy links: ``--link name:alias`` gives a container the address, ports and environment of another one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from backends.api.errors import InvalidArgument, NotFound
from backends.core.config import env_key
from backends.core.validate import parse_port

if TYPE_CHECKING:
    from backends.core.registry import Registry


def parse_link(text: str) -> tuple[str, str]:
    """Return (container, alias) of "container[:alias]"; inspect's form "/a:/b/alias" is read too."""
    name, _, alias = text.partition(":")
    if not name or ":" in alias:
        raise InvalidArgument(f"bad format for links: {text}")
    alias = alias.rpartition("/")[2]
    return name.removeprefix("/"), alias or name.removeprefix("/")


def shown_links(links: list[str] | None, owner: str, registry: Registry) -> list[str] | None:
    """Return the links of the container ``owner`` as inspect shows them: "/container:/owner/alias"."""
    if not links:
        return None
    return [f"/{_name(target, registry)}:/{owner}/{alias}" for target, alias in map(parse_link, links)]


def _name(ref: str, registry: Registry) -> str:
    try:
        return registry.find(ref).name
    except NotFound:
        return ref


def link_env(owner: str, alias: str, address: str, ports: Iterable[str], env: Iterable[str]) -> list[str]:
    """Return the variables that Docker sets for one link of the container ``owner`` (moby links.ToEnv)."""
    prefix = alias.replace("-", "_").upper()
    parsed = sorted((parse_port(port) for port in ports), key=lambda item: (item[1], item[0]))
    found = []
    if parsed:
        number, protocol = parsed[0]
        found.append(f"{prefix}_PORT={protocol}://{address}:{number}")
    found += _ranges(prefix, address, parsed)
    for number, protocol in parsed:
        head = f"{prefix}_PORT_{number}_{protocol.upper()}"
        found.append(f"{head}={protocol}://{address}:{number}")
        found += [f"{head}_ADDR={address}", f"{head}_PORT={number}", f"{head}_PROTO={protocol}"]
    found.append(f"{prefix}_NAME=/{owner}/{alias}")
    found += [f"{prefix}_ENV_{entry}" for entry in env if env_key(entry) not in ("HOME", "PATH") and "=" in entry]
    return found


def _ranges(prefix: str, address: str, ports: list[tuple[int, str]]) -> list[str]:
    """Consecutive ports get _START and _END variables."""
    found: list[str] = []
    index = 0
    while index < len(ports):
        end = index
        while end + 1 < len(ports) and ports[end + 1] == (ports[end][0] + 1, ports[end][1]):
            end += 1
        if end > index:
            (first, protocol), last = ports[index], ports[end][0]
            head = f"{prefix}_PORT_{first}_{protocol.upper()}"
            found += [
                f"{head}_START={protocol}://{address}:{first}",
                f"{head}_PORT_START={first}",
                f"{head}_END={protocol}://{address}:{last}",
                f"{head}_PORT_END={last}",
            ]
        index = end + 1
    return found
