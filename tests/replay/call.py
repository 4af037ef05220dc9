"""One request of a replay on a connection of its own, answered or taken over."""

from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Mapping

SECONDS = 120.0


class Call:
    """A request under way, in a thread. Resource handling: its connection stays open until `close`.

    Error handling: `wait_head`, `wait_answer` and `wait_end` raise what went wrong on the connection; they wait at
    most 120 s.
    """

    def __init__(self, path: str, typed: bytes = b"") -> None:
        self.status = 0
        self.headers: dict[str, str] = {}  # names in small letters
        self.body = b""
        self._typed = typed
        self._error: Exception | None = None
        self._begun = threading.Event()
        self._answered = threading.Event()
        self._connection = http.client.HTTPConnection("localhost", timeout=SECONDS)
        self._connection.sock = self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(SECONDS)
        self._socket.connect(path)
        self._thread: threading.Thread | None = None

    def start(self, method: str, target: str, body: bytes | None, headers: Mapping[str, str]) -> None:
        """Sends the request; what is to be typed is sent as soon as the connection is taken over."""
        arguments = (method, target, body, headers)
        self._thread = threading.Thread(target=self._run, args=arguments, daemon=True)
        self._thread.start()

    def wait_head(self) -> None:
        """Returns when the engine has begun to answer."""
        if not self._begun.wait(SECONDS):
            raise TimeoutError("no head")
        self._check()

    def wait_answer(self) -> None:
        """Returns when the answer is whole, or the connection taken over."""
        if not self._answered.wait(SECONDS):
            raise TimeoutError("no answer")
        self._check()

    def wait_end(self) -> bytes:
        """Returns what a taken-over connection carried to us, once the engine has ended it."""
        assert self._thread is not None
        self._thread.join(SECONDS)
        if self._thread.is_alive():
            raise TimeoutError(f"the stream does not end; it has carried {self.body!r}")
        self._check()
        return self.body

    def close_input(self) -> None:
        self._socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self._connection.close()
        self._socket.close()

    def _check(self) -> None:
        if self._error is not None:
            raise self._error

    def _run(self, method: str, target: str, body: bytes | None, headers: Mapping[str, str]) -> None:
        try:
            self._send(method, target, body, headers)
            self._receive()
        except (OSError, http.client.HTTPException) as error:
            self._error = error
        finally:
            self._begun.set()
            self._answered.set()

    def _send(self, method: str, target: str, body: bytes | None, headers: Mapping[str, str]) -> None:
        self._connection.putrequest(method, target, skip_accept_encoding=True)
        for name, value in headers.items():
            self._connection.putheader(name, value)
        chunked = headers.get("Transfer-Encoding") == "chunked"
        if not chunked and (body is not None or method in ("POST", "PUT")):
            self._connection.putheader("Content-Length", str(len(body or b"")))
        self._connection.endheaders(body, encode_chunked=chunked)

    def _receive(self) -> None:
        response = self._connection.getresponse()
        self.status, self.headers = response.status, {n.lower(): v for n, v in response.getheaders()}
        self._begun.set()
        if self.status != 101:
            self.body = response.read()
            return
        self._socket.sendall(self._typed)
        self._answered.set()
        while piece := response.fp.read1(65536):
            self.body += piece
