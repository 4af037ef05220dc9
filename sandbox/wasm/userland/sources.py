"""The programs' sources: Debian's source packages, fetched by apt from the mirror that this machine is configured for.

apt checks them against the archive's signature. The lists of source packages are kept in the cache: nothing in /etc or
/var changes. SOCKERLESS_MUSL_SRC, _BUSYBOX_SRC, _BASH_SRC and _RSYNC_SRC (a folder or a tar file) replace a package.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from sandbox.wasm.userland.errors import SourceMissing, ToolMissing

PACKAGES = {"musl": "1.2.", "busybox": "1.35.", "bash": "5.2.", "rsync": "3.2."}
"""The upstream versions that the recipes are for. The newest such package is taken, or else the newest of all."""
_SOURCES_FOLDER = Path("/etc/apt/sources.list.d")
_SOURCES_LIST = Path("/etc/apt/sources.list")
_HINT = "Give the sources by SOCKERLESS_<PACKAGE>_SRC (a folder or a tar file) where apt-get cannot."


@dataclass(frozen=True)
class Source:
    """One program's source: a .dsc with its files beside it, a tar file or a folder."""

    name: str
    version: str
    path: Path
    identity: str


def find_sources(folder: Path, environ: Mapping[str, str]) -> dict[str, Source] | None:
    """What was fetched before or is given by the environment; None if anything is still to be fetched."""
    index = folder / "index.json"
    fetched: dict[str, dict[str, str]] = json.loads(index.read_text()) if index.exists() else {}
    found = {}
    for name in PACKAGES:
        given = environ.get(f"SOCKERLESS_{name.upper()}_SRC")
        if given:
            found[name] = _given(name, Path(given))
        elif name in fetched and (folder / fetched[name]["dsc"]).exists():
            entry = fetched[name]
            found[name] = Source(name, entry["version"], folder / entry["dsc"], entry["sha256"])
        else:
            return None
    return found


def fetch_sources(folder: Path, environ: Mapping[str, str]) -> dict[str, Source]:
    """Fetch what is missing into `folder`. Raises SourceMissing."""
    found = find_sources(folder, environ)
    if found is not None:
        return found
    if not shutil.which("apt-get"):
        raise ToolMissing("apt-get, which fetches the sources, is not on the PATH.", _HINT)
    options = _private_apt(folder / "apt")
    _apt(folder, options, "update")
    names = [name for name in PACKAGES if not environ.get(f"SOCKERLESS_{name.upper()}_SRC")]
    wanted = [f"{name}={_choose_version(folder, options, name)}" for name in names]
    _apt(folder, options, "source", "--download-only", *wanted)
    (folder / "index.json").write_text(json.dumps({name: _describe(folder, name) for name in names}, indent=1))
    found = find_sources(folder, environ)
    if found is None:
        raise SourceMissing(f"apt-get did not leave {', '.join(names)} in {folder}.", _HINT)
    return found


def unpack(source: Source, into: Path) -> Path:
    """Unpack (or copy) to a new folder `into`, with the distribution's patches."""
    if source.path.is_dir():
        shutil.copytree(source.path, into, symlinks=True)
        subprocess.run(["chmod", "-R", "u+w", into], check=True)
    elif source.path.suffix == ".dsc":
        _dpkg_source(source.path, into)
    else:
        with tarfile.open(source.path) as archive:
            archive.extraction_filter = getattr(tarfile, "tar_filter", None)  # Debian 12 has Python 3.11.2
            archive.extractall(into)
        inner = list(into.iterdir())
        return inner[0] if len(inner) == 1 else into
    return into


def _given(name: str, path: Path) -> Source:
    if not path.exists():
        raise SourceMissing(f"SOCKERLESS_{name.upper()}_SRC names {path}, which does not exist.")
    digest = hashlib.sha256(str(path.resolve()).encode() if path.is_dir() else path.read_bytes()).hexdigest()
    return Source(name, "given", path, digest)


def _describe(folder: Path, name: str) -> dict[str, str]:
    found = sorted(folder.glob(f"{name}_*.dsc"), key=lambda path: path.stat().st_mtime_ns)
    if not found:
        raise SourceMissing(f"apt-get fetched no source package {name}.", _HINT)
    version = re.search(r"^Version: (\S+)", found[-1].read_text(), re.MULTILINE)
    digest = hashlib.sha256(found[-1].read_bytes()).hexdigest()
    return {"version": version[1] if version else "?", "dsc": found[-1].name, "sha256": digest}


def _dpkg_source(dsc: Path, into: Path) -> None:
    if not shutil.which("dpkg-source"):
        raise ToolMissing("dpkg-source is not on the PATH.", "Install the package dpkg-dev.")
    # --no-check drops only the maintainer's signature: apt checked the file, and it holds the digests of the others.
    done = subprocess.run(
        ["dpkg-source", "--no-check", "--no-copy", "-x", dsc.name, into],
        cwd=dsc.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SourceMissing(f"dpkg-source cannot unpack {dsc.name}: {done.stderr.strip()}")


def _choose_version(folder: Path, options: list[str], name: str) -> str:
    versions = [line.split("|")[1].strip() for line in _apt(folder, options, "madison", name).splitlines()]
    if not versions:
        raise SourceMissing(f"The archive has no source package {name}.", _HINT)
    known = [version for version in versions if version.split(":")[-1].startswith(PACKAGES[name])]
    return (known or versions)[0]


def _apt(folder: Path, options: list[str], *command: str) -> str:
    program = "apt-cache" if command[0] == "madison" else "apt-get"
    done = subprocess.run([program, "-q", *options, *command], cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SourceMissing(f"{program} {command[0]} failed:\n{done.stderr.strip()}", _HINT)
    return done.stdout


def _private_apt(state: Path) -> list[str]:
    """Options that make apt keep everything under `state` and see only the source lists written there."""
    for name in ("lists/partial", "cache/archives/partial", "parts"):
        (state / name).mkdir(parents=True, exist_ok=True)
    (state / "empty.list").touch()
    _write_lists(state / "parts")
    settings = {
        "Dir::Etc::sourcelist": state / "empty.list",
        "Dir::Etc::sourceparts": state / "parts",
        "Dir::State::lists": state / "lists",
        "Dir::Cache": state / "cache",
        "APT::Sandbox::User": "root",
    }
    return [word for key, value in settings.items() for word in ("-o", f"{key}={value}")]


def _write_lists(parts: Path) -> None:
    wanted = {(uri.rstrip("/"), release) for uri, release in _distribution_targets()}
    stanzas = [text for text in _deb822_stanzas() if any(uri in text and release in text for uri, release in wanted)]
    lines = [line for line in _one_line_entries() if any(uri in line and release in line for uri, release in wanted)]
    if not stanzas and not lines:
        raise SourceMissing("This machine's apt is configured for no distribution that has sources.", _HINT)
    (parts / "userland.sources").write_text("\n\n".join(stanzas))
    (parts / "userland.list").write_text("\n".join(lines) + "\n")


def _distribution_targets() -> Iterator[tuple[str, str]]:
    """(address, release) of every configured archive that has a base system, so that third parties' are not asked."""
    form = "$(REPO_URI) $(RELEASE) $(ORIGIN)"
    done = subprocess.run(["apt-get", "indextargets", "--format", form], capture_output=True, text=True, check=False)
    for line in sorted(set(done.stdout.splitlines())):
        uri, release, *origin = line.split()
        if origin in (["Debian"], ["Ubuntu"]):
            yield uri, release


def _deb822_stanzas() -> Iterator[str]:
    for path in sorted(_SOURCES_FOLDER.glob("*.sources")):
        text = re.sub(r"^#.*\n?", "", path.read_text(), flags=re.MULTILINE)
        for stanza in re.split(r"\n\s*\n", text.strip()):
            yield re.sub(r"^Types:.*$", "Types: deb-src", stanza, flags=re.MULTILINE)


def _one_line_entries() -> Iterator[str]:
    for path in [_SOURCES_LIST, *sorted(_SOURCES_FOLDER.glob("*.list"))]:
        for line in path.read_text().splitlines() if path.exists() else []:
            if line.startswith("deb "):
                yield "deb-src " + line[4:]
