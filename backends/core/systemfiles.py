"""The files that Docker puts over an image's own: /etc/hosts, /etc/hostname, /etc/resolv.conf. Texts only."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

_LOCAL = """127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::\tip6-localnet
ff00::\tip6-mcastprefix
ff02::1\tip6-allnodes
ff02::2\tip6-allrouters
"""
EMBEDDED_DNS = "127.0.0.11"


def hosts(entries: Iterable[tuple[str, Iterable[str]]], base: str | None = None) -> str:
    """Return /etc/hosts: Docker's fixed lines (or ``base``), then (address, names) entries."""
    lines = [f"{address}\t{' '.join(names)}\n" for address, names in entries]
    return (_LOCAL if base is None else base) + "".join(lines)


def host_file(path: str) -> str:
    """Return a file of this machine, "" when it has none."""
    try:
        return Path(path).read_text(errors="replace")
    except FileNotFoundError:
        return ""


def resolv_conf(
    *,
    embedded: bool,
    servers: list[str] | None,
    search: list[str] | None,
    options: list[str] | None,
) -> str:
    """Return /etc/resolv.conf: the embedded server of a user network, or the servers of the host."""
    found = _parse(host_file("/etc/resolv.conf"))
    nameservers = servers or [server for server in found["nameserver"] if not server.startswith("127.")]
    if embedded:
        nameservers = [EMBEDDED_DNS]
        options = ["ndots:0", *[option for option in options or () if not option.startswith("ndots:")]]
    lines = [f"nameserver {server}" for server in nameservers or [EMBEDDED_DNS]]
    domains = search if search else found["search"]
    if domains and domains != ["."]:
        lines.append("search " + " ".join(domains))
    if options:
        lines.append("options " + " ".join(options))
    return "\n".join(lines) + "\n"


def _parse(text: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {"nameserver": [], "search": []}
    for line in text.splitlines():
        words = line.split()
        if words and words[0] in found:
            found[words[0]] += words[1:]
    return found
