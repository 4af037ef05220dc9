"""Builds on the engine over the local driver: RUN's commands are this machine's, in the container's directory."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from backends.api import types as t
from backends.core.engine import CoreEngine
from tests.backends.core.conftest import chunks


def context(files: Mapping[str, str | bytes], packed: str = "w", **attributes: Any) -> bytes:
    """A build context; ``attributes`` go into every entry."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=packed) as tar:  # type: ignore[call-overload]
        for name, content in files.items():
            data = content if isinstance(content, bytes) else content.encode()
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            for key, value in attributes.items():
                setattr(entry, key, value)
            tar.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


Entries = Sequence[tuple[str, Mapping[str, Any]]]


def packed(entries: Entries) -> bytes:
    """A tar of exactly these entries: a name that ends in a slash is a directory, "link" a symbolic link's target."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, attributes in entries:
            entry = tarfile.TarInfo(name)
            fields = dict(attributes)
            data = fields.pop("data", b"")
            if name.endswith("/"):
                entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            elif "link" in fields:
                entry.type, entry.linkname = tarfile.SYMTYPE, fields.pop("link")
            entry.size = len(data)
            for key, value in fields.items():
                setattr(entry, key, value)
            tar.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


class Shop:
    """Short forms of builds."""

    def __init__(self, engine: CoreEngine) -> None:
        self.engine = engine

    async def build(
        self, lines: str, files: Mapping[str, str | bytes] | None = None, *, tar: bytes | None = None, **more: Any
    ) -> list[t.Progress]:
        """All lines of a build."""
        body = tar if tar is not None else context({"Dockerfile": lines, **(files or {})})
        said = await self.engine.build_image(chunks(body), t.BuildImage(**more))
        return [line async for line in said]

    async def image(self, lines: str, files: Mapping[str, str | bytes] | None = None, **more: Any) -> str:
        """The id of what was built."""
        said = await self.build(lines, files, **more)
        assert [line.error for line in said if line.error] == []
        found: str = [line.aux for line in said if line.aux][-1]["ID"]
        return found

    async def inspect(self, name: str) -> t.Image:
        return await self.engine.inspect_image(name)

    def files(self, name: str) -> dict[str, str]:
        """Every path of an image with its kind, mode and owner."""
        from sandbox.images.tree import merge

        store = self.engine.context.images
        tree = merge([store.layer(layer.diff_id) for layer in store.resolve(name).layers])
        return {path: f"{node.kind} {node.mode:o} {node.uid}:{node.gid}" for path, node in tree.walk() if path}


def text(lines: list[t.Progress]) -> str:
    return "".join(line.stream for line in lines if isinstance(line.stream, str))


@pytest.fixture(autouse=True)
def no_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """No build finds anything on the network, whatever this machine reaches. Loopback is never asked by a proxy."""
    for scheme in ("http", "https"):
        monkeypatch.setenv(f"{scheme}_proxy", "http://127.0.0.1:1")


@pytest.fixture
def builds(core: CoreEngine) -> Shop:
    return Shop(core)
