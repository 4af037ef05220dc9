from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path

import pytest

from sandbox.wasm.userland.base_image import build_base_image


@pytest.fixture
def image(tmp_path: Path) -> Path:
    for name in ("busybox", "bash", "rsync"):
        (tmp_path / f"{name}.wasm").write_bytes(b"\0asm" + name.encode())
    (tmp_path / "applets.txt").write_text("/bin/sh\n/usr/bin/env\n/sbin/sysctl\n/usr/sbin/httpd\n")
    build_base_image(tmp_path, tmp_path / "base.tar")
    return tmp_path / "base.tar"


def contents(archive: bytes) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        return {entry.name: entry for entry in opened}


def member(archive: Path, name: str) -> bytes:
    with tarfile.open(archive) as opened:
        found = opened.extractfile(name)
        assert found is not None
        return found.read()


def layer(image: Path) -> bytes:
    (manifest,) = json.loads(member(image, "manifest.json"))
    return member(image, manifest["Layers"][0])


def test_the_same_build_gives_the_same_bytes(image: Path) -> None:
    again = image.with_name("again.tar")
    build_base_image(image.parent, again)
    assert again.read_bytes() == image.read_bytes()
    assert not list(image.parent.glob("*.partial"))


def test_every_blob_is_named_after_its_content(image: Path) -> None:
    blobs = [name for name in contents(image.read_bytes()) if name.startswith("blobs/")]
    assert len(blobs) == 3
    assert blobs == [f"blobs/sha256/{hashlib.sha256(member(image, name)).hexdigest()}" for name in blobs]


def test_both_indexes_lead_to_the_same_configuration(image: Path) -> None:
    assert json.loads(member(image, "oci-layout")) == {"imageLayoutVersion": "1.0.0"}
    (entry,) = json.loads(member(image, "index.json"))["manifests"]
    assert entry["annotations"] == {
        "io.containerd.image.name": "docker.io/sockerless/base:latest",
        "org.opencontainers.image.ref.name": "latest",
    }
    oci = json.loads(member(image, "blobs/" + entry["digest"].replace(":", "/")))
    (docker,) = json.loads(member(image, "manifest.json"))
    assert docker["RepoTags"] == ["sockerless/base:latest"]
    assert docker["Config"] == "blobs/" + oci["config"]["digest"].replace(":", "/")
    assert docker["Layers"] == ["blobs/" + part["digest"].replace(":", "/") for part in oci["layers"]]


def test_configuration(image: Path) -> None:
    (manifest,) = json.loads(member(image, "manifest.json"))
    config = json.loads(member(image, manifest["Config"]))
    assert (config["os"], config["architecture"]) == ("linux", "amd64")
    assert config["config"] == {
        "Cmd": ["sh"],
        "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
        "WorkingDir": "/",
    }
    assert config["rootfs"]["diff_ids"] == ["sha256:" + hashlib.sha256(layer(image)).hexdigest()]


def test_programs_are_the_modules_and_applets_link_to_busybox(image: Path) -> None:
    entries = contents(layer(image))
    for name, content in (("bin/busybox", b"busybox"), ("bin/bash", b"bash"), ("usr/bin/rsync", b"rsync")):
        assert entries[name].mode == 0o755
        with tarfile.open(fileobj=io.BytesIO(layer(image))) as opened:
            found = opened.extractfile(name)
            assert found is not None
            assert found.read() == b"\0asm" + content
    links = {name: entry.linkname for name, entry in entries.items() if entry.issym()}
    assert links == {
        **dict.fromkeys(["bin/sh", "usr/bin/env", "sbin/sysctl", "usr/sbin/httpd"], "/bin/busybox"),
        "etc/mtab": "../proc/mounts",
        "usr/bin/bash": "../../bin/bash",
        "var/run": "../run",
    }


def test_directories_and_files_of_a_usual_base_image(image: Path) -> None:
    entries = contents(layer(image))
    directories = {f"/{name}": entry.mode for name, entry in entries.items() if entry.isdir()}
    assert directories["/tmp"] == directories["/var/tmp"] == 0o1777
    assert directories["/root"] == 0o700
    assert {"/dev", "/etc", "/home", "/proc", "/run", "/sys", "/usr/local/bin"} <= directories.keys()
    files = {name.removeprefix("etc/") for name, entry in entries.items() if entry.isreg() and name.startswith("etc/")}
    assert files == {
        *("group", "hostname", "hosts", "nsswitch.conf", "os-release", "passwd"),
        *("profile", "resolv.conf", "shadow", "shells"),
    }


def test_entries_are_sorted_owned_by_root_and_without_time(image: Path) -> None:
    entries = contents(layer(image))
    assert list(entries) == sorted(entries)
    assert {(entry.uid, entry.gid, entry.mtime) for entry in entries.values()} == {(0, 0, 0)}
