"""The appliance's settings: one TOML file, environment variables and flags with the same names.

A setting ``run_dir`` is the key ``run_dir`` in the file, ``SOCKERLESS_RUN_DIR`` in the environment and ``--run-dir`` on
the command line. A flag wins over the environment, the environment over the file, the file over the default.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

# sockaddr_un.sun_path holds 108 bytes with its terminating zero (unix(7)).
SOCKET_PATH_LIMIT = 107
BACKENDS = ("memory", "docker")


class ConfigError(Exception):
    """A setting that cannot be used; the message names it and says what to do."""


def _runtime_base() -> Path:
    if os.geteuid() == 0:
        return Path("/run")
    return Path(os.environ.get("XDG_RUNTIME_DIR") or f"/tmp/user-{os.geteuid()}")


def _data_base() -> Path:
    if os.geteuid() == 0:
        return Path("/var/lib")
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share")


@dataclass(frozen=True)
class Config:
    """All settings, checked. ``listen`` entries are ``unix:///path`` or ``tcp://host:port``.

    ``backend``: each is a runtime, the first of them the default; ``docker_engine``: what the docker backend drives.
    """

    run_dir: Path = field(default_factory=lambda: _runtime_base() / "sockerless")
    data_dir: Path = field(default_factory=lambda: _data_base() / "sockerless")
    listen: tuple[str, ...] = ()
    backend: tuple[str, ...] = ("memory",)
    docker_engine: str = "unix:///run/docker.sock"
    userland: Path | None = None
    registry_mirrors: tuple[str, ...] = ()
    insecure_registries: tuple[str, ...] = ()
    build_add_urls: bool = False
    start_timeout: float = 30.0

    @property
    def docker_socket(self) -> Path:
        """Where the Docker API listens when ``listen`` names no place."""
        return self.run_dir / "docker.sock"

    @property
    def addresses(self) -> tuple[str, ...]:
        """Every place where the Docker API listens."""
        return self.listen or (f"unix://{self.docker_socket}",)

    def worker_socket(self, backend: str) -> Path:
        """Where a backend's worker listens."""
        return self.run_dir / f"{backend}-worker.sock"

    @property
    def supervisor_socket(self) -> Path:
        return self.run_dir / "supervisor.sock"

    @property
    def log_dir(self) -> Path:
        return self.data_dir / "logs"


NAMES = tuple(f.name for f in fields(Config))
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False, "": False}
_LISTS = ("listen", "backend", "registry_mirrors", "insecure_registries")


def load(flags: Mapping[str, Any], environment: Mapping[str, str], file: Path | None = None) -> Config:
    """Return the settings from ``flags`` (unset ones None), ``environment`` and ``file``; raises ConfigError."""
    file = file or _default_file(environment)
    values = _from_file(file) if file else {}
    for name in NAMES:
        text = environment.get(f"SOCKERLESS_{name.upper()}")
        if text is not None:
            values[name] = [part for part in text.split(",") if part] if name in _LISTS else text
    values.update({name: value for name, value in flags.items() if name in NAMES and value is not None})
    return _check(Config(**{name: _convert(name, value) for name, value in values.items()}))


def _default_file(environment: Mapping[str, str]) -> Path | None:
    named = environment.get("SOCKERLESS_CONFIG")
    if named:
        return Path(named)
    base = Path("/etc") if os.geteuid() == 0 else Path(environment.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    file = base / "sockerless" / "config.toml"
    return file if file.exists() else None


def _from_file(file: Path) -> dict[str, Any]:
    try:
        values = tomllib.loads(file.read_text())
    except OSError as error:
        raise ConfigError(f"cannot read {file}: {error.strerror}") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{file} is not valid TOML: {error}") from error
    unknown = sorted(set(values) - set(NAMES))
    if unknown:
        raise ConfigError(f"{file} has unknown settings: {', '.join(unknown)}; known are: {', '.join(NAMES)}")
    return values


def _convert(name: str, value: Any) -> Any:
    try:
        if name in ("run_dir", "data_dir", "userland"):
            return Path(value).expanduser().absolute()
        if name == "start_timeout":
            return float(value)
        if name == "build_add_urls":
            return _boolean(value)
        if name in _LISTS:
            return (value,) if isinstance(value, str) else tuple(str(part) for part in value)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{name}: {value!r} cannot be used: {error}") from error
    return str(value)


def _boolean(value: Any) -> bool:
    text = str(value).lower()
    if text not in _BOOLEANS:
        raise ValueError("it is true or false")
    return _BOOLEANS[text]


def _check(config: Config) -> Config:
    for backend in config.backend:
        if backend not in BACKENDS:
            raise ConfigError(f"backend: unknown backend {backend!r}; known are: {', '.join(BACKENDS)}")
    if not config.backend or len(set(config.backend)) < len(config.backend):
        raise ConfigError("backend: name each backend once, at least one")
    for path in (config.docker_socket, config.supervisor_socket, *map(config.worker_socket, config.backend)):
        check_socket_path(path)
    for address in config.addresses:
        _check_address("listen", address)
    _check_address("docker_engine", config.docker_engine)
    if "docker" in config.backend and config.docker_engine in config.addresses:
        raise ConfigError(f"docker_engine: {config.docker_engine} is where this appliance itself listens")
    return config


def check_socket_path(path: Path) -> None:
    """Raise ConfigError when the kernel could not bind a Unix socket at ``path``."""
    size = len(os.fsencode(path))
    if size > SOCKET_PATH_LIMIT:
        raise ConfigError(
            f"the socket path {path} is {size} bytes long, a Unix socket's may be {SOCKET_PATH_LIMIT}: "
            "choose a shorter run_dir (--run-dir)"
        )


def _check_address(setting: str, address: str) -> None:
    scheme, _, rest = address.partition("://")
    if scheme == "unix" and rest.startswith("/"):
        check_socket_path(Path(rest))
    elif scheme != "tcp" or not rest.rpartition(":")[2].isdigit() or not rest.rpartition(":")[0]:
        raise ConfigError(f"{setting}: {address!r} is neither unix:///path nor tcp://host:port")
