"""Names: make, remove, rename, link, and where a process is."""

from __future__ import annotations

import errno
import stat

from sandbox.wasm.kernel.abi import AT_EACCESS, AT_FDCWD, AT_REMOVEDIR, AT_SYMLINK_FOLLOW, AT_SYMLINK_NOFOLLOW, offset64
from sandbox.wasm.kernel.syscalls import syscall
from sandbox.wasm.kernel.task import Task
from sandbox.wasm.vfs.node import Directory, File, Node, fail
from sandbox.wasm.vfs.permissions import check_access
from sandbox.wasm.vfs.tree import FileTree

W_OK, X_OK = 2, 1


def tree(task: Task) -> FileTree:
    return task.kernel.tree


@syscall("mkdirat")
def mkdirat(task: Task, dirfd: int, path: int, mode: int, *_: int) -> int:
    start, who = task.directory(dirfd), task.credentials.access
    tree(task).mkdir(task.path(path), mode & ~task.umask & 0o7777, cwd=start, root=task.root, cred=who)
    return 0


@syscall("mkdir")
def mkdir(task: Task, path: int, mode: int, *_: int) -> int:
    return mkdirat(task, AT_FDCWD, path, mode)


@syscall("mknodat")
def mknodat(task: Task, dirfd: int, path: int, mode: int, device: int, *_: int) -> int:
    kind = stat.S_IFMT(mode & 0xFFFFFFFF) or stat.S_IFREG
    if kind in (stat.S_IFCHR, stat.S_IFBLK) and not task.credentials.privileged:
        fail(errno.EPERM)
    bits = kind | mode & ~task.umask & 0o7777
    start, who = task.directory(dirfd), task.credentials.access
    tree(task).mknod(task.path(path), bits, device & 0xFFFFFFFF, cwd=start, root=task.root, cred=who)
    return 0


@syscall("mknod")
def mknod(task: Task, path: int, mode: int, device: int, *_: int) -> int:
    return mknodat(task, AT_FDCWD, path, mode, device)


@syscall("unlinkat")
def unlinkat(task: Task, dirfd: int, path: int, flags: int, *_: int) -> int:
    remove = tree(task).rmdir if flags & AT_REMOVEDIR else tree(task).unlink
    remove(task.path(path), cwd=task.directory(dirfd), root=task.root, cred=task.credentials.access)
    return 0


@syscall("unlink")
def unlink(task: Task, path: int, *_: int) -> int:
    return unlinkat(task, AT_FDCWD, path, 0)


@syscall("rmdir")
def rmdir(task: Task, path: int, *_: int) -> int:
    return unlinkat(task, AT_FDCWD, path, AT_REMOVEDIR)


@syscall("renameat2")
def renameat2(task: Task, old_fd: int, old: int, new_fd: int, new: int, flags: int, *_: int) -> int:
    tree(task).rename(
        task.path(old), task.path(new), flags,
        cwd=task.directory(old_fd), new_cwd=task.directory(new_fd), root=task.root, cred=task.credentials.access,
    )  # fmt: skip
    return 0


@syscall("renameat")
def renameat(task: Task, old_fd: int, old: int, new_fd: int, new: int, *_: int) -> int:
    return renameat2(task, old_fd, old, new_fd, new, 0)


@syscall("rename")
def rename(task: Task, old: int, new: int, *_: int) -> int:
    return renameat2(task, AT_FDCWD, old, AT_FDCWD, new, 0)


@syscall("linkat")
def linkat(task: Task, old_fd: int, old: int, new_fd: int, new: int, flags: int, *_: int) -> int:
    tree(task).link(
        task.path(old), task.path(new), bool(flags & AT_SYMLINK_FOLLOW),
        cwd=task.directory(old_fd), new_cwd=task.directory(new_fd), root=task.root, cred=task.credentials.access,
    )  # fmt: skip
    return 0


@syscall("link")
def link(task: Task, old: int, new: int, *_: int) -> int:
    return linkat(task, AT_FDCWD, old, AT_FDCWD, new, 0)


@syscall("symlinkat")
def symlinkat(task: Task, target: int, dirfd: int, path: int, *_: int) -> int:
    start, who = task.directory(dirfd), task.credentials.access
    tree(task).symlink(task.path(target), task.path(path), cwd=start, root=task.root, cred=who)
    return 0


@syscall("symlink")
def symlink(task: Task, target: int, path: int, *_: int) -> int:
    return symlinkat(task, target, AT_FDCWD, path)


@syscall("readlinkat")
def readlinkat(task: Task, dirfd: int, path: int, buffer: int, size: int, *_: int) -> int:
    if size <= 0:
        fail(errno.EINVAL)
    start, who = task.directory(dirfd), task.credentials.access
    target = tree(task).readlink(task.path(path), cwd=start, root=task.root, cred=who)
    encoded = target.encode("utf-8", "surrogateescape")[:size]
    task.memory.write(buffer, encoded)
    return len(encoded)


@syscall("readlink")
def readlink(task: Task, path: int, buffer: int, size: int, *_: int) -> int:
    return readlinkat(task, AT_FDCWD, path, buffer, size)


@syscall("faccessat2")
def faccessat2(task: Task, dirfd: int, path: int, want: int, flags: int, *_: int) -> int:
    if want & ~7:
        fail(errno.EINVAL)
    who = task.credentials.access if flags & AT_EACCESS else task.credentials.real_access()
    follow = not flags & AT_SYMLINK_NOFOLLOW
    tree(task).access(task.path(path), want, follow=follow, cwd=task.directory(dirfd), root=task.root, cred=who)
    return 0


@syscall("faccessat")
def faccessat(task: Task, dirfd: int, path: int, want: int, *_: int) -> int:
    return faccessat2(task, dirfd, path, want, 0)


@syscall("access")
def access(task: Task, path: int, want: int, *_: int) -> int:
    return faccessat2(task, AT_FDCWD, path, want, 0)


def resolve(task: Task, dirfd: int, path: int, follow: bool = True) -> Node:
    start, who = task.directory(dirfd), task.credentials.access
    return tree(task).resolve(task.path(path), start, root=task.root, follow=follow, cred=who)


@syscall("truncate64")
def truncate(task: Task, path: int, _pad: int, low: int, high: int, *_: int) -> int:
    node, size = resolve(task, AT_FDCWD, path), offset64(low, high)
    if isinstance(node, Directory):
        fail(errno.EISDIR)
    if not isinstance(node, File) or size < 0:
        fail(errno.EINVAL)
    check_access(node, W_OK, task.credentials.access)
    node.truncate(size)
    return 0


def _enter(task: Task, node: Node | None) -> Directory:
    if not isinstance(node, Directory):
        fail(errno.ENOTDIR)
    check_access(node, X_OK, task.credentials.access)
    return node


@syscall("chdir")
def chdir(task: Task, path: int, *_: int) -> int:
    task.cwd = _enter(task, resolve(task, AT_FDCWD, path))
    return 0


@syscall("fchdir")
def fchdir(task: Task, fd: int, *_: int) -> int:
    task.cwd = _enter(task, task.files.get(fd).node)
    return 0


@syscall("chroot")
def chroot(task: Task, path: int, *_: int) -> int:
    node = _enter(task, resolve(task, AT_FDCWD, path))
    if not task.credentials.privileged:
        fail(errno.EPERM)
    task.root = node
    return 0


@syscall("getcwd")
def getcwd(task: Task, buffer: int, size: int, *_: int) -> int:
    encoded = tree(task).path_of(task.cwd, task.root).encode("utf-8", "surrogateescape") + b"\0"
    if len(encoded) > size & 0xFFFFFFFF:
        fail(errno.ERANGE)
    task.memory.write(buffer, encoded)
    return len(encoded)


@syscall("umask")
def umask(task: Task, mask: int, *_: int) -> int:
    old, task.umask = task.umask, mask & 0o777
    return old


@syscall("mount", "umount2", "pivot_root", "swapon", "swapoff", "reboot", "acct", "quotactl", "init_module",
         "delete_module", "finit_module", "kexec_load", "bpf", "perf_event_open", "ptrace", "unshare", "setns",
         "open_by_handle_at", "name_to_handle_at", "clock_settime64", "clock_settime32", "settimeofday_time32",
         "adjtimex", "clock_adjtime", "clock_adjtime64", "syslog", "vhangup", "keyctl", "add_key", "request_key",
         "fsopen", "fsmount", "move_mount", "open_tree", "userfaultfd", "lookup_dcookie")  # fmt: skip
def not_permitted(_task: Task, *_: int) -> int:
    """What a container without extra capabilities may not do."""
    fail(errno.EPERM)
