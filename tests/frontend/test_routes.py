"""Every responder of a resource is reachable, and every operation of the engine is used."""

from __future__ import annotations

import ast
from pathlib import Path

from backends.api.http import OPERATIONS
from frontend.app import routes
from tests.backends.api.peer import Peer

FRONTEND = Path(__file__).resolve().parents[2] / "frontend"
METHODS = ("get", "head", "post", "put", "delete")


async def test_every_responder_has_a_route() -> None:
    table = routes(Peer(), "peer")  # type: ignore[arg-type]
    unreachable = {
        f"{type(resource).__name__}.{name}"
        for _, resource, _ in table
        for name in dir(resource)
        if name.startswith("on_")
    } - {
        f"{type(resource).__name__}.on_{method}{f'_{suffix}' if suffix else ''}"
        for _, resource, suffix in table
        for method in METHODS
    }
    assert unreachable == set()


async def test_every_route_has_a_responder() -> None:
    dead = [
        path
        for path, resource, suffix in routes(Peer(), "peer")  # type: ignore[arg-type]
        if not any(hasattr(resource, f"on_{method}{f'_{suffix}' if suffix else ''}") for method in METHODS)
    ]
    assert dead == []


def test_every_operation_of_the_engine_is_used() -> None:
    used = {
        node.attr
        for path in (FRONTEND / "docker").glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
    }
    assert set(OPERATIONS) - used == {"relay"}  # which takes requests before they are understood
