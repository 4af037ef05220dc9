"""What a build fetches itself: remote contexts (a tar or a Dockerfile by HTTP, a git repository) and ADD's URLs."""

from __future__ import annotations

import asyncio
import hashlib
import os
import posixpath
import shutil
import tarfile
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import urlsplit

from backends.api.errors import InvalidArgument, Unsupported
from backends.core.build.parts import Job
from backends.core.build.sources import Inline
from backends.core.clock import SECOND
from backends.core.downloads import PIECE, open_url
from backends.core.images import image_failures
from sandbox.images.layer import LayerIndex
from sandbox.images.proxy import variables
from sandbox.images.reference import check_digest
from sandbox.images.threads import in_thread
from sandbox.images.tree import LowerTree, merge

DEADLINE = 600.0
LARGEST = 4 << 30
_LARGEST_FILE = 256 << 20
_GIT_PREFIXES = ("git://", "git@", "github.com/")
_GIT_DEADLINE = 600.0


def is_url(text: str) -> bool:
    """Whether a source is fetched by HTTP."""
    return text.startswith(("http://", "https://"))


def is_git(text: str) -> bool:
    """Docker's rule: git://, github.com/…, git@…, or an HTTP URL whose path ends in .git (maybe #ref:directory)."""
    return text.startswith(_GIT_PREFIXES) or (is_url(text) and urlsplit(text).path.endswith(".git"))


async def fetch(url: str, path: Path, limit: int = LARGEST) -> int:
    """Download to a file; its Last-Modified in nanoseconds, 0 without one. EngineError says what went wrong."""
    async with open_url(url, DEADLINE) as answer:
        size = 0
        with path.open("wb") as file:
            async for piece in answer.content.iter_chunked(PIECE):
                size += len(piece)
                if size > limit:
                    raise InvalidArgument(f"{url} is larger than {limit} bytes")
                file.write(piece)
        return _modified(answer.headers.get("Last-Modified", ""))


def _modified(text: str) -> int:
    try:
        return int(parsedate_to_datetime(text).timestamp()) * SECOND
    except (ValueError, OverflowError):
        return 0


def check_allowed(job: Job, url: str) -> None:
    """Unsupported unless downloads are configured."""
    if not job.parts.fetch_urls:
        raise Unsupported(
            f"ADD {url}: downloading is switched off on this engine; its setting build_add_urls "
            "(SOCKERLESS_BUILD_ADD_URLS=1) allows it, or RUN a download"
        )


async def download(job: Job, url: str, checksum: str, destination: str) -> Inline:
    """A file for ADD, as old as its server says (else of 1970, as with dockerd); InvalidArgument, EngineError."""
    check_allowed(job, url)
    name = posixpath.basename(urlsplit(url).path)
    if not name and destination.endswith("/"):
        raise InvalidArgument(f"ADD failed: cannot determine filename for source {url}")
    if checksum:
        with image_failures():
            check_digest(checksum)
    path = job.place("download")
    modified = await fetch(url, path, _LARGEST_FILE)
    data = await asyncio.to_thread(path.read_bytes)
    if checksum:
        algorithm = checksum.partition(":")[0]
        digest = f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"
        if digest != checksum:
            raise InvalidArgument(f"digest mismatch {digest}: {checksum}")
    return Inline(name or "__unnamed__", data, f"file:{hashlib.sha256(data).hexdigest()}", 0o600, modified, remote=True)


async def checkout(job: Job, url: str, checksum: str, keep_git: bool) -> LowerTree:
    """The tree of a git repository for ADD, with .git if it is to be kept; ``checksum`` is how its commit begins."""
    check_allowed(job, url)
    tar = job.place("git")
    commit = await clone(url, job.scratch, tar, keep_git)
    if not commit.startswith(checksum):
        raise InvalidArgument(f"expected checksum to match {checksum}, got {commit}")
    return await in_thread(lambda: merge([LayerIndex.of_tar(tar)]))


async def clone(remote: str, scratch: Path, tar: Path, keep_git: bool = False) -> str:
    """Make the tar of a git repository's tree: ``url#ref:directory``, as docker build takes it; the commit."""
    if shutil.which("git") is None:
        raise Unsupported("building from a git repository needs git on the engine's host")
    url, _, fragment = remote.partition("#")
    ref, _, directory = fragment.partition(":")
    if url.startswith("github.com/"):
        url = f"https://{url}"
    place = scratch / "repository"
    await _git("init", "--quiet", str(place))
    await _git("-C", str(place), "remote", "add", "origin", url)
    await _git("-C", str(place), "fetch", "--quiet", "--depth", "1", "origin", "--", ref or "HEAD")
    await _git("-C", str(place), "checkout", "--quiet", "FETCH_HEAD")
    await _git("-C", str(place), "submodule", "--quiet", "update", "--init", "--recursive", "--depth", "1")
    commit = await _git("-C", str(place), "rev-parse", "HEAD")
    root = (place / directory).resolve()
    if not root.is_relative_to(place.resolve()) or not root.is_dir():
        raise InvalidArgument(f"unable to prepare context: {directory} is no directory of {url}")
    await asyncio.to_thread(_pack, root, tar, keep_git)
    await asyncio.to_thread(shutil.rmtree, place)
    return commit.strip()


async def _git(*words: str) -> str:
    child = await asyncio.create_subprocess_exec(
        "git", "-c", "protocol.ext.allow=never", "-c", "core.hooksPath=/dev/null", *words,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", "GIT_TERMINAL_PROMPT": "0", "HOME": "/nonexistent"}
        | variables(os.environ),
    )  # fmt: skip
    try:
        printed, said = await asyncio.wait_for(child.communicate(), _GIT_DEADLINE)
    except BaseException:
        if child.returncode is None:
            child.kill()
            await child.wait()
        raise
    if child.returncode:
        raise InvalidArgument(f"unable to prepare context: git: {said.decode(errors='replace').strip()}")
    return printed.decode(errors="replace")


def _pack(root: Path, tar: Path, keep_git: bool) -> None:
    def owned_by_root(info: tarfile.TarInfo) -> tarfile.TarInfo | None:
        info.uid = info.gid = 0
        info.uname = info.gname = ""
        return None if info.name == "./.git" and not keep_git else info

    with tarfile.open(tar, "w", format=tarfile.PAX_FORMAT) as archive:
        archive.add(root, arcname=".", filter=owned_by_root)
