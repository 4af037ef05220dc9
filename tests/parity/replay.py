"""Plays the request table on an engine, byte for byte as written there, and keeps the answers."""

from __future__ import annotations

import http.client
import json
import re
import socket
import time
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.parity.normalise import normalise

TABLE = Path(__file__).with_name("requests.toml")
SECONDS = 30.0
HEADERS = ("Content-Type", "Cache-Control", "Pragma", "Location")
"""Headers whose values have to be the same."""
ANNOUNCED = ("Api-Version", "Docker-Experimental", "Ostype", "Server", "X-Docker-Container-Path-Stat")
"""Headers that have to be there or not; their values tell which engine it is."""
SHORT = re.compile(r"\b[0-9a-f]{12}\b")
"""The recordings have shortened ids."""
VERSION = re.compile(r"^/v1\.\d+/")
REFERENCE = re.compile(r"\{(\w+)(?::(\d+))?\}")


@dataclass(frozen=True)
class Request:
    """One row of the table. `recorded` is the parts a newer engine was recorded to answer, None where none was."""

    label: str
    method: str
    path: str
    body: bytes | None
    content_type: str
    save: str
    parts: tuple[str, ...]
    recorded: Mapping[str, str] | None


def table(file: Path = TABLE) -> list[Request]:
    return [_request(row) for row in tomllib.loads(file.read_text())["request"]]


def play(path: str, version: str, file: Path = TABLE) -> dict[str, dict[str, str]]:
    """Plays the whole table on the engine at the socket `path`. Returns each answer's parts, normalised, by label."""
    saved = {"began": _moment()}
    return {request.label: _play_one(path, version, request, saved) for request in table(file)}


def _moment() -> str:
    return f"{time.time():.9f}"


def _play_one(path: str, version: str, request: Request, saved: dict[str, str]) -> dict[str, str]:
    saved["now"] = _moment()
    target = REFERENCE.sub(lambda found: saved[found[1]][: int(found[2] or 64)], request.path)
    target = target[1:] if target.startswith("//") else f"/{version}{target}"
    status, headers, body = send(path, request.method, target, request.body, request.content_type)
    if request.save and status < 300:
        saved[request.save] = json.loads(body)["Id"]
    parts = {"status": str(status), "headers": _headers(headers), "body": _body(body)}
    return {part: parts[part] for part in request.parts}


def send(
    path: str, method: str, target: str, body: bytes | None = None, content_type: str = ""
) -> tuple[int, Mapping[str, str], bytes]:
    """One request on a connection of its own: status, headers, body. Raises TimeoutError after 30 s of silence."""
    connection = http.client.HTTPConnection("localhost", timeout=SECONDS)
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.settimeout(SECONDS)
    connection.sock.connect(path)
    try:
        connection.putrequest(method, target, skip_accept_encoding=True)
        if content_type:
            connection.putheader("Content-Type", content_type)
        if body is not None or method in ("POST", "PUT"):
            connection.putheader("Content-Length", str(len(body or b"")))
        connection.endheaders(body)
        response = connection.getresponse()
        return response.status, dict(response.getheaders()), response.read()
    finally:
        connection.close()


def _request(row: dict[str, Any]) -> Request:
    method, path = row["send"].split(" ", 1)
    parts = ("status",) if row.get("only") == "status" else ("status", "headers", "body")
    recorded = {"status": str(row["status"]), "body": _body(row["answer"].encode())} if "status" in row else None
    if recorded is not None:
        recorded = {part: text for part, text in recorded.items() if part in parts}
    body = row["body"].encode() if "body" in row else None
    content_type = row.get("type", "application/json" if body is not None else "")
    return Request(row["label"], method, path, body, content_type, row.get("save", ""), parts, recorded)


def _headers(headers: Mapping[str, str]) -> str:
    lower = {name.lower(): value for name, value in headers.items()}
    equal = [f"{name}: {VERSION.sub('/', lower[name.lower()])}" for name in HEADERS if name.lower() in lower]
    return "; ".join([*equal, *(name for name in ANNOUNCED if name.lower() in lower)])


def _body(body: bytes) -> str:
    """The body in one spelling: JSON with sorted keys; identities, moments and paths masked. Of a stream, its lines."""
    text = body.decode(errors="replace")
    try:
        return "\n".join(json.dumps(_masked(json.loads(line)), sort_keys=True) for line in _values(text))
    except ValueError:
        return _mask(text).strip()


def _values(text: str) -> list[str]:
    try:
        json.loads(text)
    except ValueError:
        return text.split("\r\n") if "\r\n" in text else text.splitlines()
    return [text]


def _masked(value: Any) -> Any:
    if isinstance(value, dict):
        return {_mask(key): _masked(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_masked(item) for item in value]
    return _mask(value) if isinstance(value, str) else value


def _mask(text: str) -> str:
    return normalise(SHORT.sub(64 * "0", text))
