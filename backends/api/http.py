"""How the engine contract travels over HTTP/1.1: the operations as derived from ``Engine``, and what both ends share.

See docs/contracts.md, "backends/api", for the table of signatures and their form on the wire.
"""

from __future__ import annotations

import base64
import enum
import errno
import fcntl
import inspect
import os
import socket
import stat
import typing
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from backends.api.engine import Download, Engine, Stream
from backends.api.text import encode

PREFIX = "/engine/"
OUTCOMES = "/streams/"
PARAMETERS_HEADER = "Sockerless-Params"
RESULT_HEADER = "Sockerless-Result"
ERROR_HEADER = "Sockerless-Error"
STREAM_HEADER = "Sockerless-Stream"
LONGEST_PATH = 107  # struct sockaddr_un.sun_path less its final zero


class Answer(enum.Enum):
    """The form of an operation's answer."""

    VALUE = enum.auto()
    ITEMS = enum.auto()
    DOWNLOAD = enum.auto()
    STREAM = enum.auto()


@dataclass(frozen=True)
class Operation:
    """One method of ``Engine``. ``upload`` names the parameter that is the request's body, if there is one."""

    name: str
    answer: Answer
    order: tuple[str, ...]
    upload: str | None
    parameters: type[msgspec.Struct]
    arguments: msgspec.json.Decoder[Any]
    results: msgspec.json.Decoder[Any]

    def bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[bytes, AsyncIterator[bytes] | None]:
        """Return a call's parameters as JSON, and its upload."""
        values = dict(zip(self.order, args, strict=False), **kwargs)
        upload = values.pop(self.upload) if self.upload else None
        return encode(self.parameters(**values)), upload

    def values(self, data: bytes) -> dict[str, Any]:
        """Return the parameters that ``data`` (JSON) holds. Raises msgspec.DecodeError."""
        decoded = self.arguments.decode(data)
        return {name: getattr(decoded, name) for name in self.order if name != self.upload}


class Failure(msgspec.Struct):
    """An error on the wire."""

    kind: str
    message: str


class Line(msgspec.Struct, omit_defaults=True):
    """One line of an ITEMS answer."""

    item: msgspec.Raw = msgspec.Raw(b"")
    error: Failure | None = None


class StreamHead(msgspec.Struct):
    """What the answer to a STREAM operation says ahead of its bytes."""

    id: str
    tty: bool


@asynccontextmanager
async def closing(iterator: AsyncIterator[Any]) -> AsyncIterator[None]:
    """Close ``iterator`` on the way out, if it is of a kind that can be closed (generators are)."""
    try:
        yield
    finally:
        close = getattr(iterator, "aclose", None)
        if close is not None:
            await close()


def to_header(data: bytes) -> str:
    """Return JSON in the form that a header carries."""
    return base64.b64encode(data).decode("ascii")


def from_header(value: str | bytes) -> bytes:
    """The reverse of :func:`to_header`. Raises ValueError."""
    return base64.b64decode(value, validate=True)


def _derive(name: str) -> Operation:
    method = getattr(Engine, name)
    hints = typing.get_type_hints(method)
    returns = hints.pop("return")
    upload = next((n for n, kind in hints.items() if kind == AsyncIterator[bytes]), None)
    signature = inspect.signature(method).parameters
    fields: list[Any] = []
    for parameter, kind in hints.items():
        if parameter != upload:
            default = signature[parameter].default
            fields.append((parameter, kind) if default is inspect.Parameter.empty else (parameter, kind, default))
    struct = msgspec.defstruct(f"{name}_parameters", fields, kw_only=True)
    answer, result = _answer(returns)
    return Operation(
        name, answer, tuple(hints), upload, struct, msgspec.json.Decoder(struct), msgspec.json.Decoder(result)
    )


def _answer(returns: Any) -> tuple[Answer, Any]:
    if returns is Download:
        return Answer.DOWNLOAD, Any
    if returns is Stream:
        return Answer.STREAM, StreamHead
    if typing.get_origin(returns) is AsyncIterator:
        return Answer.ITEMS, typing.get_args(returns)[0]
    return Answer.VALUE, returns


OPERATIONS: dict[str, Operation] = {
    name: _derive(name) for name, member in vars(Engine).items() if inspect.iscoroutinefunction(member)
}


def bind_socket(path: Path, mode: int = 0o660) -> socket.socket:
    """Return a listening Unix socket at ``path``, replacing a dead one.

    Raises OSError, its text fit for a user: the path is too long, somebody listens there, or a file is in the way.
    Two processes that start at once do not steal each other's socket: the folder is locked meanwhile.
    """
    name = os.fspath(path)
    if len(os.fsencode(name)) > LONGEST_PATH:
        raise OSError(errno.ENAMETOOLONG, f"socket path is longer than {LONGEST_PATH} bytes", name)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        _clear(path)
        return _listen(name, mode)
    finally:
        os.close(folder)


def _clear(path: Path) -> None:
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise OSError(errno.EEXIST, "a file that is not a socket is in the way", os.fspath(path))
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(os.fspath(path))
        except ConnectionRefusedError:
            path.unlink()
            return
    raise OSError(errno.EADDRINUSE, "socket already in use", os.fspath(path))


def _listen(name: str, mode: int) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    umask = os.umask(0o777 & ~mode)
    try:
        listener.bind(name)
        listener.listen(1024)
    except BaseException:
        listener.close()
        raise
    finally:
        os.umask(umask)
    listener.setblocking(False)
    return listener


def unlink_socket(path: Path, inode: int) -> None:
    """Remove the socket file at ``path`` if it is still the one with ``inode``."""
    with suppress(FileNotFoundError):
        if path.lstat().st_ino == inode:
            path.unlink()
