"""Who a process is: real, effective and saved user and group, and supplementary groups."""

from __future__ import annotations

import errno
from dataclasses import dataclass, replace

from sandbox.wasm.vfs.node import fail
from sandbox.wasm.vfs.permissions import Credentials as Access

UNCHANGED = -1


@dataclass(frozen=True, slots=True)
class Credentials:
    """Immutable: every change makes new ones. `access` is what the file system checks with (None: all is allowed)."""

    uid: int = 0
    euid: int = 0
    suid: int = 0
    gid: int = 0
    egid: int = 0
    sgid: int = 0
    groups: tuple[int, ...] = ()
    access: Access | None = None

    @classmethod
    def of(cls, uid: int, gid: int, groups: tuple[int, ...] = ()) -> Credentials:
        return cls()._with(uid=uid, euid=uid, suid=uid, gid=gid, egid=gid, sgid=gid, groups=groups)

    def _with(self, **changes: int | tuple[int, ...]) -> Credentials:
        new = replace(self, **changes)  # type: ignore[arg-type]
        access = None if new.euid == 0 else Access(new.euid, new.egid, frozenset(new.groups))
        return replace(new, access=access)

    @property
    def privileged(self) -> bool:
        return self.euid == 0

    @property
    def effective(self) -> tuple[int, int]:
        """Who owns what the process makes."""
        return (self.euid, self.egid)

    def may_look_into(self, other: Credentials) -> bool:
        """Whether a process may see what another has open and in memory: ptrace(2), PTRACE_MODE_READ."""
        same = {self.euid} == {other.uid, other.euid, other.suid} and {self.egid} == {other.gid, other.egid, other.sgid}
        return self.privileged or same

    def real_access(self) -> Access | None:
        """What access(2) checks with: the real ids."""
        return None if self.uid == 0 else Access(self.uid, self.gid, frozenset(self.groups))

    def set_uids(self, uid: int, euid: int, suid: int) -> Credentials:
        """setresuid: -1 keeps; without privilege each must be one of the present three (EPERM)."""
        for wanted in (uid, euid, suid):
            if wanted != UNCHANGED and not self.privileged and wanted not in (self.uid, self.euid, self.suid):
                fail(errno.EPERM)
        return self._with(
            uid=self.uid if uid == UNCHANGED else uid,
            euid=self.euid if euid == UNCHANGED else euid,
            suid=self.suid if suid == UNCHANGED else suid,
        )

    def set_gids(self, gid: int, egid: int, sgid: int) -> Credentials:
        """setresgid, as `set_uids`."""
        for wanted in (gid, egid, sgid):
            if wanted != UNCHANGED and not self.privileged and wanted not in (self.gid, self.egid, self.sgid):
                fail(errno.EPERM)
        return self._with(
            gid=self.gid if gid == UNCHANGED else gid,
            egid=self.egid if egid == UNCHANGED else egid,
            sgid=self.sgid if sgid == UNCHANGED else sgid,
        )

    def set_groups(self, groups: tuple[int, ...]) -> Credentials:
        if not self.privileged:
            fail(errno.EPERM)
        return self._with(groups=groups)

    def for_exec(self, mode: int, owner: int, group: int) -> Credentials:
        """What the set-user-id and set-group-id bits of an executable make of it."""
        euid = owner if mode & 0o4000 else self.euid
        egid = group if mode & 0o2010 == 0o2010 else self.egid
        return self._with(euid=euid, suid=euid, egid=egid, sgid=egid)
