"""A container's Config: what the user asks for, completed from the image by Docker's rules, as inspect echoes it."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from backends.api.errors import InvalidArgument
from backends.api.types import Json

T = TypeVar("T")
StrList = list[str] | str | None


class Healthcheck(msgspec.Struct, rename="pascal", kw_only=True):
    """Docker's HealthConfig; durations in nanoseconds, 0 = the default."""

    test: list[str] | None = None
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    start_interval: int = 0
    retries: int = 0


class Config(msgspec.Struct, rename="pascal", kw_only=True):
    """The fields of Docker's ContainerConfig that the engine gives a meaning."""

    hostname: str | None = None
    domainname: str | None = None
    user: str | None = None
    attach_stdin: bool = False
    attach_stdout: bool = False
    attach_stderr: bool = False
    exposed_ports: dict[str, Any] | None = None
    tty: bool = False
    open_stdin: bool = False
    stdin_once: bool = False
    env: list[str] | None = None
    cmd: StrList = None
    healthcheck: Healthcheck | None = None
    image: str | None = None
    volumes: dict[str, Any] | None = None
    working_dir: str | None = None
    entrypoint: StrList = None
    labels: dict[str, str] | None = None
    stop_signal: str | None = None
    stop_timeout: int | None = None
    mac_address: str | None = None
    network_disabled: bool = False


def view(data: Json, kind: type[T]) -> T:
    """Read a JSON object as ``kind``; InvalidArgument when a field has the wrong type."""
    try:
        return msgspec.convert(data, kind)
    except msgspec.ValidationError as error:
        raise InvalidArgument(f"invalid JSON: {error}") from None


def strings(value: StrList) -> list[str] | None:
    """Go's strslice: one string is a list of one."""
    return [value] if isinstance(value, str) else value


def env_key(entry: str) -> str:
    """The name in "NAME=value"."""
    return entry.partition("=")[0]


def merge_env(user: list[str] | None, image: list[str] | None) -> list[str]:
    """The user's entries, then those of the image whose names the user has not set (moby runconfig.Merge)."""
    merged = list(user or [])
    names = {env_key(entry) for entry in merged}
    return merged + [entry for entry in image or [] if env_key(entry) not in names]


def merge(user: Json, image: Json) -> Json:
    """Return ``user`` completed from the image's config; unknown fields of the user are kept."""
    mine, base = view(user, Config), view(_image_fields(image), Config)
    entrypoint, cmd = strings(mine.entrypoint), strings(mine.cmd)
    if not entrypoint:
        cmd = cmd or strings(base.cmd)
        entrypoint = strings(base.entrypoint) if entrypoint is None else entrypoint
    if entrypoint == [""]:
        entrypoint = None
    if not entrypoint and not cmd:
        raise InvalidArgument("no command specified")
    merged: Json = {
        "Hostname": mine.hostname or "",
        "Domainname": mine.domainname or "",
        "User": mine.user or base.user or "",
        "AttachStdin": mine.attach_stdin,
        "AttachStdout": mine.attach_stdout,
        "AttachStderr": mine.attach_stderr,
        "ExposedPorts": {**(base.exposed_ports or {}), **(mine.exposed_ports or {})},
        "Tty": mine.tty,
        "OpenStdin": mine.open_stdin,
        "StdinOnce": mine.stdin_once,
        "Env": merge_env(mine.env, base.env),
        "Cmd": cmd,
        "Image": mine.image or "",
        "Volumes": {**(base.volumes or {}), **(mine.volumes or {})} or None,
        "WorkingDir": _clean(mine.working_dir or base.working_dir or ""),
        "Entrypoint": entrypoint,
        "Labels": {**(base.labels or {}), **(mine.labels or {})},
    }
    optional: Json = {
        "Healthcheck": _health(mine.healthcheck, base.healthcheck),
        "StopSignal": mine.stop_signal or base.stop_signal,
        "StopTimeout": mine.stop_timeout,
        "Shell": user.get("Shell") or image.get("Shell"),
    }
    merged |= {key: value for key, value in optional.items() if value is not None and value != ""}
    if not merged["ExposedPorts"]:
        del merged["ExposedPorts"]
    return merged | {key: value for key, value in user.items() if key not in merged and key not in _DROPPED}


_DROPPED = {"ExposedPorts", "Healthcheck", "StopSignal", "StopTimeout", "Shell", "MacAddress"}


def _image_fields(image: Json) -> Json:
    """An image config's own fields; a null where a struct wants a value is left out."""
    return {key: value for key, value in image.items() if value is not None}


def _clean(path: str) -> str:
    """Go's filepath.Clean for an absolute path."""
    import posixpath

    return posixpath.normpath(path).replace("//", "/") if path else ""


def _health(user: Healthcheck | None, image: Healthcheck | None) -> Json | None:
    if user is None:
        return _render(image) if image is not None else None
    if image is None:
        return _render(user)
    return _render(
        Healthcheck(
            test=user.test or image.test,
            interval=user.interval or image.interval,
            timeout=user.timeout or image.timeout,
            start_period=user.start_period or image.start_period,
            start_interval=user.start_interval or image.start_interval,
            retries=user.retries or image.retries,
        )
    )


def _render(health: Healthcheck) -> Json:
    rendered: Json = {
        "Test": health.test,
        "Interval": health.interval,
        "Timeout": health.timeout,
        "StartPeriod": health.start_period,
        "StartInterval": health.start_interval,
        "Retries": health.retries,
    }
    return {key: value for key, value in rendered.items() if value}
