"""What a responder reads of its request and answers, found in its code."""

from __future__ import annotations

import ast
import inspect
import textwrap
import typing
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from backends.api.engine import Engine
from frontend.wire import shapes
from frontend.wire.filters import ACCEPTED

_READINGS = ("text", "texts", "flag", "number", "time", "filters")
_NUMBERS = ("dimension", "integer")


@dataclass
class Reading:
    """``parameters``: name → (the Request's method that reads it, what a filter takes). ``shape``: the JSON body's
    schema; ``upload``: the body is read as it comes. ``result``: the type that is answered, where it is an engine's.
    ``refuses``: nothing but errors is answered.
    """

    summary: str = ""
    parameters: dict[str, tuple[str, list[str]]] = field(default_factory=dict)
    shape: shapes.Schema | None = None
    required: bool = False
    upload: bool = False
    status: int = 200
    media: list[str] = field(default_factory=list)
    result: Any = None
    refuses: bool = False


def read_responder(responder: Callable[..., Any], action: str = "") -> Reading:
    """Read a bound method. ``action``: of the branches on a variable of that name, the one that is meant."""
    found = Reading(summary=(inspect.getdoc(responder) or "").split("\n\n")[0].replace("\n", " ").replace("``", ""))
    found.refuses = isinstance(_Walk(found, action).function(responder, {}), ast.Raise)
    return found


class _Walk:
    """Follows a request through the functions that are given it."""

    def __init__(self, found: Reading, action: str) -> None:
        self._found = found
        self._action = action

    def function(self, function: Callable[..., Any], known: dict[str, list[str]]) -> ast.stmt:
        """``known``: parameters that are constants here. Returns the last statement."""
        plain = inspect.unwrap(getattr(function, "__func__", function))
        tree = ast.parse(textwrap.dedent(inspect.getsource(plain))).body[0]
        assert isinstance(tree, ast.FunctionDef | ast.AsyncFunctionDef)
        statements = list(self._meant(tree.body))
        for statement in statements:
            constants = known | self._loops(statement, plain.__globals__)
            for node in ast.walk(statement):
                if isinstance(node, ast.Call):
                    self._call(node, function, plain.__globals__, constants)
                elif isinstance(node, ast.Assign):
                    self._assign(node)
        return statements[-1]

    def _meant(self, statements: list[ast.stmt]) -> Iterator[ast.stmt]:
        for statement in statements:
            if isinstance(statement, ast.Match) and ast.unparse(statement.subject) == "action":
                yield from next(
                    case.body for case in statement.cases if ast.unparse(case.pattern) in (repr(self._action), "_")
                )
            elif isinstance(statement, ast.If) and ast.unparse(statement.test).startswith("action == "):
                if ast.unparse(statement.test) == f"action == {self._action!r}":
                    yield from statement.body
                    return
            else:
                yield statement

    def _loops(self, statement: ast.stmt, scope: dict[str, Any]) -> dict[str, list[str]]:
        """Names that a comprehension takes from a table of the module."""
        found: dict[str, list[str]] = {}
        for node in ast.walk(statement):
            if isinstance(node, ast.comprehension) and isinstance(node.iter, ast.Call):
                table = scope.get(ast.unparse(node.iter).removesuffix(".items()"))
                if isinstance(table, dict) and isinstance(node.target, ast.Tuple):
                    found[ast.unparse(node.target.elts[0])] = list(table)
        return found

    def _call(
        self, call: ast.Call, function: Callable[..., Any], scope: dict[str, Any], known: dict[str, list[str]]
    ) -> None:
        name = ast.unparse(call.func)
        owner, _, method = name.rpartition(".")
        if owner == "req":
            self._reading(method, call, scope, known)
        elif name == "reply":
            self._reply(call)
        elif any(isinstance(argument, ast.Name) and argument.id == "req" for argument in call.args):
            callee = getattr(function.__self__, method) if owner == "self" else scope.get(name)  # type: ignore[attr-defined]
            if inspect.isfunction(callee) or inspect.ismethod(callee):
                self.function(callee, _constants(callee, call))
        if name in _NUMBERS:
            self._numeric(call, known)

    def _reading(self, method: str, call: ast.Call, scope: dict[str, Any], known: dict[str, list[str]]) -> None:
        if method == "filters":
            accepted = ACCEPTED[_names(call.args[0], known)[0]]
            self._found.parameters["filters"] = (method, sorted(accepted or ()))
        elif method in _READINGS:
            for name in _names(call.args[0], known):
                self._found.parameters.setdefault(name, (method, []))
        elif method in ("object", "body"):
            self._found.shape = shapes.schema(scope[ast.unparse(call.args[0])])
            self._found.required = method == "object"
        elif method == "upload":
            self._found.upload = True

    def _numeric(self, call: ast.Call, known: dict[str, list[str]]) -> None:
        """A text that is read as a number right away."""
        for node in ast.walk(call):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "req.text":
                for name in _names(node.args[0], known):
                    self._found.parameters[name] = ("number", [])

    def _reply(self, call: ast.Call) -> None:
        self._found.media = ["application/json"]
        if len(call.args) > 2 and isinstance(call.args[2], ast.Constant):
            self._found.status = int(call.args[2].value)  # type: ignore[arg-type]
        value = call.args[1].value if isinstance(call.args[1], ast.Await) else None
        if isinstance(value, ast.Call) and ast.unparse(value.func) == "finish":
            value = value.args[0]
        if isinstance(value, ast.Call) and ast.unparse(value.func).startswith("self.engine."):
            operation = getattr(Engine, ast.unparse(value.func).removeprefix("self.engine."))
            self._found.result = typing.get_type_hints(operation)["return"]

    def _assign(self, node: ast.Assign) -> None:
        target = ast.unparse(node.targets[0])
        if target == "resp.status" and isinstance(node.value, ast.Constant):
            self._found.status = int(node.value.value)  # type: ignore[arg-type]
        elif target == "resp.content_type" and isinstance(node.value, ast.Constant):
            self._found.media = [str(node.value.value)]


def _names(argument: ast.expr, known: dict[str, list[str]]) -> list[str]:
    if isinstance(argument, ast.Constant):
        return [str(argument.value)]
    return known.get(ast.unparse(argument), [])


def _constants(function: Callable[..., Any], call: ast.Call) -> dict[str, list[str]]:
    """The parameters of ``function`` that ``call`` gives a text."""
    names = list(inspect.signature(function).parameters)
    return {
        name: [argument.value]
        for name, argument in zip(names, call.args, strict=False)
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
    }
