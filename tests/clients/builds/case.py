"""A build as data: a context, docker commands on it, and their transcript."""

from __future__ import annotations

import io
import re
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tests.clients.engine import Engine
from tests.oracle.tools import tool

_ID = re.compile(r"\b(?:sha256:)?(?:[0-9a-f]{64}|[0-9a-f]{12})\b")
_HASH = re.compile(r"\b(file|dir|multi):[0-9a-f]{64}")
_PLACE = re.compile(r"/\S*/sockerless-oracle-[^/\s]+")
_CHATTER = re.compile(r"(?m)^(! )?(Sending build context.*|DEPRECATED: .*|            .*|\s*)\n")
TAGS = ("case", "case2", "case:c", "other/x:2")
Content = str | bytes | tuple[str, int] | None


@dataclass(frozen=True)
class Case:
    """``files``: text ("-> x" is a link), bytes, (text, mode), None for a directory. ``input`` is standard input."""

    name: str
    dockerfile: str
    commands: tuple[tuple[str, ...], ...]
    files: Mapping[str, Content] = field(default_factory=dict)
    input: str = ""


def write_context(case: Case, folder: Path) -> None:
    """Write a case's context."""
    for name, content in {"Dockerfile": case.dockerfile, **case.files}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if content is None:
            path.mkdir(exist_ok=True)
        elif isinstance(content, bytes):
            path.write_bytes(content)
        elif isinstance(content, tuple):
            path.write_text(content[0])
            path.chmod(content[1])
        elif content.startswith("-> "):
            path.symlink_to(content[3:])
        else:
            path.write_text(content)


def transcript(case: Case, engine: Engine, folder: Path) -> str:
    """Run a case on an engine that remembers nothing of others; what it printed, ids numbered as they appear."""
    write_context(case, folder)
    clean(engine)
    said: list[str] = []
    for command in case.commands:
        done = docker(engine, folder, *command, input=case.input)
        shown = " ".join(word if re.fullmatch(r"[\w./:=-]+", word) else repr(word) for word in command)
        errors = "".join(f"! {line}\n" for line in done.stderr.splitlines() if line.strip())
        said.append(f"$ docker {shown}\n{done.stdout}{errors}[{done.code}]\n")
    return normalise("\n".join(said).replace(str(folder), "CONTEXT"))


def docker(engine: Engine, folder: Path, *command: str, input: str = ""):  # type: ignore[no-untyped-def]
    """A docker command in the context's folder, with the classic builder."""
    return engine.run([tool("docker"), *command], cwd=folder, env={"DOCKER_BUILDKIT": "0"}, input=input)


def clean(engine: Engine) -> None:
    """Forget earlier builds."""
    docker(engine, engine.home, "container", "prune", "-f")
    docker(engine, engine.home, "rmi", "-f", *TAGS)
    docker(engine, engine.home, "image", "prune", "-f")


def normalise(text: str) -> str:
    """Take out what differs from run to run."""
    seen: dict[str, str] = {}
    text = _PLACE.sub("DATA", text)
    text = _CHATTER.sub("", _HASH.sub(lambda found: f"{found[1]}:HASH", text))
    text = re.sub(r"(?m)^.*\|[\d.]+MB\|.*$", "(the base image)", text)
    return _ID.sub(lambda found: seen.setdefault(found[0].removeprefix("sha256:")[:12], f"<{len(seen) + 1}>"), text)


def archive(members: Mapping[str, str], mode: Literal["w", "w:gz"] = "w", uid: int = 0) -> bytes:
    """A tar of small files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as tar:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.uid, entry.gid, entry.mode = len(content), uid, uid, 0o640
            tar.addfile(entry, io.BytesIO(content.encode()))
    return buffer.getvalue()
