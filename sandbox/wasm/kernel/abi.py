"""Numbers of the Linux ABI that programs see (musl's generic 32-bit one). Open flags and errno equal the host's."""

from __future__ import annotations

import struct

AT_FDCWD = -100
AT_SYMLINK_NOFOLLOW = 0x100
AT_REMOVEDIR = 0x200
AT_EACCESS = 0x200
AT_SYMLINK_FOLLOW = 0x400
AT_EMPTY_PATH = 0x1000

POLLIN, POLLPRI, POLLOUT, POLLERR, POLLHUP, POLLNVAL = 0x1, 0x2, 0x4, 0x8, 0x10, 0x20

SIGHUP, SIGINT, SIGQUIT, SIGILL, SIGABRT, SIGFPE, SIGKILL, SIGSEGV, SIGPIPE = 1, 2, 3, 4, 6, 8, 9, 11, 13
SIGALRM, SIGTERM, SIGCHLD, SIGCONT, SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU = 14, 15, 17, 18, 19, 20, 21, 22
SIGURG, SIGXCPU, SIGXFSZ, SIGWINCH, SIGIO = 23, 24, 25, 28, 29
SIG_DFL, SIG_IGN = 0, 1
SA_NOCLDSTOP, SA_NOCLDWAIT, SA_RESTART, SA_NODEFER, SA_RESETHAND = 1, 2, 0x10000000, 0x40000000, 0x80000000


def bits(*signals: int) -> int:
    """The signal set with these members."""
    return sum(1 << (number - 1) for number in signals)


STOPPING = bits(SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU)
IGNORED_BY_DEFAULT = bits(SIGCHLD, SIGCONT, SIGURG, SIGWINCH)
UNBLOCKABLE = bits(SIGKILL, SIGSTOP)
ALL_SIGNALS = (1 << 64) - 1

WNOHANG, WUNTRACED, WEXITED, WCONTINUED, WNOWAIT = 1, 2, 4, 8, 0x01000000
CONTINUED_STATUS = 0xFFFF

RLIMIT_CPU, RLIMIT_FSIZE, RLIMIT_STACK, RLIMIT_CORE, RLIMIT_NPROC, RLIMIT_NOFILE, RLIMIT_AS = 0, 1, 3, 4, 6, 7, 9
RLIM_INFINITY = (1 << 64) - 1

TIMESPEC = struct.Struct("<qi4x")
TIMESPEC32 = struct.Struct("<ii")
TIMEVAL = struct.Struct("<qq")
U64 = struct.Struct("<Q")
I64 = struct.Struct("<q")
IOVEC = struct.Struct("<II")


def offset64(low: int, high: int) -> int:
    """A 64-bit argument that came as two signed 32-bit halves, sign kept."""
    return (low & 0xFFFFFFFF) | (high << 32)
