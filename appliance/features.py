"""The feature matrix: what the server's routes serve and what the code refuses, read from the code itself.

``python -m appliance.features`` prints docs/features.md; a test holds the page against it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import cast

from backends.api.engine import Engine
from frontend.app import routes

ROOT = Path(__file__).resolve().parent.parent
_PACKAGES = ("frontend", "backends")
_METHODS = ("get", "head", "post", "put", "delete")


def page() -> str:
    """Return the text of docs/features.md."""
    served = [f"| `{path}` | {' '.join(methods)} |" for path, methods in endpoints()]
    refused = [f"| {where} | {reason} |" for where, reason in refusals()]
    return "\n".join(
        [
            "# What is served, and what is refused",
            "",
            "Generated from the code by `python -m appliance.features`; a test holds this page to it.",
            "",
            "## Docker Engine API",
            "",
            "Every path also with a version, `/v1.24` to `/v1.51`. Anything else is 404 `page not found`;",
            "swarm's paths answer 503 as an engine outside a swarm does.",
            "",
            "| path | methods |",
            "|---|---|",
            *served,
            "",
            "## Refused, with this reason",
            "",
            "These answer 501 and change nothing. What a step of a Dockerfile asks for is refused in the stream of its",
            "build. `…` stands for what the request named.",
            "",
            "| where | reason |",
            "|---|---|",
            *refused,
            "",
        ]
    )


def endpoints() -> Iterator[tuple[str, list[str]]]:
    """Yield each path with its methods, in the order of the route table."""
    for path, resource, suffix in routes(cast(Engine, None), ""):
        ending = f"_{suffix}" if suffix else ""
        yield path, [method.upper() for method in _METHODS if hasattr(resource, f"on_{method}{ending}")]


def refusals() -> list[tuple[str, str]]:
    """Return (module, message) of every Unsupported that the code raises, each once."""
    found = []
    for package in _PACKAGES:
        for file in sorted((ROOT / package).rglob("*.py")):
            module = ".".join(file.relative_to(ROOT).with_suffix("").parts)
            found += [(f"`{module}`", text) for text in _reasons(ast.parse(file.read_text()))]
    return list(dict.fromkeys(found))


def _reasons(tree: ast.Module) -> Iterator[str]:
    constants: dict[str, str] = {}
    for line in tree.body:
        if isinstance(line, ast.Assign) and isinstance(line.targets[0], ast.Name):
            constants[line.targets[0].id] = _text(line.value, constants)
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id == "Unsupported"
            and node.args
        ):
            yield _text(node.args[0], constants).replace("|", "\\|")


def _text(node: ast.expr, constants: Mapping[str, str]) -> str:
    """What an expression says; … for what only a request tells."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.Name):
        return constants.get(node.id, "…")
    if isinstance(node, ast.FormattedValue):
        return _text(node.value, constants)
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part, constants) for part in node.values)
    if isinstance(node, ast.BinOp):
        return _text(node.left, constants) + _text(node.right, constants)
    return "…"


if __name__ == "__main__":
    print(page(), end="")
