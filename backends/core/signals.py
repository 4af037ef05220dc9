"""Signal names and numbers as Docker's API takes them (Linux numbering)."""

from __future__ import annotations

from backends.api.errors import InvalidArgument

_NAMES_TEXT = (
    "HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CONT STOP TSTP TTIN TTOU "
    "URG XCPU XFSZ VTALRM PROF WINCH IO PWR SYS"
)
_NAMES = _NAMES_TEXT.split()
NUMBERS = {name: number for number, name in enumerate(_NAMES, 1)}
NUMBERS |= {"IOT": 6, "CLD": 17, "POLL": 29, "RTMIN": 34, "RTMAX": 64}
NUMBERS |= {f"RTMIN+{n}": 34 + n for n in range(1, 16)} | {f"RTMAX-{n}": 64 - n for n in range(1, 15)}

KILL, TERM = NUMBERS["KILL"], NUMBERS["TERM"]


def parse_signal(text: str) -> int:
    """Return the number of "TERM", "SIGTERM", "sigterm" or "15"; InvalidArgument in Docker's words otherwise."""
    if text.isascii() and text.isdigit() and len(text) <= 20:
        number = int(text)
        if 1 <= number <= 64:
            return number
    elif (found := NUMBERS.get(text.upper().removeprefix("SIG"))) is not None:
        return found
    raise InvalidArgument(f"invalid signal: {text}")
