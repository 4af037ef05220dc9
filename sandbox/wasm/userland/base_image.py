"""The image sockerless/base: the sandbox's programs in the file system that a container expects.

The programs are the WebAssembly modules themselves. The image says linux/amd64 all the same, which is what clients ask
for: the sandbox runs modules whatever an image's platform is.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NAME = "sockerless/base:latest"
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_EPOCH = "1970-01-01T00:00:00Z"
_DIRECTORIES = [
    *("bin", "dev", "etc", "home", "mnt", "opt", "run", "sbin", "srv"),
    *("usr", "usr/bin", "usr/lib", "usr/local", "usr/local/bin", "usr/local/sbin", "usr/sbin", "usr/share"),
    *("var", "var/lib", "var/log", "var/spool"),
]
_SPECIAL_DIRECTORIES = {"proc": 0o555, "root": 0o700, "sys": 0o555, "tmp": 0o1777, "var/tmp": 0o1777}
_LINKS = {"var/run": "../run", "etc/mtab": "../proc/mounts", "usr/bin/bash": "../../bin/bash"}
_FILES = {
    "etc/passwd": """\
root:x:0:0:root:/root:/bin/sh
daemon:x:1:1:daemon:/usr/sbin:/bin/false
bin:x:2:2:bin:/bin:/bin/false
mail:x:8:8:mail:/var/mail:/bin/false
www-data:x:33:33:www-data:/var/www:/bin/false
nobody:x:65534:65534:nobody:/home:/bin/false
""",
    "etc/group": """\
root:x:0:
daemon:x:1:
bin:x:2:
tty:x:5:
disk:x:6:
mail:x:8:
www-data:x:33:
users:x:100:
nogroup:x:65534:
""",
    "etc/shadow": "root:*:::::::\ndaemon:*:::::::\nnobody:*:::::::\n",
    "etc/os-release": 'ID=sockerless\nNAME="Sockerless base"\nPRETTY_NAME="Sockerless base"\nVERSION_ID=1\n',
    "etc/hostname": "sockerless\n",
    "etc/hosts": "127.0.0.1\tlocalhost\n",
    "etc/resolv.conf": "",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
    "etc/shells": "/bin/sh\n/bin/ash\n/bin/bash\n",
    "etc/profile": f"export PATH={PATH}\numask 022\n",
}
_MODES = {"etc/shadow": 0o640}
_PROGRAMS = {"busybox.wasm": "bin/busybox", "bash.wasm": "bin/bash", "rsync.wasm": "usr/bin/rsync"}


@dataclass(frozen=True)
class _Blob:
    content: bytes
    media_type: str

    @property
    def digest(self) -> str:
        return "sha256:" + hashlib.sha256(self.content).hexdigest()

    def descriptor(self, **more: Any) -> dict[str, Any]:
        return {"mediaType": self.media_type, "digest": self.digest, "size": len(self.content), **more}


def build_base_image(userland: Path, out: Path) -> None:
    """Write to `out` a tar file that is an OCI layout and what `docker save` writes, of an image named NAME.

    `userland` is the folder of a build. The same build gives the same bytes.
    """
    layer = _Blob(_layer(userland), "application/vnd.oci.image.layer.v1.tar")
    config = _json(_configuration(layer.digest), "application/vnd.oci.image.config.v1+json")
    parts = {"config": config.descriptor(), "layers": [layer.descriptor()]}
    manifest = _json({"schemaVersion": 2, "mediaType": _MANIFEST, **parts}, _MANIFEST)
    files = {f"blobs/{blob.digest.replace(':', '/')}": blob.content for blob in (layer, config, manifest)}
    files["oci-layout"] = b'{"imageLayoutVersion":"1.0.0"}'
    files["index.json"] = _index(manifest).content
    files["manifest.json"] = _docker_manifest(config, layer).content
    partial = out.with_name(out.name + ".partial")
    partial.write_bytes(_tar((_regular(name, 0o644, content), content) for name, content in sorted(files.items())))
    os.replace(partial, out)


def _json(value: Any, media_type: str = "application/json") -> _Blob:
    return _Blob(json.dumps(value, sort_keys=True, separators=(",", ":")).encode(), media_type)


def _configuration(layer: str) -> dict[str, Any]:
    return {
        "architecture": "amd64",
        "os": "linux",
        "created": _EPOCH,
        "config": {"Cmd": ["sh"], "Env": [f"PATH={PATH}"], "WorkingDir": "/"},
        "rootfs": {"type": "layers", "diff_ids": [layer]},
        "history": [{"created": _EPOCH, "created_by": "sandbox.wasm.userland"}],
    }


def _index(manifest: _Blob) -> _Blob:
    tag = NAME.rpartition(":")[2]
    names = {"io.containerd.image.name": f"docker.io/{NAME}", "org.opencontainers.image.ref.name": tag}
    platform = {"architecture": "amd64", "os": "linux"}
    entry = manifest.descriptor(annotations=names, platform=platform)
    return _json({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [entry]})


def _docker_manifest(config: _Blob, layer: _Blob) -> _Blob:
    paths = [f"blobs/{blob.digest.replace(':', '/')}" for blob in (config, layer)]
    return _json([{"Config": paths[0], "RepoTags": [NAME], "Layers": paths[1:]}])


def _layer(userland: Path) -> bytes:
    entries: dict[str, tuple[tarfile.TarInfo, bytes]] = {}
    for name, mode in (dict.fromkeys(_DIRECTORIES, 0o755) | _SPECIAL_DIRECTORIES).items():
        entries[name] = _directory(name, mode), b""
    for name, target in (_LINKS | dict(_applets(userland))).items():
        entries[name] = _symlink(name, target), b""
    for name, text in _FILES.items():
        entries[name] = _regular(name, _MODES.get(name, 0o644), text.encode()), text.encode()
    for module, name in _PROGRAMS.items():
        content = (userland / module).read_bytes()
        entries[name] = _regular(name, 0o755, content), content
    return _tar(entries[name] for name in sorted(entries))


def _applets(userland: Path) -> Iterator[tuple[str, str]]:
    for path in (userland / "applets.txt").read_text().split():
        yield path.lstrip("/"), "/bin/busybox"


def _directory(name: str, mode: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode = tarfile.DIRTYPE, mode
    return entry


def _symlink(name: str, target: str) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname, entry.mode = tarfile.SYMTYPE, target, 0o777
    return entry


def _regular(name: str, mode: int, content: bytes) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), mode
    return entry


def _tar(entries: Iterator[tuple[tarfile.TarInfo, bytes]] | Any) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for entry, content in entries:
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()
