"""Fields that not every API version has."""

from __future__ import annotations

from typing import Any

import pytest

from frontend.wire.newer import CREATE_CONTAINER, CREATE_NETWORK, EXEC, UPDATE_CONTAINER, Table, leave_out
from frontend.wire.versions import Version

ALL = [
    (table, path, since)
    for table in (CREATE_CONTAINER, CREATE_NETWORK, EXEC, UPDATE_CONTAINER)
    for path, since in table.items()
]


def nested(path: str, value: Any) -> dict[str, Any]:
    """A body with nothing but ``value`` at ``path``; lists below Mounts, else objects."""
    step, _, rest = path.partition(".")
    if not rest:
        return {step: value}
    if rest.startswith("*."):
        inner = nested(rest[2:], value)
        return {step: [inner] if step == "Mounts" else {"key": inner}}
    return {step: nested(rest, value)}


@pytest.mark.parametrize(("table", "path", "since"), ALL, ids=[path for _, path, _ in ALL])
def test_a_field_is_kept_from_its_version_on(table: Table, path: str, since: tuple[int, int]) -> None:
    kept, dropped = nested(path, 1), nested(path, 1)
    leave_out(kept, Version(*since), table)
    leave_out(dropped, Version(since[0], since[1] - 1), table)
    field = path.rpartition(".")[2]
    assert kept == nested(path, 1)
    assert str(dropped) == str(kept).replace(f"'{field}': 1", "")


@pytest.mark.parametrize("body", [{"HostConfig": {"KernelMemory": 1}}, {"KernelMemory": 1}])
def test_kernel_memory_is_gone(body: dict[str, Any]) -> None:
    before = str(body)
    leave_out(body, Version(1, 41), CREATE_CONTAINER)
    assert str(body) == before
    leave_out(body, Version(1, 42), CREATE_CONTAINER)
    assert str(body) == before.replace("'KernelMemory': 1", "")


def test_what_is_not_there_is_no_obstacle() -> None:
    bodies: list[dict[str, Any]] = [{}, {"HostConfig": None}, {"HostConfig": {"Mounts": None}}]
    for body in (*bodies, {"HostConfig": {"Mounts": [{}, {"BindOptions": None}]}}):
        before = str(body)
        leave_out(body, Version(1, 24), CREATE_CONTAINER)
        assert str(body) == before
