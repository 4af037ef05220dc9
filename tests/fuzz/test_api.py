"""Random requests by our OpenAPI description, good ones and bad ones: answers as described, never a crash or a hang."""

from __future__ import annotations

import contextlib
import http.client
import json
from typing import Any
from urllib.parse import quote, urlencode

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import Case
from schemathesis.core.transport import Response
from schemathesis.generation import GenerationMode

from frontend import openapi
from tests.faults.place import BASE, JSON
from tests.fuzz.stage import Stage

#: Nobody listens there: registries and remote contexts that are asked for must not be strangers'.
NOWHERE = "127.0.0.1:1"
#: Answers that come when something happens, or end with the client: it leaves after a moment.
ENDLESS = (
    "/events", "/containers/{ref}/attach", "/containers/{ref}/attach/ws", "/containers/{ref}/logs",
    "/containers/{ref}/stats", "/containers/{ref}/wait", "/containers/{ref}/stop", "/containers/{ref}/restart",
    "/exec/{exec_id}/start", "/images/create", "/images/search", "/distribution/{name}/json", "/auth", "/build",
)  # fmt: skip
#: These end or change what they are about, so they meet the container that may go.
CHANGING = ("stop", "restart", "kill", "pause", "unpause", "rename", "update", "start")
#: dockerd answers 500 to these as well.
FAILURES = (
    "invalid volume specification: ", "error while creating mount source path ", "ps: error: ",
    "failed to set up container networking: ", "Couldn't find PID field in ps output", 'Get "http',
    "exec process is not started: ",
)  # fmt: skip
schemathesis.serializer.alias("application/x-tar", "application/octet-stream")
SCHEMA: Any = schemathesis.openapi.from_dict(openapi.description())
OPERATIONS = [found.ok() for found in SCHEMA.get_all_operations()]
MOMENT = 0.5
QUIET: dict[str, Any] = {"suppress_health_check": list(HealthCheck), "phases": [Phase.generate]}


def places(stage: Stage, case: Case[Any], real: bool) -> str:
    """The request's path, about something that is there if ``real``."""
    known = {
        "ref": stage.network if case.path.startswith("/networks") else stage.running, "exec_id": stage.exec_id,
        "name": stage.volume if case.path.startswith("/volumes") else BASE, "checkpoint": "x",
    }  # fmt: skip
    if case.method == "DELETE" or case.path.endswith(CHANGING):
        known["ref"] = stage.idle
    if case.path.startswith("/distribution"):
        known["name"], real = f"{NOWHERE}/x", True
    path = case.path
    for name, value in (case.path_parameters or {}).items():
        path = path.replace(f"{{{name}}}", quote(known[name] if real else str(value), safe=""))
    return path


def harmless(case: Case[Any], stage: Stage) -> None:
    """Nothing is asked of strangers, and nothing of the host is handed in."""
    query = case.query if isinstance(case.query, dict) else {}
    for name, value in (("fromImage", f"{NOWHERE}/x"), ("term", f"{NOWHERE}/x"), ("remote", f"http://{NOWHERE}/x")):
        if query.get(name):
            query[name] = value
    if not isinstance(case.body, dict):
        return
    if case.path == "/auth":
        case.body["serveraddress"] = NOWHERE
    if case.path == "/containers/create":
        case.body["Image"] = BASE
        if isinstance(host := case.body.get("HostConfig"), dict):
            host.pop("Binds", None)
            host.pop("Mounts", None)
    if case.path.endswith("connect"):
        case.body["Container"] = stage.idle


def payload(case: Case[Any]) -> bytes | None:
    if isinstance(case.body, bytes):
        return case.body
    if case.body is None or type(case.body).__name__ == "NotSet":
        return None
    return json.dumps(case.body).encode()


def send(stage: Stage, case: Case[Any], path: str) -> Response | None:
    """The answer, or None where it has not ended after a moment and need not."""
    endless = case.path in ENDLESS
    query = urlencode(case.query or {}, doseq=True)
    connection = http.client.HTTPConnection("docker")
    connection.sock = stage.place.connect(MOMENT if endless else 30)
    try:
        body = payload(case)
        headers = {"Content-Type": case.media_type} if case.media_type and body is not None else {}
        connection.request(case.method, f"{path}?{query}" if query else path, body, headers)
        answer = connection.getresponse()
        content = answer.read()
        heads = {name.lower(): [value] for name, value in answer.getheaders()}
        asked = requests.Request(case.method, "http://docker/").prepare()
        return Response(answer.status, heads, content, asked, elapsed=0, verify=False)
    except TimeoutError:
        assert endless, f"no answer: {case.method} {path}?{query} {body!r}"
        return None
    finally:
        connection.close()


def wrong(case: Case[Any], answer: Response) -> str:
    """What is not as it should be, or nothing."""
    if case.method == "HEAD":
        return "" if answer.status_code < 500 else f"{answer.status_code}"
    if answer.status_code >= 400 and case.path != "/containers/{ref}/attach":
        expected = answer.status_code < 500 or answer.status_code in (501, 503) or told(answer).startswith(FAILURES)
        expected |= told(answer).endswith(" is not paused")
        return "" if expected and told(answer) else f"{answer.status_code} {answer.content!r}"
    if answer.headers.get("content-type") == [JSON["Content-Type"]] and case.path not in ENDLESS:
        try:
            case.operation.validate_response(answer)
        except AssertionError as error:
            return str(error)
    return ""


def told(answer: Response) -> str:
    message: str = json.loads(answer.content)["message"]
    return message


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=lambda mode: mode.value)
def test_requests_by_the_description(stage: Stage, mode: GenerationMode) -> None:
    problems = [found for operation in OPERATIONS for found in explore(stage, operation, mode)]
    assert "\n".join(f"{answer}\n  to {request}" for answer, request in problems) == ""


def explore(stage: Stage, operation: Any, mode: GenerationMode) -> list[tuple[str, str]]:
    """Send some requests; what was wrong with their answers, once each."""
    problems: dict[str, str] = {}

    @seed(1)
    @settings(max_examples=2 if operation.path in ENDLESS else 4, deadline=None, database=None, **QUIET)
    @given(operation.as_strategy(generation_mode=mode), st.booleans())
    def one(case: Case[Any], real: bool) -> None:
        harmless(case, stage)
        answer = send(stage, case, places(stage, case, real))
        if answer is not None and (problem := wrong(case, answer)):
            problems.setdefault(problem, f"{case.method} {case.path} {case.query} {str(case.body)[:300]}")

    with contextlib.suppress(Unsatisfiable):  # nothing can be wrong with a request that takes nothing
        one()
    try:
        stage.renew()
    except AssertionError as error:
        raise AssertionError(f"after {operation.method} {operation.path}") from error
    return list(problems.items())
