"""Who to be at a registry: what the client sent along (X-Registry-Auth), else what docker's config.json says."""

from __future__ import annotations

import asyncio
import base64
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from sandbox.images.errors import Unauthorized

HELPER_SECONDS = 30.0
_HUB_KEYS = ("https://index.docker.io/v1/", "index.docker.io", "docker.io", "registry-1.docker.io")


@dataclass(frozen=True, slots=True)
class Credentials:
    """All optional. ``identity_token`` is an OAuth2 refresh token, ``registry_token`` a ready bearer token."""

    username: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)
    registry_token: str = field(default="", repr=False)

    def __bool__(self) -> bool:
        return bool(self.username or self.identity_token or self.registry_token)

    @classmethod
    def of_auth_config(cls, auth: Mapping[str, Any]) -> Credentials:
        """From Docker's AuthConfig: username, password, auth (base64 user:password), identitytoken, registrytoken."""
        username, password = str(auth.get("username") or ""), str(auth.get("password") or "")
        if not username and auth.get("auth"):
            username, password = _split_auth(str(auth["auth"]))
        return cls(username, password, str(auth.get("identitytoken") or ""), str(auth.get("registrytoken") or ""))


async def from_docker_config(domain: str, config_file: Path | None = None) -> Credentials:
    """Credentials for a registry host from config.json: its credential helper, the store of all, or ``auths``.

    Without ``config_file``: ``$DOCKER_CONFIG/config.json``, else ``~/.docker/config.json``. Empty if there are none;
    Unauthorized if the file or a helper is broken.
    """
    path = config_file or Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker") / "config.json"
    try:
        config = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except FileNotFoundError:
        return Credentials()
    except (ValueError, RecursionError) as error:
        raise Unauthorized(f"{path}: {error}") from None
    keys = _HUB_KEYS if domain in _HUB_KEYS else (domain, f"https://{domain}", f"https://{domain}/v1/")
    helpers = config.get("credHelpers") or {}
    for key in keys:
        helper = helpers.get(key) or config.get("credsStore")
        if helper:
            found = await _ask_helper(str(helper), key)
            if found:
                return found
        auth = (config.get("auths") or {}).get(key)
        if auth:
            return Credentials.of_auth_config(auth)
    return Credentials()


async def _ask_helper(helper: str, key: str) -> Credentials:
    """docker-credential-helpers: the host on stdin, JSON on stdout; user ``<token>`` means an identity token."""
    program = f"docker-credential-{helper}"
    if "/" in helper:
        raise Unauthorized(f"credential helper {helper!r} is no plain name")
    try:
        process = await asyncio.create_subprocess_exec(
            program,
            "get",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
    except FileNotFoundError:
        raise Unauthorized(f"credential helper {program} is not installed") from None
    try:
        async with asyncio.timeout(HELPER_SECONDS):
            out, err = await process.communicate(key.encode())
    except TimeoutError:
        raise Unauthorized(f"credential helper {program} did not answer in {HELPER_SECONDS:.0f} s") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        message = (out + err).decode(errors="replace").strip()
        if "credentials not found" in message:
            return Credentials()
        raise Unauthorized(f"credential helper {program}: {message or f'exit code {process.returncode}'}")
    try:
        answer = msgspec.json.decode(out, type=dict[str, str])
    except (ValueError, RecursionError) as error:
        raise Unauthorized(f"credential helper {program}: {error}") from None
    username, secret = answer.get("Username", ""), answer.get("Secret", "")
    return Credentials(identity_token=secret) if username == "<token>" else Credentials(username, secret)


def _split_auth(encoded: str) -> tuple[str, str]:
    try:
        username, _, password = base64.b64decode(encoded).decode().partition(":")
    except ValueError:
        raise Unauthorized("auth is not base64 of user:password") from None
    return username, password.rstrip("\0")
