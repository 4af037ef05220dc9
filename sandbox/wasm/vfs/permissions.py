"""Who may do what: Linux's discretionary access control. Root (no credentials, or uid 0) may everything."""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass

from sandbox.wasm.vfs.node import Directory, Node, Special, fail

READ, WRITE, SEARCH = os.R_OK, os.W_OK, os.X_OK
_EXECUTABLE = 0o111


@dataclass(frozen=True, slots=True)
class Credentials:
    """The file-system ids of a process."""

    uid: int
    gid: int
    groups: frozenset[int] = frozenset()

    def has_group(self, gid: int) -> bool:
        """Whether a file's group bits apply."""
        return gid == self.gid or gid in self.groups


def check_access(node: Node, want: int, cred: Credentials | None) -> None:
    """EACCES unless the bits R_OK, W_OK, X_OK of `want` are granted; EROFS for a write where nothing can be written."""
    if want & WRITE and node.fs.read_only and not isinstance(node, Special):
        fail(errno.EROFS)
    if cred is not None or want & SEARCH:
        mode, uid, gid = node.owner()
        if not _granted(mode, uid, gid, want, cred):
            fail(errno.EACCES)


def _granted(mode: int, uid: int, gid: int, want: int, cred: Credentials | None) -> bool:
    if cred is None or cred.uid == 0:
        return not want & SEARCH or stat.S_ISDIR(mode) or bool(mode & _EXECUTABLE)
    if uid == cred.uid:
        mode >>= 6
    elif cred.has_group(gid):
        mode >>= 3
    return want & ~mode & 7 == 0


def check_search(directory: Directory, cred: Credentials | None) -> None:
    """EACCES unless names may be looked up in it."""
    if cred is not None and cred.uid:
        check_access(directory, SEARCH, cred)


def check_names(directory: Directory, cred: Credentials | None) -> None:
    """EACCES unless names may be made in it."""
    check_access(directory, WRITE | SEARCH, cred)


def check_delete(directory: Directory, node: Node, cred: Credentials | None) -> None:
    """EACCES unless names may be removed, EPERM if the sticky bit keeps this one."""
    check_names(directory, cred)
    if cred is None or not cred.uid:
        return
    mode, uid, _ = directory.owner()
    if mode & stat.S_ISVTX and cred.uid not in (uid, node.owner()[1]):
        fail(errno.EPERM)


def birth(directory: Directory, mode: int, cred: Credentials | None) -> tuple[int, int, int]:
    """(mode, uid, gid) of what is made in `directory`: a set-group-id directory hands its group down."""
    uid, gid = (cred.uid, cred.gid) if cred is not None else (0, 0)
    above, _, group = directory.owner()
    if above & stat.S_ISGID:
        gid = group
        if stat.S_ISDIR(mode):
            mode |= stat.S_ISGID
    return (mode, uid, gid)


def set_mode(node: Node, mode: int, cred: Credentials | None = None) -> None:
    """chmod: the owner's business (EPERM); a stranger to the group cannot give set-group-id."""
    if cred is not None and cred.uid:
        _, uid, gid = node.owner()
        if cred.uid != uid:
            fail(errno.EPERM)
        if not cred.has_group(gid):
            mode &= ~stat.S_ISGID
    node.chmod(mode)


def set_owner(node: Node, uid: int, gid: int, cred: Credentials | None = None) -> None:
    """chown (-1: leave): owners may change the group to one of theirs; a file loses its set-id bits."""
    mode, owner, group = node.owner()
    if cred is not None and cred.uid:
        if cred.uid != owner or uid not in (-1, owner):
            fail(errno.EPERM)
        if gid not in (-1, group) and not cred.has_group(gid):
            fail(errno.EPERM)
    node.chown(uid, gid)
    _drop_set_ids(node, mode)


def changed_content(node: Node, cred: Credentials | None) -> None:
    """Call when a file was written to: without privilege it loses its set-id bits."""
    if cred is not None and cred.uid:
        _drop_set_ids(node, node.mode)


def _drop_set_ids(node: Node, mode: int) -> None:
    if stat.S_ISREG(mode) and mode & (stat.S_ISUID | stat.S_ISGID):
        kept = mode & ~stat.S_ISUID
        node.chmod(kept & ~stat.S_ISGID if mode & stat.S_IXGRP else kept)


def set_times(
    node: Node, atime_ns: int | None, mtime_ns: int | None, cred: Credentials | None = None, *, now: bool = False
) -> None:
    """utimensat (None: leave); who may write may set the present time (`now`), other times only the owner."""
    if cred is not None and cred.uid and cred.uid != node.owner()[1]:
        if not now:
            fail(errno.EPERM)
        check_access(node, WRITE, cred)
    node.utime(atime_ns, mtime_ns)
