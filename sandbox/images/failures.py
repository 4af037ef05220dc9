"""Requests to a registry that brought no answer: in Go's words where it has some, and whether to try again.

aiohttp is imported only when there is a failure to look at.
"""

from __future__ import annotations

from sandbox.images.errors import RegistryError, RegistryUnavailable


class NobodyThere(RegistryUnavailable):
    """The host has no address, nobody listens there, or its certificate is not trusted: no use in trying again."""


def failure(what: str, error: Exception) -> RegistryError:
    """The error of a request: RegistryUnavailable (NobodyThere) if the host or the way there is at fault,
    RegistryError if what was answered is."""
    import aiohttp

    if isinstance(error, aiohttp.ClientConnectorDNSError | aiohttp.ClientConnectorCertificateError) or _refused(error):
        kind: type[RegistryError] = NobodyThere
    elif isinstance(error, aiohttp.ClientConnectionError | aiohttp.ClientPayloadError | TimeoutError | OSError):
        kind = RegistryUnavailable
    else:
        kind = RegistryError
    return kind(f"{what}: {reason(error)}")


def reason(error: Exception) -> str:
    """Why a request failed."""
    import aiohttp

    match error:
        case aiohttp.ClientProxyConnectionError():
            how = "connection refused" if _refused(error) else error.strerror
            return f"proxyconnect tcp: dial tcp {error.host}:{error.port}: connect: {how}"
        case aiohttp.ClientHttpProxyError():
            return error.message or f"proxy answered {error.status}"
        case aiohttp.ClientConnectorDNSError():
            return f"dial tcp: lookup {error.host}: no such host"
        case aiohttp.ClientConnectorError() if _refused(error):
            return f"dial tcp {error.host}:{error.port}: connect: connection refused"
        case aiohttp.TooManyRedirects():
            return f"stopped after {len(error.history)} redirects"
        case aiohttp.NonHttpUrlClientError():
            return f'unsupported protocol scheme "{str(error).partition(":")[0]}"'
        case aiohttp.InvalidURL():
            return f'invalid URL "{error.url}"'
        case aiohttp.ClientResponseError():
            return f"malformed HTTP response: {error.message.partition(chr(10))[0].removesuffix(':')}"
    return str(error) or type(error).__name__


def _refused(error: Exception) -> bool:
    import aiohttp

    return isinstance(error, aiohttp.ClientConnectorError) and isinstance(error.os_error, ConnectionRefusedError)
