"""The classic builder: ten steps of which one runs a command, from nothing and from the cache."""

from __future__ import annotations

import io
import tarfile
import time

from benchmarks.calls import call
from benchmarks.subjects import Subject

TAG = "sockerless-bench/built"
TARGET = f"/build?t={TAG}&rm=1"
STEPS = """\
FROM sockerless/base
LABEL made=by-the-benchmark
ENV GREETING=hello
WORKDIR /work
COPY some.txt some/
ADD more.txt .
RUN echo "$GREETING" > greeting
EXPOSE 8080
USER nobody
CMD ["cat", "greeting"]
"""


def new(subject: Subject) -> float:
    """Milliseconds of a build in which nothing is taken from the cache."""
    return _build(subject, f"{TARGET}&nocache=1", cached=0)


def cached(subject: Subject) -> float:
    """Milliseconds of the same build when all its steps are in the cache, as `POST /build` takes."""
    call(subject.engine.socket, "POST", TARGET, _context(), "application/x-tar")
    return _build(subject, TARGET, cached=9)


def _build(subject: Subject, target: str, *, cached: int) -> float:
    context = _context()
    start = time.perf_counter()
    output = call(subject.engine.socket, "POST", target, context, "application/x-tar")
    spent = time.perf_counter() - start
    assert f"Successfully tagged {TAG}:latest".encode() in output, output
    assert output.count(b"Using cache") == cached, output
    return 1000 * spent


def _context() -> bytes:
    files = {"Dockerfile": STEPS, "some.txt": "some\n" * 1000, "more.txt": "more\n" * 1000}
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            tar.addfile(entry, io.BytesIO(text.encode()))
    return buffer.getvalue()
