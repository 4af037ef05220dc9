"""Log drivers and their options: which are taken at create, and what they mean from start on.

As in Docker, create refuses unknown drivers and options, and a value that cannot be used is told by start and by logs
(recorded from dockerd; moby: daemon/logger/{jsonfilelog,local,loggerutils}).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote_plus

from backends.api.errors import EngineError, InvalidArgument, Unsupported
from backends.core.hostconfig import LogConfig

_FOREIGN = ("syslog", "journald", "gelf", "fluentd", "awslogs", "splunk", "etwlogs", "gcplogs", "logentries")
_COMMON = {"mode", "max-buffer-size"}
_FILES = {"max-size", "max-file", "compress"}
_ATTRIBUTES = {"labels", "labels-regex", "env", "env-regex", "tag"}
_KNOWN = {"json-file": _COMMON | _FILES | _ATTRIBUTES, "local": _COMMON | _FILES}
_SIZE = re.compile(r"(\d+(?:\.\d+)?) ?([kmgtp])?(?:i?b)?", re.IGNORECASE)
_TRUE, _FALSE = {"1", "t", "T", "TRUE", "true", "True"}, {"0", "f", "F", "FALSE", "false", "False"}


@dataclass(frozen=True, slots=True)
class Rotation:
    """How much of a log is kept: ``max_files`` of ``max_size`` bytes each, None = all."""

    max_size: int | None = None
    max_files: int = 1


_DEFAULTS = {"json-file": Rotation(), "local": Rotation(20 << 20, 5)}


def check(config: LogConfig | None) -> None:
    """Refuse at create what Docker refuses there."""
    kind, options = _driver(config)
    if kind in _FOREIGN:
        raise Unsupported(f"log driver {kind} is not supported: use json-file, local or none")
    if kind == "none":
        return
    if kind not in _KNOWN:
        raise InvalidArgument(f'error looking up logging plugin {kind}: plugin "{kind}" not found')
    mode = options.get("mode", "")
    if mode not in ("", "blocking", "non-blocking"):
        raise InvalidArgument(f"logger: logging mode not supported: {mode}")
    if "max-buffer-size" in options and mode != "non-blocking":
        raise InvalidArgument("logger: max-buffer-size option is only supported with 'mode=non-blocking'")
    for key in options:
        if key not in _KNOWN[kind]:
            driver = "json-file log driver" if kind == "json-file" else f"log driver {kind}"
            raise InvalidArgument(f"unknown log opt '{key}' for {driver}")
    if "{{" in _expanded(options.get("tag", ""), dict.fromkeys(_TAGS, "")):
        raise Unsupported(f"the log tag {options['tag']} is not supported: known are {', '.join(_TAGS)}")


def _driver(config: LogConfig | None) -> tuple[str, Mapping[str, str]]:
    if config is None:
        return "json-file", {}
    return config.type or "json-file", config.config or {}


def rotation(config: LogConfig | None) -> Rotation:
    """Return how much is kept; EngineError in Docker's words for values that cannot be used."""
    kind, options = _driver(config)
    if kind == "none":
        return Rotation()
    default = _DEFAULTS[kind]
    for key in ("labels-regex", "env-regex"):
        _pattern(options.get(key, ""))
    found = Rotation(_size(kind, options, default), _files(options, default))
    compress = _boolean(options.get("compress", ""), kind == "local")
    if kind == "local" and compress and found.max_files < 2:
        raise InvalidArgument("compression cannot be enabled when max file count is 1")
    if found.max_files < 1:
        raise EngineError("max-file cannot be less than 1")
    if compress and (found.max_files < 2 or found.max_size is None):
        raise EngineError("compress cannot be true when max-file is less than 2 or max-size is not set")
    return found


def _size(kind: str, options: Mapping[str, str], default: Rotation) -> int | None:
    text = options.get("max-size", "")
    if not text:
        return default.max_size
    match = _SIZE.fullmatch(text)
    if match is None:
        if kind == "local":
            raise InvalidArgument(f"invalid value for max-size: {text}: invalid size: '{text}'")
        raise EngineError(f"invalid size: '{text}'")
    return int(float(match[1]) * 1024 ** "bkmgtp".index((match[2] or "b").lower()))


def _files(options: Mapping[str, str], default: Rotation) -> int:
    text = options.get("max-file", "")
    if not text:
        return default.max_files
    if not re.fullmatch(r"[+-]?\d+", text):
        raise EngineError(f'strconv.Atoi: parsing "{text}": invalid syntax')
    return int(text)


def _boolean(text: str, default: bool) -> bool:
    if text and text not in _TRUE | _FALSE:
        raise EngineError(f'strconv.ParseBool: parsing "{text}": invalid syntax')
    return text in _TRUE if text else default


def _pattern(text: str) -> re.Pattern[str] | None:
    try:
        return re.compile(text) if text else None
    except re.error as error:
        raise EngineError(f"error parsing regexp: {error}: `{text}`") from None


# -- what ``docker logs --details`` shows

_TAGS = ("{{.ID}}", "{{.FullID}}", "{{.Name}}", "{{.ImageName}}", "{{.ImageID}}", "{{.ImageFullID}}")


@dataclass(frozen=True, slots=True)
class Subject:
    """The container that a log is of."""

    id: str
    name: str
    image: str
    image_id: str
    labels: Mapping[str, str]
    env: Mapping[str, str]


def details(config: LogConfig | None, subject: Subject) -> str:
    """The labels, variables and tag that the options name, as Docker prints them before each line."""
    _, options = _driver(config)
    found = {
        **_chosen(subject.labels, options.get("labels", ""), options.get("labels-regex", "")),
        **_chosen(subject.env, options.get("env", ""), options.get("env-regex", "")),
    }
    if options.get("tag"):
        image_id = subject.image_id.removeprefix("sha256:")
        values = (subject.id[:12], subject.id, subject.name, subject.image, image_id[:12], image_id)
        found["tag"] = _expanded(options["tag"], dict(zip(_TAGS, values, strict=True)))
    return ",".join(sorted(f"{quote_plus(key)}={quote_plus(value)}" for key, value in found.items()))


def _chosen(values: Mapping[str, str], names: str, pattern: str) -> dict[str, str]:
    listed, matching = names.split(","), _pattern(pattern)
    return {
        key: value
        for key, value in values.items()
        if key in listed or (matching is not None and matching.search(key) is not None)
    }


def _expanded(template: str, values: Mapping[str, str]) -> str:
    text = re.sub(r"\{\{\s*(\.\w+)\s*\}\}", r"{{\1}}", template)
    for name, value in values.items():
        text = text.replace(name, value)
    return text
