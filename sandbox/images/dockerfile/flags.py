"""The flags of one instruction (``--name=value``): which there may be, and what is wrong with the others."""

from __future__ import annotations

from sandbox.images.dockerfile.errors import DockerfileError


class Flags:
    """``text`` may be given once, ``switch`` with or without true or false, ``many`` again and again."""

    def __init__(self, given: tuple[str, ...], *, text: str = "", switch: str = "", many: str = "") -> None:
        self._text: dict[str, str] = {}
        self._many: dict[str, list[str]] = {name: [] for name in many.split()}
        switches = switch.split()
        for flag in given:
            name, equals, value = flag[2:].partition("=")
            if name not in (*text.split(), *switches, *self._many):
                raise DockerfileError(f"unknown flag: --{name}")
            if name in self._text:
                raise DockerfileError(f"duplicate flag specified: --{name}")
            if (equals and not value and name in switches) or (not equals and name not in switches):
                raise DockerfileError(f"missing a value on flag: --{name}")
            if name in self._many:
                self._many[name].append(value)
            else:
                self._text[name] = _boolean(name, value) if name in switches else value

    def text(self, name: str) -> str:
        """A flag's value, "" if it is not given."""
        return self._text.get(name, "")

    def switch(self, name: str) -> bool:
        """Whether a switch is on."""
        return self._text.get(name) == "true"

    def given(self, name: str) -> bool:
        """Whether a flag is there at all."""
        return name in self._text

    def many(self, name: str) -> tuple[str, ...]:
        """All values of a flag."""
        return tuple(self._many[name])


def _boolean(name: str, value: str) -> str:
    found = value.lower() or "true"
    if found not in ("true", "false"):
        raise DockerfileError(f"expecting boolean value for flag --{name}, not: {value}")
    return found
