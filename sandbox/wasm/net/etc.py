"""What a container finds in /etc/resolv.conf and /etc/hosts."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from sandbox.wasm.net import forward
from sandbox.wasm.net.isolated import DNS, IsolatedStack

if TYPE_CHECKING:
    from sandbox.wasm.net.stack import Stack

HOSTS = Path("/etc/hosts")


def resolv_conf(stack: Stack, path: Path = forward.RESOLV_CONF) -> str:
    """The text of /etc/resolv.conf, given the host's own at `path`.

    A stack on a network that resolves asks its own name server. One on the default bridge gets the host's name
    servers but for those on the host's loopback, which it cannot reach; if none is left it asks its own too, which
    leads it to the host's. (Docker would give it a public server of its choice there.) Host networking gets the
    host's file.
    """
    found = _read(path)
    if not isinstance(stack, IsolatedStack):
        return _render(
            stack.nameservers or found.servers, stack.search or found.search, stack.dns_options or found.options
        )
    search = stack.search or found.search
    options = list(stack.dns_options or found.options)
    if any(end.network.resolves for end in stack.endpoints):
        if not any(option.startswith("ndots:") for option in options):
            options.append("ndots:0")
        return _render([DNS[0]], search, options)
    servers = stack.nameservers or [server for server in found.servers if not _is_loopback(server)]
    return _render(servers or ([DNS[0]] if stack.endpoints else []), search, options)


class _Conf:
    def __init__(self) -> None:
        self.servers: list[str] = []
        self.search: list[str] = []
        self.options: list[str] = []


def _read(path: Path) -> _Conf:
    conf = _Conf()
    conf.servers = forward.nameservers(path)
    if conf.servers and all(_is_loopback(server) for server in conf.servers):
        conf.servers = forward.nameservers(forward.SYSTEMD_RESOLV_CONF) or conf.servers
    try:
        lines = path.read_text(errors="surrogateescape").splitlines()
    except OSError:
        return conf
    for line in lines:
        word, *rest = line.split() or [""]
        if word in ("search", "domain"):
            conf.search = rest
        elif word == "options":
            conf.options = rest
    return conf


def _is_loopback(server: str) -> bool:
    try:
        return ipaddress.ip_address(server.partition("%")[0]).is_loopback
    except ValueError:
        return True


def _render(servers: Iterable[str], search: list[str], options: list[str]) -> str:
    lines = [f"nameserver {server}" for server in servers]
    if search and search != ["."]:
        lines.append(f"search {' '.join(search)}")
    if options:
        lines.append(f"options {' '.join(options)}")
    return "".join(line + "\n" for line in lines)


def hosts(stack: Stack, hostname: str, extra: Mapping[str, str] | None = None) -> str:
    """The text of /etc/hosts: localhost, `stack.hosts` and `extra` (name to address), the container's own name.

    As Docker's for containers without IPv6. Host networking gets the host's own file first.
    """
    names = {**stack.hosts, **(extra or {})}
    added = "".join(f"{address}\t{name}\n" for name, address in names.items())
    if not isinstance(stack, IsolatedStack):
        return _own_hosts() + added
    own = "".join(f"{end.address}\t{_with_alias(hostname)}\n" for end in stack.endpoints)
    return f"127.0.0.1\tlocalhost\n{added}{own}"


def _own_hosts() -> str:
    try:
        text = HOSTS.read_text(errors="surrogateescape")
    except OSError:
        return "127.0.0.1\tlocalhost\n"
    return text if text.endswith("\n") or not text else text + "\n"


def _with_alias(hostname: str) -> str:
    short = hostname.partition(".")[0]
    return hostname if short == hostname else f"{hostname} {short}"
