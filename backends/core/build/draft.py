"""A stage's image config as its instructions change it, for docker build and for docker commit --change.

Each change returns what the classic builder writes into the history (Docker's words, Go's %q and %v).
"""

from __future__ import annotations

import json
import posixpath
from collections.abc import Callable
from typing import Any

from backends.api.errors import InvalidArgument
from backends.api.types import Json
from backends.core.build.ports import exposed_ports
from backends.core.signals import parse_signal
from sandbox.images.dockerfile import Expander
from sandbox.images.dockerfile.durations import format_duration
from sandbox.images.dockerfile.instructions import (
    Cmd,
    CommandLine,
    Entrypoint,
    Env,
    Expose,
    Healthcheck,
    Instruction,
    Label,
    Maintainer,
    OnBuild,
    Shell,
    StopSignal,
    User,
    Volume,
)

SHELL = ["/bin/sh", "-c"]


class Draft:
    """``config`` is changed in place. ``note`` is called with what the user should read."""

    def __init__(self, config: Json, author: str = "") -> None:
        self.config = config
        self.author = author
        self.cmd_set = False
        self.notes: list[str] = []

    @property
    def shell(self) -> list[str]:
        """What goes in front of the shell form of commands."""
        return list(self.config.get("Shell") or SHELL)

    def command(self, line: CommandLine) -> list[str]:
        """A command's complete words."""
        return [*self.shell, *line.words] if line.shell else list(line.words)

    def directory(self, path: str) -> str:
        """What WORKDIR makes the working directory."""
        if not path:
            raise InvalidArgument("cannot normalize nothing")
        if path.startswith("/"):
            return path
        return posixpath.normpath(posixpath.join("/", self.config.get("WorkingDir") or "", path))

    def change(self, instruction: Instruction, expander: Expander) -> str:
        """Carry out an expanded instruction that changes nothing but the config; returns its comment."""
        rule = _RULES[type(instruction)]
        comment: str = rule(self, instruction, expander)
        return comment

    def _env(self, instruction: Env, expander: Expander) -> str:
        entries = list(self.config.get("Env") or ())
        for name, value in instruction.pairs:
            entry = f"{name}={value}"
            places = [place for place, old in enumerate(entries) if old.partition("=")[0] == name]
            if places:
                entries[places[0]] = entry
            else:
                entries.append(entry)
        self.config["Env"] = entries
        return " ".join(["ENV", *(f"{name}={value}" for name, value in instruction.pairs)])

    def _label(self, instruction: Label, expander: Expander) -> str:
        self.config["Labels"] = {**(self.config.get("Labels") or {}), **dict(instruction.pairs)}
        return " ".join(["LABEL", *(f"{name}={value}" for name, value in instruction.pairs)])

    def _maintainer(self, instruction: Maintainer, expander: Expander) -> str:
        self.author = instruction.name
        return f"MAINTAINER {instruction.name}"

    def _cmd(self, instruction: Cmd, expander: Expander) -> str:
        self.config["Cmd"] = self.command(instruction.command)
        self.cmd_set = bool(instruction.command.words)
        return f"CMD {_quoted(self.config['Cmd'])}"

    def _entrypoint(self, instruction: Entrypoint, expander: Expander) -> str:
        words = self.command(instruction.command) if instruction.command.words else None
        self.config["Entrypoint"] = words
        if not self.cmd_set:
            self.config["Cmd"] = None
        return f"ENTRYPOINT {_quoted(words or [])}"

    def _healthcheck(self, instruction: Healthcheck, expander: Expander) -> str:
        old = (self.config.get("Healthcheck") or {}).get("Test") or []
        if old and old[0] != "NONE":
            self.notes.append(f"Note: overriding previous HEALTHCHECK: {_listed(old)}\n")
        found: dict[str, Any] = {
            "Test": list(instruction.test),
            "Interval": instruction.interval,
            "Timeout": instruction.timeout,
            "StartPeriod": instruction.start_period,
            "StartInterval": instruction.start_interval,
            "Retries": instruction.retries,
        }
        self.config["Healthcheck"] = {key: value for key, value in found.items() if value}
        durations = (instruction.interval, instruction.timeout, instruction.start_period, instruction.start_interval)
        shown = " ".join(f'"{format_duration(value)}"' for value in durations)
        return f"HEALTHCHECK &{{{_quoted(instruction.test)} {shown} {_character(instruction.retries)}}}"

    def _expose(self, instruction: Expose, expander: Expander) -> str:
        words = [word for port in instruction.ports for word in expander.words(port)]
        exposed = dict(self.config.get("ExposedPorts") or {})
        for word in words:
            exposed |= {port: {} for port in exposed_ports(word)}
        self.config["ExposedPorts"] = exposed
        return f"EXPOSE {' '.join(words)}"

    def _user(self, instruction: User, expander: Expander) -> str:
        self.config["User"] = instruction.user
        return f"USER {instruction.user}"

    def _volume(self, instruction: Volume, expander: Expander) -> str:
        if not all(instruction.paths):
            raise InvalidArgument("VOLUME specified can not be an empty string")
        self.config["Volumes"] = {**(self.config.get("Volumes") or {}), **{path: {} for path in instruction.paths}}
        return f"VOLUME {_listed(instruction.paths)}"

    def _stop_signal(self, instruction: StopSignal, expander: Expander) -> str:
        parse_signal(instruction.signal)
        self.config["StopSignal"] = instruction.signal
        return f"STOPSIGNAL {instruction.signal}"

    def _shell(self, instruction: Shell, expander: Expander) -> str:
        self.config["Shell"] = list(instruction.words)
        return f"SHELL {_listed(instruction.words)}"

    def _onbuild(self, instruction: OnBuild, expander: Expander) -> str:
        self.config["OnBuild"] = [*(self.config.get("OnBuild") or ()), instruction.trigger]
        return f"ONBUILD {instruction.trigger}"


_RULES: dict[type[Instruction], Callable[[Any, Any, Expander], str]] = {
    Env: Draft._env,
    Label: Draft._label,
    Maintainer: Draft._maintainer,
    Cmd: Draft._cmd,
    Entrypoint: Draft._entrypoint,
    Healthcheck: Draft._healthcheck,
    Expose: Draft._expose,
    User: Draft._user,
    Volume: Draft._volume,
    StopSignal: Draft._stop_signal,
    Shell: Draft._shell,
    OnBuild: Draft._onbuild,
}


def _quoted(words: list[str] | tuple[str, ...]) -> str:
    return f"[{' '.join(json.dumps(word, ensure_ascii=False) for word in words)}]"


def _listed(words: list[str] | tuple[str, ...]) -> str:
    return f"[{' '.join(words)}]"


def _character(number: int) -> str:
    """Go's %q of an integer: the character of that number."""
    named = {7: "\\a", 8: "\\b", 9: "\\t", 10: "\\n", 11: "\\v", 12: "\\f", 13: "\\r", 39: "\\'", 92: "\\\\"}
    if number in named:
        return f"'{named[number]}'"
    return f"'{chr(number)}'" if 32 <= number < 127 else f"'\\x{number:02x}'"
