"""What images are made of and come as: references, Dockerfiles, archives, what registries answer."""

from __future__ import annotations

import asyncio
import bz2
import errno
import gzip
import io
import lzma
import os
import tempfile
from pathlib import Path

import msgspec
import zstandard
from aiohttp import ClientResponse
from multidict import CIMultiDict

from backends.api.errors import EngineError
from sandbox.images import compression, image, manifests, members, reference
from sandbox.images.credentials import Credentials
from sandbox.images.dockerfile import (
    DockerfileError,
    Expander,
    PatternMatcher,
    parse,
    parse_changes,
    parse_trigger,
    read_ignore,
)
from sandbox.images.dockerfile.durations import format_duration, parse_duration
from sandbox.images.dockerfile.mounts import parse_mount
from sandbox.images.dockerfile.patterns import glob
from sandbox.images.errors import ImageError, InvalidImage, InvalidReference, Unauthorized
from sandbox.images.layer import LayerIndex, write_index
from sandbox.images.layerbuild import index_tar
from sandbox.images.platforms import Platform
from sandbox.images.sparse import Content
from sandbox.images.tarscan import scan
from sandbox.images.transport import challenges, problem_of
from tests.faults import tars
from tests.fuzz.target import Target, text

_MOST = 1 << 24
_NAMES = frozenset({"run", "cmd", "env", "label", "expose", "user", "onbuild", "healthcheck"})


def name(data: bytes) -> None:
    found = reference.parse(text(data))
    assert reference.parse_canonical(str(found)) == found
    assert reference.parse(found.familiar) == found
    msgspec.json.encode(found.familiar)


def platform(data: bytes) -> None:
    found = Platform.parse(text(data))
    found.rank(Platform.local())


def dockerfile(data: bytes) -> None:
    """Whatever comes out can be shown to the user and written into an image's config."""
    found = parse(text(data))
    for stage in found.stages:
        for instruction in stage.instructions:
            instruction.code.encode()
    expander = Expander({"A": "x y", "B": ""}, found.escape)
    for stage in found.stages:
        try:
            expander.word(stage.base).encode()
        except DockerfileError:
            continue


def expansion(data: bytes) -> None:
    Expander({"A": "x/y z", "B": ""}).words(text(data))


def changes(data: bytes) -> None:
    try:
        parse_trigger(text(data))
    except DockerfileError:
        pass
    parse_changes(text(data).split("\n"), _NAMES)


def run_mount(data: bytes) -> None:
    found = parse_mount(text(data))
    assert 0 <= (found.size or 0) < 2**63
    assert 0 <= (found.uid or 0) < 2**32
    assert 0 <= (found.mode or 0) <= 0o7777


def duration(data: bytes) -> None:
    found = parse_duration(text(data))
    assert -(2**63) <= found < 2**63
    assert parse_duration(format_duration(found)) == found


def ignore(data: bytes) -> None:
    patterns, _, path = text(data).rpartition("\n")
    PatternMatcher(read_ignore(patterns)).matches(path)


def path_pattern(data: bytes) -> None:
    pattern, _, path = text(data).partition("\n")
    glob(pattern).fullmatch(path)


def sealed(data: bytes) -> bytes:
    """A tar whose headers have the checksums that they should have: a fuzzer does not find those."""
    found = bytearray(data + bytes(-len(data) % 512))

    def read(count: int, offset: int) -> bytes:
        block = found[offset : offset + count]
        if count == len(block) == 512 and any(block):
            block[148:156] = b" " * 8
            found[offset + 148 : offset + 156] = block[148:156] = b"%06o\0 " % sum(block)
        return bytes(block)

    try:
        for _ in scan(read, len(found)):
            pass
    except InvalidImage:
        pass
    return bytes(found)


def tar_headers(data: bytes) -> None:
    tar = sealed(data)
    for header in scan(lambda count, offset: tar[offset : offset + count], len(tar)):
        stored = header.size if header.sparse is None else sum(length for _, length in header.sparse)
        assert 0 <= stored <= len(tar)
        assert "\0" not in header.name + header.link


def layer(data: bytes) -> None:
    """An index that can be written can be read; no path leads out."""
    with tempfile.TemporaryDirectory() as folder:
        tar = Path(folder, "tar")
        whole = Path(folder, "content")
        tar.write_bytes(sealed(data))
        with tar.open("rb") as file, Path(folder, "index").open("wb") as index:
            content = Content(file.fileno(), lambda: os.open(whole, os.O_RDWR | os.O_CREAT))
            try:
                write_index(index_tar(file.fileno(), content), index.write)
            except OSError as error:
                assert error.errno == errno.EFBIG  # a sparse file may claim any size
                return
            finally:
                if content.fd != file.fileno():
                    os.close(content.fd)
        opened = LayerIndex.open(tar, Path(folder, "index"), "sha256:" + "0" * 64)
        for found in opened.entries():
            assert ".." not in found.path.split("/")
            os.fsencode(found.path)


def archive(data: bytes) -> None:
    """docker load's first step: the archive's members as files, whatever they are called."""
    with tempfile.TemporaryDirectory() as folder:
        inside = Path(folder, "scratch")
        inside.mkdir()
        members.split(iter([sealed(data)]), inside).find("manifest.json")
        assert os.listdir(folder) == ["scratch"]


def packed(data: bytes) -> None:
    """Pieces of bounded size, as many as it takes: who reads them stops at the disk's limit."""
    total = 0
    for piece in compression.decompress(io.BytesIO(data)):
        assert 0 < len(piece) <= compression.PIECE
        total += len(piece)
        if total > _MOST:
            return


def manifest(data: bytes) -> None:
    found = manifests.parse(data)
    manifests.media_type(data)
    if isinstance(found, manifests.Index):
        manifests.platforms(data)
        found.candidates(Platform.local())


def image_config(data: bytes) -> None:
    found = image.parse_config(data)
    image.chain_ids(image.diff_ids(found))
    image.unix_ns(found.get("created") or "")
    manifests.platform(found)


class _Content:
    def __init__(self, data: bytes) -> None:
        self._data = data

    async def iter_any(self):  # type: ignore[no-untyped-def]
        yield self._data


class _Response:
    """An answer of a registry as aiohttp hands it over; bytes in its head that are no UTF-8 become surrogates."""

    def __init__(self, data: bytes) -> None:
        head, _, body = data.partition(b"\n")
        reason, _, challenge = head.decode("utf-8", "surrogateescape").partition("|")
        self.status, self.reason, self.url = 401 if challenge else 400, reason, "http://r/"
        self.headers = CIMultiDict([("WWW-Authenticate", challenge)] if challenge else [])
        self.content = _Content(body)


def refusal(data: bytes) -> None:
    """What a registry's refusal says can be told to the client."""
    response: ClientResponse = _Response(data)  # type: ignore[assignment]
    for _, parameters in challenges(response):
        assert all(isinstance(value, str) for value in parameters.values())
    told = EngineError(str(asyncio.run(problem_of(response))))
    msgspec.json.encode(told.message)


def credentials(data: bytes) -> None:
    found = msgspec.json.decode(data, type=dict[str, object])
    Credentials.of_auth_config(found)


_DIGEST = b"sha256:" + b"a" * 64
_BLOB = b'{"mediaType":"","size":1,"digest":"' + _DIGEST + b'"}'
_MANIFEST = b'{"schemaVersion":2,"config":' + _BLOB + b',"layers":[' + _BLOB + b"]}"
_INDEX = (
    b'{"schemaVersion":2,"manifests":[{"size":1,"digest":"' + _DIGEST + b'","platform":{"os":"linux",'
    b'"architecture":"amd64","variant":""}}]}'
)
_CONFIG = (
    b'{"architecture":"amd64","os":"linux","created":"2026-01-02T03:04:05.6Z","config":{"Env":["A=B"]},'
    b'"rootfs":{"type":"layers","diff_ids":["' + _DIGEST + b'"]},"history":[{}]}'
)
_DOCKERFILE = b"""# escape=`
ARG A=1
FROM --platform=linux/amd64 base:$A AS one
RUN --mount=type=cache,target=/x,mode=0755 echo ${A:-b} "c" <<EOF
hello
EOF
COPY --from=0 --chown=1:2 a b* /c/
ENV A=b C="d e"
HEALTHCHECK --interval=5s --retries=3 CMD ["x","y"]
ONBUILD RUN x
SHELL ["sh","-c"]
VOLUME /a /b
"""
_TAR = tars.tar(
    tars.entry("dir/", type=b"5"),
    tars.entry("dir/file", b"content"),
    tars.link("dir/soft", "../x"),
    tars.link("hard", "dir/file", hard=True),
    tars.entry("dir/.wh.gone"),
    tars.entry("dev", type=b"3", devmajor=1),
    tars.entry("long" * 60, b"x"),
    tars.entry("manifest.json", b"[]"),
)
_JSON = (b'"', b"{", b"}", b"[", b"]", b":", b",", b"null", b"true", b"1", b"-1", b"1e999", b'""', b"{}", b"[]")
_NAMED = (
    "FROM RUN COPY ADD ENV ARG LABEL CMD ENTRYPOINT SHELL ONBUILD HEALTHCHECK EXPOSE USER VOLUME WORKDIR STOPSIGNAL"
    " MAINTAINER #escape=`"
)
_INSTRUCTIONS = tuple(f"\n{word} ".encode() for word in _NAMED.split())
_SYNTAX = (
    b"${A:-",
    b"${A/",
    b"${A#",
    b"$A",
    b"}",
    b"<<EOF\n",
    b"\nEOF\n",
    b"\\\n",
    b"`\n",
    b"--from=",
    b"--mount=",
    b"--chown=",
    b'["a",',
    b'"]',
    b"--interval=",
    b"--retries=",
    b"AS x",
    b"#",
    b"\t",
    b"ONBUILD " * 2000,
    b"${A:-" * 2000,
)
_TAR_WORDS = (
    b"ustar\0" + b"00",
    b"ustar  \0",
    b"\x80" + b"\xff" * 11,
    b"\x80\0\0\0\0\0\0\0\0\0\0\1",
    b"\xff" * 12,
    b"L",
    b"K",
    b"x",
    b"g",
    b"S",
    b"0",
    b"1",
    b"2",
    b"3",
    b"5",
    b"../",
    b"/",
    b".wh.",
    b".wh..wh..opq",
    b"77777777777\0",
    b"20 path=../../x\n12 a=b\n",
    b"27 GNU.sparse.major=1\n",
    b"\0" * 512,
    b"\0" * 100,
    b"dir",
)
_IMAGE = (ImageError,)
TARGETS = (
    Target(
        "name",
        name,
        (InvalidReference,),
        (b"busybox", b"a.b:5/c/d:e@" + _DIGEST),
        (b"docker.io/", b"library/", b"localhost/", b":", b"@sha256:", b"__", b"-", b"A", b"index.docker.io"),
    ),
    Target(
        "image_platform",
        platform,
        (InvalidReference,),
        (b"linux/arm/v7", b"amd64"),
        (b"/", b"linux", b"arm", b"v9", b"arm64", b"armel"),
    ),
    Target("dockerfile", dockerfile, (DockerfileError,), (_DOCKERFILE, b"FROM a"), (*_INSTRUCTIONS, *_SYNTAX)),
    Target("expansion", expansion, (DockerfileError,), (b"${A:-b} '$A' \"$B\"", b"${A//x/y}"), _SYNTAX),
    Target("changes", changes, (DockerfileError,), (b"ENV a=b\nCMD x", b"ONBUILD RUN x"), (*_INSTRUCTIONS, *_SYNTAX)),
    Target(
        "run_mount",
        run_mount,
        (DockerfileError,),
        (b"type=cache,target=/x,uid=1,mode=0755", b"type=tmpfs,target=/x,size=1g"),
        (b"type=", b"tmpfs", b"target=", b"size=", b"uid=", b"mode=", b'"', b",", b"1g", b"t", b"required"),
    ),
    Target(
        "duration", duration, (DockerfileError,), (b"1h30m", b"1.5ms", b"-2s"), (b"h", b"ns", b".", b"-", b"s", b"9")
    ),
    Target(
        "ignore",
        ignore,
        (DockerfileError,),
        (b"a/**\n!b\na/b", b"# c\n*.md\nx.md"),
        (b"**/", b"*", b"!", b"[a-", b"]", b"\\", b"*a*a*a*a*a*a*a*a*a*a*a*a*b\n", b"a" * 60),
    ),
    Target(
        "path_pattern",
        path_pattern,
        (DockerfileError,),
        (b"a*[b-c]?\nabcd",),
        (b"*", b"[^", b"]", b"\\", b"*a*a*a*a*a*a*a*a*a*a*a*a*b\n", b"a" * 60),
    ),
    Target("tar_headers", tar_headers, (InvalidImage,), (_TAR,), _TAR_WORDS),
    Target("layer", layer, (InvalidImage,), (_TAR,), _TAR_WORDS),
    Target("archive", archive, (InvalidImage,), (_TAR, tars.docker_archive("a:b", _CONFIG, _TAR)), _TAR_WORDS),
    Target(
        "packed",
        packed,
        (InvalidImage,),
        (gzip.compress(b"x" * 99), bz2.compress(b"x"), lzma.compress(b"x"), zstandard.compress(b"x" * 99)),
        (b"\x1f\x8b\x08", b"BZh9", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd", b"\x50\x2a\x4d\x18", b"\xff\xff\xff\xff"),
    ),
    Target(
        "manifest",
        manifest,
        _IMAGE,
        (_MANIFEST, _INDEX),
        (*_JSON, b'"schemaVersion":2', b'"manifests":', b'"layers":', b'"platform":', b'"mediaType":', b'"size":'),
    ),
    Target("image_config", image_config, _IMAGE, (_CONFIG,), (*_JSON, b'"rootfs":', b'"diff_ids":', b'"created":')),
    Target(
        "refusal",
        refusal,
        _IMAGE,
        (b'Bad|Bearer realm="https://a/t",service="s"\n{"errors":[{"code":"DENIED","message":"m"}]}', b"No\n"),
        (*_JSON, b'"errors":', b'"code":', b'"message":', b"|Basic ", b"|Bearer realm=", b"\n"),
    ),
    Target(
        "credentials",
        credentials,
        (Unauthorized, ValueError, RecursionError),
        (b'{"auth":"YTpi"}', b'{"username":"a"}'),
        (*_JSON, b'"auth":', b'"username":', b'"YTpi"'),
    ),
)
