"""Proxies of the environment: HTTP_PROXY, HTTPS_PROXY and NO_PROXY with the meaning they have for dockerd (Go's
golang.org/x/net/http/httpproxy). ``localhost`` and loopback addresses are never asked for through a proxy.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from aiohttp import ClientRequest, ClientResponse
    from yarl import URL

_SCHEMES = ("http", "https")
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


async def through_proxy(
    request: ClientRequest, handler: Callable[[ClientRequest], Awaitable[ClientResponse]]
) -> ClientResponse:
    """An aiohttp middleware: send each request, redirected ones too, by the proxy that the environment names for it.

    ClientConnectionError for a proxy of a kind that aiohttp does not speak to.
    """
    import aiohttp

    proxy = proxy_for(request.url, os.environ)
    if proxy is not None:
        if proxy.scheme not in _SCHEMES:
            raise aiohttp.ClientConnectionError(f"proxyconnect tcp: {proxy.scheme} proxies are not supported")
        headers = {}
        if proxy.user:
            headers["Proxy-Authorization"] = aiohttp.encode_basic_auth(proxy.user, proxy.password or "")
        request.update_proxy(proxy.with_user(None), None, headers)
        if not request.is_ssl():
            request.headers.update(headers)  # without a tunnel the request itself is what the proxy reads
    return await handler(request)


def proxy_for(url: URL, environ: Mapping[str, str]) -> URL | None:
    """The proxy to reach ``url`` by, None for none."""
    from yarl import URL

    address = _first(environ, f"{url.scheme}_proxy")
    if not address or url.host is None or not _wants_proxy(url.host, url.port, _first(environ, "no_proxy")):
        return None
    return URL(address if "://" in address else f"http://{address}")


class Settings(NamedTuple):
    """What the environment says; ``none`` is where no proxy is to be used."""

    http: str
    https: str
    none: str


def settings(environ: Mapping[str, str]) -> Settings:
    """The environment's settings as Docker shows them in its info: without credentials."""
    http, https = (_masked(_first(environ, name)) for name in ("http_proxy", "https_proxy"))
    return Settings(http, https, _first(environ, "no_proxy"))


def _masked(address: str) -> str:
    if not address:
        return ""
    from yarl import URL

    try:
        url = URL(address)
    except ValueError:
        return address
    return str(url.with_user("xxxxx").with_password("xxxxx")) if url.raw_user else address


def variables(environ: Mapping[str, str]) -> dict[str, str]:
    """The same for a program that uses libcurl, as its environment."""
    found = {name: _first(environ, name) for name in ("http_proxy", "https_proxy")}
    found = {name: address for name, address in found.items() if address}
    local = "localhost,127.0.0.1,::1"
    return {**found, "no_proxy": f"{_first(environ, 'no_proxy')},{local}".strip(",")} if found else {}


def _first(environ: Mapping[str, str], name: str) -> str:
    return environ.get(name.upper()) or environ.get(name) or ""


def _wants_proxy(host: str, port: int | None, excluded: str) -> bool:
    host = host.lower().rstrip(".")
    address = _address(host)
    if host == "localhost" or (address is not None and address.is_loopback):
        return False
    return not any(_matches(item.strip().lower(), host, address, port) for item in excluded.split(","))


def _matches(item: str, host: str, address: Address | None, port: int | None) -> bool:
    """Whether one entry of NO_PROXY means this host: ``*``, a range, ``address[:port]`` or ``domain[:port]``."""
    if item == "*":
        return True
    if "/" in item:
        try:
            return address is not None and address in ipaddress.ip_network(item, strict=False)
        except ValueError:
            return False
    name, colon, number = item.rpartition(":")
    if colon and number.isdigit() and (name.endswith("]") or ":" not in name):
        if int(number) != port:
            return False
        item = name
    item = item.strip("[]")
    if address is not None:
        return _address(item) == address
    domain = item.removeprefix("*")
    return bool(domain) and (host == domain or host.endswith(domain if domain.startswith(".") else f".{domain}"))


def _address(text: str) -> Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None
