"""A registry that answers with whatever may break its reader: pulls, logins and searches fail, told in plain words."""

from __future__ import annotations

import io
import socketserver
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from tests.faults.place import Answer, Place
from tests.fuzz.stage import Stage


def said(body: bytes, *heads: bytes, status: bytes = b"200 OK") -> bytes:
    """A whole answer."""
    lines = (b"HTTP/1.1 " + status, *heads, b"Content-Length: %d" % len(body), b"Connection: close", b"", body)
    return b"\r\n".join(lines)


def refused(challenge: bytes, reason: bytes = b"Unauthorized", body: bytes = b"") -> bytes:
    return said(body, b"WWW-Authenticate: " + challenge, status=b"401 " + reason)


TLS = b"\x16"  # what a handshake begins with
DEEP = b'{"a":' * 20_000
DIGEST = b"sha256:" + b"a" * 64
BLOB = b'{"mediaType":"application/octet-stream","size":%s,"digest":"' + DIGEST + b'"}'
TOKEN = b'Bearer realm="http://%s/token",service="s"'  # with the registry's own address
#: by name: what is answered to everything, and what to /token
ANSWERS: dict[str, tuple[bytes, bytes]] = {
    "nothing": (b"", b""),
    "no HTTP": (b"\0\xff" * 100, b""),
    "a status that is no number": (b"HTTP/1.1 abc OK\r\n\r\n", b""),
    "a reason that is no UTF-8": (said(b"", status=b"400 \xff\xfe"), b""),
    "a challenge that is no UTF-8": (refused(b'Bearer realm="\xff\xfe"', b"\xff"), b""),
    "a realm that is no address": (refused(b'Bearer realm="http://[::1"'), b""),
    "an empty realm": (refused(b'Bearer realm=""'), b""),
    "a realm of another kind": (refused(b'Bearer realm="ftp://127.0.0.1:1/"'), b""),
    "a realm that is a file": (refused(b'Bearer realm="file:///etc/passwd"'), b""),
    "a challenge without end": (refused(b"Bearer " + b'a="b",' * 1000), b""),
    "a token that is a number": (refused(TOKEN), said(b'{"token":5}')),
    "a token with a line feed": (refused(TOKEN), said(b'{"token":"a\\r\\nX: y"}')),
    "a token that is no Latin-1": (refused(TOKEN), said(b'{"token":"\\ud83e\\udd80"}')),
    "a token nested without end": (refused(TOKEN), said(DEEP)),
    "a token that is no UTF-8": (refused(TOKEN), said(b'{"token":"\xff"}')),
    "a token that is refused": (refused(TOKEN), refused(TOKEN)),
    "an error nested without end": (said(DEEP, status=b"400 No"), b""),
    "an error that is no UTF-8": (said(b'{"errors":[{"code":"\xff"}]}', status=b"400 No"), b""),
    "an error of odd types": (said(b'{"errors":[{"code":[],"message":{}}]}', status=b"403 No"), b""),
    "a document nested without end": (said(DEEP), b""),
    "a document that is no UTF-8": (said(b'{"schemaVersion":2,"a":"\xff"}'), b""),
    "no number": (said(b'{"schemaVersion":2,"config":NaN,"layers":[]}'), b""),
    "a size beyond all": (said(b'{"schemaVersion":2,"config":' + BLOB % (b"9" * 4000) + b',"layers":[]}'), b""),
    "a size that is no integer": (said(b'{"schemaVersion":2,"config":' + BLOB % b"1e999" + b',"layers":[]}'), b""),
    "a negative size": (said(b'{"schemaVersion":2,"config":' + BLOB % b"-1" + b',"layers":[]}'), b""),
    "an index of itself": (said(b'{"schemaVersion":2,"manifests":[' + BLOB % b"1" + b"]}"), b""),
    "more than a document": (said(b" " * (9 << 20)), b""),
    "a redirect to itself": (said(b"", b"Location: /v2/again", status=b"307 Temporary Redirect"), b""),
    "a redirect to no address": (said(b"", b"Location: http://[", status=b"307 Temporary Redirect"), b""),
    "a redirect that is no UTF-8": (said(b"", b"Location: \xff\xfe", status=b"307 Temporary Redirect"), b""),
    "a redirect to a file": (said(b"", b"Location: file:///etc/passwd", status=b"307 Temporary Redirect"), b""),
    "heads without end": (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200_000, b""),
    "chunks that are none": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", b""),
    "gzip that is none": (said(b"\x1f\x8bzzzz", b"Content-Encoding: gzip"), b""),
    "a body that breaks off": (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", b""),
}


@contextmanager
def registry(everything: bytes, token: bytes) -> Iterator[str]:
    """Serve the two answers on loopback; yields host and port."""

    class Handler(socketserver.StreamRequestHandler):
        rfile: io.BufferedReader

        def handle(self) -> None:
            try:
                if self.rfile.peek(1)[:1] == TLS:
                    return
                asked = self.rfile.readline()
                while self.rfile.readline() not in (b"\r\n", b"\n", b""):
                    pass
                answer = token if b" /token" in asked else everything
                self.wfile.write(answer.replace(b"http://%s/", b"http://%s/" % host.encode()))
            except ConnectionError:
                return  # the reader has seen enough

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads, request_queue_size = True, 64

    with Server(("127.0.0.1", 0), Handler) as server:
        host = f"127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield host
        finally:
            server.shutdown()
            thread.join()


def failures(place: Place, name: str) -> list[str]:
    """What is wrong with how our server tells of one registry's answers."""
    with registry(*ANSWERS[name]) as host:
        login = {"username": "u", "password": "p", "serveraddress": host}
        answers = {
            "pull": place.request("POST", f"/images/create?fromImage={host}/some/image&tag=1"),
            "inspect": place.request("GET", f"/distribution/{host}/some/image:1/json"),
            "search": place.request("GET", f"/images/search?term={host}/x"),
            "login": place.request("POST", "/auth", login),
        }
    return [f"{name}: {what}: {answer}" for what, answer in answers.items() if not told(answer)]


def told(answer: Answer) -> bool:
    """Whether this is a failure in plain words; login and search may take for an answer what says nothing wrong."""
    if answer.status == 200 and answer.lines and isinstance(answer.lines[-1], dict) and "error" in answer.lines[-1]:
        message = answer.lines[-1]["error"]
    elif answer.status == 200:
        return answer.headers["content-type"] == "application/json"
    else:
        message = answer.message
    return bool(message) and "internal error" not in message


@pytest.mark.slow
def test_whatever_a_registry_answers_is_told(stage: Stage) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = pool.map(lambda name: failures(stage.place, name), ANSWERS)
        assert "\n".join(line for lines in found for line in lines) == ""
