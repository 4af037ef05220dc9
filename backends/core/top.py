"""``docker top``: a container's processes in the columns that ps arguments ask for. Pure."""

from __future__ import annotations

import time
from collections.abc import Callable

from backends.api.errors import EngineError, InvalidArgument
from backends.api.types import Top
from backends.core.drivers import ProcessRow

Cell = Callable[[ProcessRow, float], str]


def _clock(seconds: float) -> str:
    whole = int(seconds)
    return f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}"


def _bsd_clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def _start(row: ProcessRow, now: float) -> str:
    form = "%H:%M" if now - row.started < 86400 else "%b%d"
    return time.strftime(form, time.localtime(row.started))


def _elapsed(row: ProcessRow, now: float) -> str:
    seconds = max(int(now - row.started), 0)
    minutes = f"{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    return f"{seconds // 3600:02d}:{minutes}" if seconds >= 3600 else minutes


def _share(row: ProcessRow, now: float) -> float:
    return 100 * row.cpu / max(now - row.started, 1.0)


_COLUMNS: dict[str, tuple[str, Cell]] = {
    "uid": ("UID", lambda row, now: str(row.uid)),
    "user": ("USER", lambda row, now: row.user or str(row.uid)),
    "gid": ("GID", lambda row, now: str(row.gid)),
    "pid": ("PID", lambda row, now: str(row.pid)),
    "ppid": ("PPID", lambda row, now: str(row.ppid)),
    "pgid": ("PGID", lambda row, now: str(row.pid)),
    "c": ("C", lambda row, now: str(int(_share(row, now)))),
    "pcpu": ("%CPU", lambda row, now: f"{_share(row, now):.1f}"),
    "pmem": ("%MEM", lambda row, now: "0.0"),
    "vsz": ("VSZ", lambda row, now: str(row.vsz // 1024)),
    "rss": ("RSS", lambda row, now: str(row.rss // 1024)),
    "stime": ("STIME", _start),
    "start": ("START", _start),
    "lstart": ("STARTED", lambda row, now: time.strftime("%c", time.localtime(row.started))),
    "etime": ("ELAPSED", _elapsed),
    "tty": ("TTY", lambda row, now: row.tty),
    "time": ("TIME", lambda row, now: _clock(row.cpu)),
    "stat": ("STAT", lambda row, now: row.state),
    "comm": ("COMMAND", lambda row, now: row.command),
    "args": ("COMMAND", lambda row, now: row.argv),
}
_ALIASES = {
    "cmd": "args", "command": "args", "ucmd": "comm", "euser": "user", "ruser": "user", "euid": "uid", "egid": "gid",
    "tt": "tty", "tname": "tty", "%cpu": "pcpu", "%mem": "pmem", "vsize": "vsz", "rssize": "rss", "state": "stat",
    "s": "stat", "start_time": "stime", "cputime": "time",
}  # fmt: skip
Column = tuple[str, Cell]
_BSD_TIME: Column = ("TIME", lambda row, now: _bsd_clock(row.cpu))
_FULL: list[Column] = [
    ("UID", _COLUMNS["user"][1]), _COLUMNS["pid"], _COLUMNS["ppid"], _COLUMNS["c"], _COLUMNS["stime"], _COLUMNS["tty"],
    _COLUMNS["time"], ("CMD", _COLUMNS["args"][1]),
]  # fmt: skip
_PLAIN: list[Column] = [_COLUMNS["pid"], _COLUMNS["tty"], _COLUMNS["time"], ("CMD", _COLUMNS["comm"][1])]
_USER: list[Column] = [
    _COLUMNS["user"], _COLUMNS["pid"], _COLUMNS["pcpu"], _COLUMNS["pmem"], _COLUMNS["vsz"], _COLUMNS["rss"],
    _COLUMNS["tty"], _COLUMNS["stat"], _COLUMNS["start"], _BSD_TIME, _COLUMNS["args"],
]  # fmt: skip
_BSD: list[Column] = [_COLUMNS["pid"], _COLUMNS["tty"], _COLUMNS["stat"], _BSD_TIME, _COLUMNS["args"]]


def columns(arguments: str) -> list[Column]:
    """Return the columns of ps arguments: -ef, aux, ax, -o LIST and their usual relatives."""
    words = (arguments or "-ef").split()  # as the daemon does: no quotes
    chosen: list[Column] = []
    letters, bsd = "", False
    index = 0
    while index < len(words):
        word = words[index]
        format_list = _format_list(words, index)
        if format_list is not None:
            text, index = format_list
            chosen += [_column(name) for name in text.replace(",", " ").split()]
        else:
            bsd = bsd or not word.startswith("-")
            letters += word.lstrip("-")
        index += 1
    if chosen:
        return chosen
    return _preset(letters, bsd)


def _format_list(words: list[str], index: int) -> tuple[str, int] | None:
    word = words[index]
    for prefix in ("--format=", "-eo", "-Ao", "axo", "-o", "o"):
        if word.startswith(prefix) and (len(word) > len(prefix) or prefix[-1] == "o"):
            if len(word) > len(prefix):
                return word[len(prefix) :], index
            if index + 1 < len(words):
                return words[index + 1], index + 1
            raise EngineError("ps: error: format specification must follow -o")
    return None


def _preset(letters: str, bsd: bool) -> list[Column]:
    unknown = set(letters) - set("aAefFlLuwxjy")
    if unknown:
        raise EngineError(f"ps: error: unsupported option (BSD syntax) or bad argument: {''.join(sorted(unknown))}")
    if "u" in letters and (bsd or "a" in letters):
        return _USER
    if "f" in letters or "F" in letters:
        return _FULL
    return _BSD if bsd else _PLAIN


def _column(name: str) -> Column:
    key, _, title = name.partition("=")
    known = _ALIASES.get(key.lower(), key.lower())
    if known not in _COLUMNS:
        raise InvalidArgument(f'error: unknown user-defined format specifier "{key}"')
    default, cell = _COLUMNS[known]
    shown = {"cmd": "CMD", "start_time": "START", "tt": "TT", "s": "S"}.get(key.lower(), default)
    return title or shown, cell


def table(rows: list[ProcessRow], arguments: str, now: float) -> Top:
    """Return what ``docker top`` prints."""
    chosen = columns(arguments)
    if not any(title == "PID" for title, _ in chosen):
        raise EngineError("Couldn't find PID field in ps output")
    cells = [[cell(row, now) for _, cell in chosen] for row in rows]
    return Top(titles=[title for title, _ in chosen], processes=cells)
