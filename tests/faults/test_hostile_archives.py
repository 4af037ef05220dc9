"""Archives cut off, damaged or made to reach out of where they are unpacked: PUT archive, load and import."""

from __future__ import annotations

import gzip
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faults.place import BASE, TAR, Place
from tests.faults.tars import (
    CONTENT,
    bad_checksum,
    bomb,
    config,
    digest,
    docker_archive,
    entry,
    link,
    lying,
    oci_archive,
    tar,
)

GOOD = tar(entry("file", CONTENT))
DEVICE = entry("sda", type=tarfile.BLKTYPE, devmajor=8, devminor=0)
NO_MANIFEST = "invalid archive: does not contain a manifest.json or an index.json"

DAMAGED = {
    "garbage": (b"hello" * 300, "invalid tar header: malformed number b'lohelloh'"),
    "cut in a header": (GOOD[:100], "truncated tar: unexpected EOF in a header"),
    "cut gzip": (gzip.compress(GOOD * 100)[:60], "damaged gzip stream: unexpected end"),
    "wrong checksum": (bad_checksum(), "invalid tar header: bad checksum"),
    "negative size": (lying(-5), "invalid tar header: number out of range"),
    "unknown kind": (tar(entry("a", type=b"Z")), "'a': unhandled tar header type 90"),
}
REACHING_OUT = ("/evil", "/evil-absolute", "/etc/evil", "/tmp/evil")


@pytest.fixture
def target(site: Place) -> Iterator[Place]:
    """A container to copy into; at the end nothing has come to the host."""
    site.create("target", "sh", "-c", "cat /tmp/evil-absolute /etc/evil; exec cat /tmp/sda")
    yield site
    assert [path for path in REACHING_OUT if os.path.exists(path)] == []
    site.remove("target")


def put(place: Place, data: bytes) -> tuple[int, str]:
    answer = place.request("PUT", "/containers/target/archive?path=/tmp", data, TAR)
    return answer.status, answer.message if answer.body else ""


@pytest.mark.parametrize("kind", [*DAMAGED])
def test_damaged_archives(target: Place, kind: str) -> None:
    data, message = DAMAGED[kind]
    before = target.files()
    for _ in range(5):
        assert put(target, data) == (400, message)
        for path, status in (("/images/load", 200), ("/images/create?fromSrc=-&repo=imported", 400)):
            answer = target.request("POST", path, data, TAR)
            assert (answer.status, answer.message) == (status, message)
    assert set(target.files() - before) <= set(copied(target))


def copied(place: Place) -> list[str]:
    """The files of the container's own layer."""
    return [name for name in place.files() if name.startswith("containers/")]


@pytest.mark.parametrize(
    ("data", "message"),
    [(GOOD[:515], "unexpected EOF in 'file'"), (lying(1 << 40), "unexpected EOF in 'lie'")],
    ids=["cut in a file", "lying size"],
)
def test_archives_that_end_too_early(target: Place, data: bytes, message: str) -> None:
    assert put(target, data) == (400, message)
    for path, status in (("/images/load", 200), ("/images/create?fromSrc=-&repo=imported", 400)):
        answer = target.request("POST", path, data, TAR)
        assert (answer.status, answer.message) == (status, f"truncated tar: {message}")


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([entry("../../evil", CONTENT)], '"/tmp/../../evil" is outside of "/tmp"'),
        ([link("h", "../../../etc/passwd", hard=True)], '"/tmp/../../../etc/passwd" is outside of "/tmp"'),
        ([link("h", "/etc/passwd", hard=True)], 'invalid hardlink "/tmp/h" -> "/etc/passwd"'),
        ([link("h", "nowhere", hard=True)], 'invalid hardlink "/tmp/h" -> "nowhere"'),
        ([entry("a/" * 2100 + "x", CONTENT)], "File name too long"),
        ([entry("a" * 300, CONTENT)], "File name too long"),
    ],
)
def test_copies_that_reach_out_are_refused(target: Place, members: list[Any], message: str) -> None:
    assert put(target, tar(*members)) == (400, message)


def test_absolute_names_links_and_devices_stay_in_the_container(target: Place) -> None:
    for members in (
        [entry("/evil-absolute", CONTENT)],
        [link("up", "../../.."), entry("up/evil", CONTENT)],
        [link("etc", "/etc"), entry("etc/evil", CONTENT)],
        [DEVICE],
    ):
        assert put(target, tar(*members)) == (200, "")
    ran = target.docker("start", "-a", "target")
    assert (ran.code, ran.stdout) == (1, CONTENT.decode() * 2)
    assert ran.stderr == "cat: can't open '/tmp/sda': No such device or address\n"


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([entry("../../evil", CONTENT)], "invalid path '../../evil': outside of the root directory"),
        (
            [link("h", "../../../etc/passwd", hard=True)],
            "invalid path '../../../etc/passwd': outside of the root directory",
        ),
        ([link("h", "nowhere", hard=True)], "invalid hard link 'h' -> 'nowhere'"),
        ([link("l", "/etc"), entry("l/evil", CONTENT)], "invalid path 'l': no such directory"),
    ],
)
def test_layers_that_reach_out_are_refused(site: Place, members: list[Any], message: str) -> None:
    layer = tar(*members)
    for path, status, data in (
        ("/images/load", 200, docker_archive("evil", config(layer), layer)),
        ("/images/load", 200, oci_archive("evil", config(layer), layer)),
        ("/images/create?fromSrc=-&repo=evil", 400, layer),
    ):
        answer = site.request("POST", path, data, TAR)
        assert (answer.status, answer.message) == (status, message)


LAYER = tar(entry("f", CONTENT))
ZEROS = "sha256:" + "0" * 64
NO_JSON = "image config is no JSON object: Input data was truncated"


@pytest.mark.parametrize(
    ("archive", "message"),
    [
        (
            docker_archive("w", config(LAYER, claimed=[ZEROS]), LAYER),
            f"layer has diff id {digest(LAYER)}, its image says {ZEROS}",
        ),
        (docker_archive("w", config(LAYER, claimed=["zz"]), LAYER), "image config has no valid rootfs.diff_ids"),
        (
            docker_archive("w", config(LAYER, claimed=[]), LAYER),
            "invalid manifest, layers length mismatch: expected 1, got 0",
        ),
        (docker_archive("w", config(LAYER), LAYER, Config="x"), "invalid archive: 'x' is missing"),
        (
            docker_archive("w", config(LAYER), LAYER, Config="../../../../etc/hostname"),
            "invalid archive: '../../../../etc/hostname' is missing",
        ),
        (
            docker_archive("w", config(LAYER), LAYER, Layers=["../../../../etc/passwd"]),
            "invalid archive: '../../../../etc/passwd' is missing",
        ),
        (docker_archive("w", config(LAYER), LAYER, Layers=[1]), "invalid archive: 1 is missing"),
        (docker_archive("w", config(LAYER), LAYER, Layers="x"), "invalid archive: malformed manifest.json"),
        (
            docker_archive("BAD TAG", config(LAYER), LAYER),
            "invalid tag 'BAD TAG': invalid reference format: repository name (library/BAD TAG) must be lowercase",
        ),
        (docker_archive("w", b"{", LAYER), NO_JSON),
        (docker_archive("w", b'{"rootfs":5}', LAYER), "image config has no valid rootfs.diff_ids"),
        (
            docker_archive("w", config(b"junk" * 300), b"junk" * 300),
            "invalid tar header: malformed number b'junkjunk'",
        ),
        (tar(), NO_MANIFEST),
        (tar(entry("manifest.json", b"{}")), "invalid archive: manifest.json: Expected `array`, got `object`"),
        (tar(link("manifest.json", "/etc/passwd")), NO_MANIFEST),
        (
            tar(
                link("config.json", "/etc/passwd"),
                entry("manifest.json", b'[{"Config":"config.json","Layers":[]}]'),
            ),
            "invalid archive: 'config.json' is missing",
        ),
        (
            oci_archive("w", config(LAYER), LAYER, {"layer": tar(entry("g", b"another"))}),
            f"invalid archive: {digest(LAYER)} is not what its name says",
        ),
        (
            oci_archive("w", config(LAYER), LAYER, {"config": config(LAYER) + b" "}),
            f"invalid archive: {digest(config(LAYER))} is not what its name says",
        ),
    ],
)
def test_archives_whose_parts_do_not_fit(site: Place, archive: bytes, message: str) -> None:
    for _ in range(3):
        answer = site.request("POST", "/images/load", archive, TAR)
        assert (answer.status, answer.message) == (200, message)


def test_a_bad_second_image_brings_nothing_of_itself(site: Place) -> None:
    good, bad = config(LAYER), config(LAYER, claimed=[ZEROS])
    archive = tar(
        entry("a.json", good), entry("b.json", bad), entry("l.tar", LAYER),
        entry("manifest.json", b'[{"Config":"a.json","RepoTags":["one:1"],"Layers":["l.tar"]},'
              b'{"Config":"b.json","RepoTags":["two:2"],"Layers":["l.tar"]}]'),
    )  # fmt: skip
    answer = site.request("POST", "/images/load", archive, TAR)
    said = f"layer has diff id {digest(LAYER)}, its image says {ZEROS}"
    assert (answer.status, answer.message) == (200, said)
    assert site.request("GET", "/images/two:2/json").status == 404
    assert site.request("DELETE", "/images/one:1").status == 200


def test_bombs_cost_disk_and_no_memory(target: Place) -> None:
    packed = bomb(256 << 20)
    target.docker("version")
    before = {name: target.rss_mb(name) for name in ("frontend", "memory")}
    answer = target.request("POST", "/images/load", docker_archive("bomb", config(packed), packed), TAR)
    assert (answer.status, answer.message.split(" sha256:")[0]) == (200, "layer has diff id")
    assert put(target, packed) == (200, "")
    assert {name for name, mb in before.items() if target.rss_mb(name) > mb + 64} == set()


def test_a_bomb_of_names_is_bounded(target: Place) -> None:
    """Fifteen thousand entries in a few kB of gzip."""
    header = tarfile.TarInfo("x").tobuf(tarfile.GNU_FORMAT)
    packed = gzip.compress(header * 15_000, 1)
    before = target.rss_mb("memory")
    assert put(target, packed) == (200, "")
    assert target.rss_mb("memory") < before + 64


def test_a_missing_place_to_unpack(target: Place) -> None:
    answer = target.request("PUT", "/containers/target/archive?path=/nowhere", GOOD, TAR)
    assert (answer.status, answer.message) == (404, "Could not find the file /nowhere in container target")
    answer = target.request("PUT", "/containers/target/archive?path=/etc/passwd", GOOD, TAR)
    assert (answer.status, answer.message) == (400, "extraction point is not a directory")
    answer = target.request("PUT", "/containers/target/archive", GOOD, TAR)
    assert (answer.status, answer.message) == (400, "bad parameter: path cannot be empty")
    answer = target.request("PUT", "/containers/nobody/archive?path=/", GOOD, TAR)
    assert (answer.status, answer.message) == (404, "No such container: nobody")


def test_a_volume_keeps_copies_inside(site: Place, tmp_path: Path) -> None:
    """Through a bind mount, where the host's own links could lead out."""
    (tmp_path / "inside").mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "inside" / "out").symlink_to(tmp_path / "outside")
    site.create("bound", "true", host={"Binds": [f"{tmp_path}/inside:/data"]})
    data = tar(link("l", str(tmp_path / "outside")), entry("l/evil", CONTENT))
    site.request("PUT", "/containers/bound/archive?path=/data", data, TAR)
    answer = site.request("PUT", "/containers/bound/archive?path=/data/out", GOOD, TAR)
    assert answer.status == 404
    assert list((tmp_path / "outside").iterdir()) == []
    site.remove("bound")


def test_images_made_of_odd_layers_still_run(site: Place) -> None:
    layer = tar(entry("/evil-absolute", CONTENT), DEVICE, link("out", "../../../../etc"))
    assert site.request("POST", "/images/load", docker_archive("odd", config(layer), layer), TAR).status == 200
    answer = site.request("POST", "/containers/create?name=odd", {"Image": "odd", "Cmd": ["true"]})
    assert answer.status == 201
    answer = site.request("POST", "/containers/odd/start")
    assert (answer.status, answer.message.endswith('exec: "true": executable file not found in $PATH: unknown')) == (
        400,
        True,
    )
    site.remove("odd")
    assert site.request("DELETE", "/images/odd").status == 200
    assert site.request("GET", f"/images/{BASE}/json").status == 200
