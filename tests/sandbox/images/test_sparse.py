"""Sparse files in archives, as GNU tar writes them in each of its forms, are whole where they are read."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sandbox.images.archive import load
from sandbox.images.errors import InvalidImage
from sandbox.images.layer import LayerIndex
from sandbox.images.store import Store
from tests.sandbox.images.making import SPARSE_FILES, SPARSE_FORMS, digest, sparse_archive


@pytest.fixture(params=SPARSE_FORMS)
def archive(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return sparse_archive(request.param, tmp_path)


def contents(layer: LayerIndex) -> dict[str, bytes]:
    return {entry.path: os.pread(layer.fd(), entry.size, entry.offset) for entry in layer.entries()}


def test_a_layer(archive: Path, tmp_path: Path) -> None:
    raw = archive.read_bytes()
    store = Store(tmp_path / "store")
    layer = store.layers.put(archive)
    assert (layer.diff_id, layer.size) == (digest(raw), sum(map(len, SPARSE_FILES.values())))
    assert contents(store.layer(layer.diff_id)) == SPARSE_FILES
    assert store.layers.tar(layer.diff_id).path.read_bytes() == raw


def test_an_archive_without_a_store(archive: Path) -> None:
    before = set(archive.parent.iterdir())
    assert contents(LayerIndex.of_tar(archive)) == SPARSE_FILES
    assert set(archive.parent.iterdir()) == before


async def test_an_archive_of_images_may_not_be_made_that_way(archive: Path, tmp_path: Path) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield archive.read_bytes()

    with pytest.raises(InvalidImage, match=r"^'holes': sparse entries are not supported here$"):
        await load(Store(tmp_path / "store"), pieces())
