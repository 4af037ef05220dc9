"""Which processes make up an appliance, and the supervisord configuration that runs them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from appliance.config import Config


@dataclass(frozen=True)
class Process:
    """One supervised process. ``priority``: lower ones start first and stop last."""

    name: str
    command: tuple[str, ...]
    priority: int
    stop_seconds: int = 20
    environment: dict[str, str] = field(default_factory=dict)


def processes(config: Config) -> tuple[Process, ...]:
    """The frontend and a worker for each backend, workers first."""
    return (*(_worker(config, backend) for backend in config.backend), _frontend(config))


def _worker(config: Config, backend: str) -> Process:
    command = [sys.executable, "-m", f"backends.{backend}", "--socket", str(config.worker_socket(backend))]
    return Process(backend, (*command, *_OPTIONS[backend](config)), priority=10)


def _docker(config: Config) -> list[str]:
    return ["--engine", config.docker_engine]


def _memory(config: Config) -> list[str]:
    command = ["--data", str(config.data_dir / "memory")]
    if config.userland:
        command += ["--userland", str(config.userland)]
    for mirror in config.registry_mirrors:
        command += ["--registry-mirror", mirror]
    for registry in config.insecure_registries:
        command += ["--insecure-registry", registry]
    if config.build_add_urls:
        command.append("--build-add-urls")
    return command


_OPTIONS: dict[str, Callable[[Config], list[str]]] = {"memory": _memory, "docker": _docker}
#: Backends with a Docker engine behind them, which takes requests as they are.
_RELAYS = ("docker",)


def _frontend(config: Config) -> Process:
    command = [sys.executable, "-m", "frontend", "--default-runtime", config.backend[0]]
    for backend in config.backend:
        option = "--relay" if backend in _RELAYS else "--worker"
        command += [option, f"{backend}={config.worker_socket(backend)}"]
    for address in config.addresses:
        command += ["--listen", address]
    return Process("frontend", tuple(command), priority=20)


def supervisord_conf(config: Config, programs: Iterable[Process]) -> str:
    """Return the text of supervisord's configuration file."""
    sections = [
        "[supervisord]",
        "nodaemon=false",
        "silent=true",
        f"logfile={_quote(config.log_dir / 'supervisord.log')}",
        "logfile_maxbytes=1MB",
        f"pidfile={_quote(config.run_dir / 'supervisord.pid')}",
        f"childlogdir={_quote(config.log_dir)}",
        "minfds=4096",
        "",
        "[unix_http_server]",
        f"file={_quote(config.supervisor_socket)}",
        "chmod=0600",
        "",
        "[rpcinterface:supervisor]",
        "supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface",
    ]
    for program in programs:
        sections += ["", *_program(config, program)]
    return "\n".join(sections) + "\n"


def _program(config: Config, program: Process) -> list[str]:
    lines = [
        f"[program:{program.name}]",
        f"command={' '.join(_argument(part) for part in program.command)}",
        f"priority={program.priority}",
        "autostart=true",
        "autorestart=true",
        "startsecs=1",
        "startretries=100",  # with growing pauses: what is in the way (a full disk) may go away
        "stopsignal=TERM",
        f"stopwaitsecs={program.stop_seconds}",
        "redirect_stderr=true",
        f"stdout_logfile={_quote(config.log_dir / (program.name + '.log'))}",
        "stdout_logfile_maxbytes=10MB",
        "stdout_logfile_backups=2",
    ]
    if program.environment:
        lines.append("environment=" + ",".join(f"{k}={_argument(v)}" for k, v in program.environment.items()))
    return lines


def _quote(value: object) -> str:
    # supervisord expands %(name)s in every value.
    return str(value).replace("%", "%%")


def _argument(text: str) -> str:
    return '"' + _quote(text).replace("\\", "\\\\").replace('"', '\\"') + '"'
