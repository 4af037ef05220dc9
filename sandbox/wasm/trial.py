"""The base image's layer without a content store: for the trial command and for tests."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

from sandbox.images.layer import LayerIndex
from sandbox.images.tree import LowerTree, merge
from sandbox.wasm.userland.base_image import build_base_image


def base_tree(userland: Path, scratch: Path) -> LowerTree:
    """The root file system of sockerless/base, made from a build's folder; `scratch` keeps its tar."""
    return merge(base_layers(userland, scratch))


def base_layers(userland: Path, scratch: Path) -> list[LayerIndex]:
    """The layers of that image, lowest first."""
    image = scratch / "base-image.tar"
    build_base_image(userland, image)
    layers = []
    with tarfile.open(image) as archive:
        manifest = archive.extractfile("manifest.json")
        assert manifest is not None
        for number, name in enumerate(json.load(manifest)[0]["Layers"]):
            blob = archive.extractfile(name)
            assert blob is not None
            path = scratch / f"base-layer-{number}.tar"
            path.write_bytes(blob.read())
            layers.append(LayerIndex.of_tar(path))
    return layers
