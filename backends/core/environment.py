"""The process that a container starts: arguments, complete environment, user and directory."""

from __future__ import annotations

from backends.core.config import env_key, strings
from backends.core.container import Container
from backends.core.drivers import Drivers, ExecSpec
from backends.core.users import User, resolve_user

PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


async def user_of(drivers: Drivers, container: Container, text: str) -> User:
    """Resolve a user in the container's /etc/passwd and /etc/group (what cannot be read is empty, as in Docker)."""
    passwd = await _read(drivers, container.id, "/etc/passwd")
    group = await _read(drivers, container.id, "/etc/group")
    return resolve_user(text, passwd, group, container.host.group_add)


async def _read(drivers: Drivers, container_id: str, path: str) -> bytes:
    try:
        return await drivers.files.read_file(container_id, path)
    except OSError:
        return b""


def complete_env(container: Container, user: User, tty: bool, extra: list[str] | None = None) -> tuple[str, ...]:
    """Docker's own variables, then links and the container's, then ``extra``; the last one of a name wins."""
    own = [PATH, f"HOSTNAME={container.record.config.get('Hostname') or container.id[:12]}"]
    if tty:
        own.append("TERM=xterm")
    merged: dict[str, str] = {}
    for entry in [*own, *(container.config.env or ()), *(extra or ())]:
        if "=" in entry:
            merged[env_key(entry)] = entry
        else:
            merged.pop(entry, None)
    if not merged.get("HOME", "HOME=")[5:]:
        merged["HOME"] = f"HOME={user.home}"
    return tuple(merged.values())


async def main_process(drivers: Drivers, container: Container, links: list[str]) -> ExecSpec:
    """Return the container's main process. InvalidArgument when its user does not exist."""
    config = container.config
    user = await user_of(drivers, container, config.user or "")
    argv = [*(strings(config.entrypoint) or ()), *(strings(config.cmd) or ())]
    size = container.host.console_size
    return ExecSpec(
        argv=tuple(argv),
        env=complete_env(container, user, config.tty, links),
        cwd=config.working_dir or "/",
        user=user.credentials,
        tty=config.tty,
        stdin=config.open_stdin,
        size=(size[0], size[1]) if size and len(size) == 2 and any(size) else None,
        privileged=container.host.privileged,
    )
