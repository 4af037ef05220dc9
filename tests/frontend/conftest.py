"""The frontend and its engine for one test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.backends.api.peer import Peer
from tests.frontend.site import Site, frontend


@pytest.fixture
async def peer() -> Peer:
    return Peer()


@pytest.fixture
async def site(peer: Peer, tmp_path: Path) -> AsyncIterator[Site]:
    async with frontend(peer, tmp_path / "docker.sock") as found:
        yield found
