"""Builds: what they say, what they leave, and how they fail."""

from __future__ import annotations

import asyncio
import io
import os
import tarfile
import time
from pathlib import Path
from typing import Any

import pytest

from backends.api import types as t
from backends.api.errors import EngineError, InvalidArgument
from tests.backends.core.build.conftest import Shop, context, text
from tests.backends.core.conftest import chunks
from tests.sandbox.images.making import SPARSE_FILES, member, sparse_archive, tar

BAD_MODE = "invalid chmod parameter: '9'. it should be octal string and between 0 and 07777"
NO_SSH = "RUN --mount=type=ssh is not supported: the classic builder has no session"
NO_SOURCE = "failed to mount no: no such file or directory"
pytestmark = pytest.mark.timeout(60)


async def test_the_words_of_a_build(builds: Shop) -> None:
    lines = await builds.build("FROM busybox AS x\nENV A=1\n", tags=["one", "two:3", "one"])
    image = await builds.inspect("one")
    short, parent = image.id[7:19], image.parent[7:19]
    said = text(lines)
    container = said.split("Running in ")[1][:12]
    assert said == (
        f"Step 1/2 : FROM busybox AS x\n ---> {parent}\nStep 2/2 : ENV A=1\n ---> Running in {container}\n"
        f"Removing intermediate container {container}\n ---> {short}\n"
        f"Successfully built {short}\nSuccessfully tagged one:latest\nSuccessfully tagged two:3\n"
    )
    assert [line.aux for line in lines if line.aux] == [{"ID": image.id}]
    assert image.repo_tags == ["one:latest", "two:3"]
    assert await builds.engine.list_containers(True, 0, False, {}) == []


async def test_every_image_that_is_made_is_told_of(builds: Shop) -> None:
    await builds.build("FROM busybox\nENV A=1\nLABEL l=v\n", tags=["one"])
    await builds.build("FROM busybox\nENV A=1\nLABEL l=v\n", tags=["one"])
    image = await builds.inspect("one")
    events = [event async for event in await builds.engine.events(1, time.time_ns(), {"type": ["image"]})]
    told = [(event.Action, event.Actor["ID"]) for event in events]
    assert told == [("create", image.parent), ("create", image.id), ("tag", image.id), ("tag", image.id)]
    assert events[1].Actor["Attributes"]["l"] == "v"


async def test_a_command_is_carried_out(builds: Shop) -> None:
    lines = await builds.build("FROM busybox\nRUN echo out; echo err >&2; echo made > made\n", tags=["r"])
    assert "out\n" in text(lines)
    assert "\033[91merr\n\033[0m" in text(lines)
    assert builds.files("r")["made"] == "file 644 0:0"


async def test_a_failing_command(builds: Shop) -> None:
    lines = await builds.build("FROM busybox\nRUN exit 3\n")
    message = "The command '/bin/sh -c exit 3' returned a non-zero code: 3"
    assert (lines[-1].error, lines[-1].errorDetail) == (message, {"code": 3, "message": message})
    (left,) = await builds.engine.list_containers(True, 0, False, {})
    assert left.state == "exited"
    await builds.build("FROM busybox\nRUN exit 3\n", force_remove=True)
    assert len(await builds.engine.list_containers(True, 0, False, {})) == 1


async def test_a_command_without_words_is_the_image_s_own(builds: Shop) -> None:
    lines = await builds.build('FROM busybox\nCMD ["sh", "-c", "echo own"]\nRUN []\nENTRYPOINT exit 4\nRUN []\n')
    assert "own\n" in text(lines)
    assert lines[-1].error == "The command '' returned a non-zero code: 4"
    assert (await builds.build("FROM scratch\nRUN []\n"))[-1].error == "no command specified"


async def test_intermediate_containers_may_stay(builds: Shop) -> None:
    await builds.build("FROM busybox\nRUN true\nENV A=1\n", remove=False)
    assert len(await builds.engine.list_containers(True, 0, False, {})) == 2


async def test_quiet(builds: Shop) -> None:
    lines = await builds.build("FROM busybox\nENV A=1\n", quiet=True, tags=["q"])
    assert [line.stream for line in lines] == [(await builds.inspect("q")).id + "\n"]
    lines = await builds.build("FROM busybox\nRUN echo loud; exit 1\n", quiet=True)
    assert "loud\n" in text(lines)
    assert lines[-1].error == "The command '/bin/sh -c echo loud; exit 1' returned a non-zero code: 1"


@pytest.mark.parametrize(
    ("dockerfile", "more", "message"),
    [
        ("FROM busybox\nFOO\n", {}, "dockerfile parse error on line 2: unknown instruction: FOO"),
        ("FROM busybox\nENV x\n", {}, "failed to parse Dockerfile: ENV must have two arguments"),
        ("FROM busybox\n", {"target": "x"}, "failed to reach build target x in Dockerfile"),
        (
            "FROM busybox\n",
            {"tags": ["UP"]},
            "invalid reference format: repository name (library/UP) must be lowercase",
        ),
        ("FROM busybox\n", {"platform": "a/b/c/d"}, '"a/b/c/d": cannot parse platform specifier: invalid argument'),
        ("FROM busybox\n", {"dockerfile": "nope"}, "Cannot locate specified Dockerfile: nope"),
        ("", {}, "the Dockerfile (Dockerfile) cannot be empty"),
        ("FROM busybox\n", {"remote": "nowhere"}, "remote (nowhere) could not be recognized as URL"),
    ],
)
async def test_what_is_wrong_from_the_start_is_raised(
    builds: Shop, dockerfile: str, more: dict[str, Any], message: str
) -> None:
    with pytest.raises(EngineError) as failure:
        await builds.build(dockerfile, **more)
    assert failure.value.message == message
    assert list((builds.engine.context.images.disk.root / "scratch").iterdir()) == []


@pytest.mark.parametrize(
    ("dockerfile", "message"),
    [
        ("FROM busybox\nADD http://x/y /x\n", None),
        ("FROM busybox\nCOPY --chmod=9 Dockerfile /x\n", BAD_MODE),
        ("FROM busybox\nRUN --mount=type=ssh true\n", NO_SSH),
        ("FROM busybox\nRUN --mount=type=secret,id=s,required true\n", "secret s: not found"),
        ("FROM busybox\nRUN --mount=type=bind,source=no,target=/x true\n", NO_SOURCE),
        ("FROM busybox\nRUN --security=insecure true\n", "RUN --security=insecure is not supported"),
        ("FROM busybox\nRUN --network=foo true\n", 'unsupported network mode "foo"'),
        ("FROM ${NONE}\n", "base name (${NONE}) should not be blank"),
        ("FROM busybox\nUSER ${x:?say}\n", 'failed to process "${x:?say}": x: say'),
        ("FROM --platform=linux/s390x busybox\nENV A=1\n", None),
        ("FROM --platform=$NONE busybox\n", "empty platform value from expression $NONE"),
        ("FROM --platform=windows/amd64 scratch\nENV A=1\n", "operating system is not supported"),
        ("FROM --platform=a/b/c/d scratch\n", '"a/b/c/d": cannot parse platform specifier: invalid argument'),
        ("FROM busybox\nCOPY Dockerfile /f\nWORKDIR /f\n", "Cannot mkdir: /f is not a directory"),
        ("FROM busybox\nCOPY Dockerfile /f\nWORKDIR /f/x\n", "Cannot mkdir: /f/x is not a directory"),
    ],
)  # fmt: skip
async def test_what_goes_wrong_later_is_told_in_the_stream(builds: Shop, dockerfile: str, message: str | None) -> None:
    lines = await builds.build(dockerfile, force_remove=True)
    assert lines[0].stream == f"Step 1/{dockerfile.count(chr(10))} : {dockerfile.splitlines()[0]}"
    error = lines[-1].error
    assert isinstance(error, str)
    assert lines[-1].errorDetail == {"message": error}
    if message is not None:
        assert error == message
    assert await builds.engine.list_containers(True, 0, False, {}) == []


async def test_a_client_that_goes_away_leaves_nothing(builds: Shop) -> None:
    body = context({"Dockerfile": "FROM busybox\nENV A=1\nRUN echo begun; exec sleep 600\n"})
    lines = await builds.engine.build_image(chunks(body), t.BuildImage())
    async for line in lines:
        if line.stream == "begun\n":
            break
    began = time.monotonic()
    await lines.aclose()  # type: ignore[attr-defined]
    assert time.monotonic() - began < 10
    assert await builds.engine.list_containers(True, 0, False, {}) == []
    assert list((builds.engine.context.images.disk.root / "scratch").iterdir()) == []


async def test_builds_at_the_same_time(builds: Shop) -> None:
    made = await asyncio.gather(
        *(builds.image(f"FROM busybox\nRUN echo {n} > n\nCOPY Dockerfile /{n}/\n") for n in range(8))
    )
    assert len(set(made)) == 8
    assert [f"{n}/Dockerfile" in builds.files(image) for n, image in enumerate(made)] == [True] * 8


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:xz", "w:bz2"])
async def test_contexts_may_be_packed(builds: Shop, mode: str) -> None:
    tar = context({"Dockerfile": "FROM scratch\nCOPY f /\n", "f": "x"}, mode)
    await builds.build("", tar=tar, tags=["p"])
    assert builds.files("p") == {"f": "file 644 0:0"}


async def test_a_context_that_is_no_tar(builds: Shop) -> None:
    with pytest.raises(InvalidArgument, match="Error processing tar file: "):
        await builds.build("", tar=b"FROM busybox\n" * 100)


async def test_dockerfiles_by_other_names(builds: Shop) -> None:
    tar = context({"dockerfile": "FROM busybox\nENV A=lower\n", "sub/My": "FROM busybox\nENV A=mine\n"})
    await builds.build("", tar=tar, tags=["lower"])
    await builds.build("", tar=tar, tags=["mine"], dockerfile="sub/My")
    assert "A=lower" in (await builds.inspect("lower")).config["Env"]
    assert "A=mine" in (await builds.inspect("mine")).config["Env"]


async def test_what_clients_send_although_it_is_ignored(builds: Shop) -> None:
    files = {
        ".dockerignore": "Dockerfile\n.dockerignore\nother",
        "other": "kept: the client has left out what it leaves out",
    }
    await builds.build("FROM scratch\nCOPY . /\n", files, tags=["i"])
    assert builds.files("i") == {"other": "file 644 0:0"}


async def test_links_and_hard_links_of_a_context(builds: Shop) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        data = b"FROM scratch\nCOPY d /d\n"
        tar.addfile(_entry("Dockerfile", size=len(data)), io.BytesIO(data))
        tar.addfile(_entry("d/a", size=1, mode=0o6755), io.BytesIO(b"1"))
        tar.addfile(_entry("d/b", type=tarfile.LNKTYPE, linkname="d/a"))
        tar.addfile(_entry("d/l", type=tarfile.SYMTYPE, linkname="../outside"))
        tar.addfile(_entry("d/" + "n" * 200, size=1, mtime=-5), io.BytesIO(b"1"))
    image = await builds.image("", tar=buffer.getvalue())
    found = builds.files(image)
    assert (found["d/a"], found["d/b"], found["d/l"][:7]) == ("file 755 0:0", "file 755 0:0", "symlink")
    assert "d/" + "n" * 200 in found
    (layer,) = builds.engine.context.images.resolve(image).layers
    kinds = {entry.path: entry.kind for entry in builds.engine.context.images.layer(layer.diff_id).entries()}
    assert kinds["d/b"] == "hardlink"


def _entry(name: str, **attributes: object) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    for key, value in attributes.items():
        setattr(entry, key, value)
    return entry


async def test_unused_arguments_are_named(builds: Shop) -> None:
    lines = await builds.build(
        "FROM busybox\nARG USED\nENV A=1", build_args={"USED": "1", "NOT": "2", "http_proxy": "p"}
    )
    assert "[Warning] One or more build-args [NOT] were not consumed\n" in text(lines)


async def test_platform_arguments_need_a_declaration(builds: Shop) -> None:
    dockerfile = (
        "FROM busybox\nENV A=[$TARGETARCH]\nARG TARGETARCH TARGETPLATFORM=mine\nENV B=[$TARGETARCH] C=$TARGETPLATFORM\n"
    )
    image = await builds.inspect(await builds.image(dockerfile))
    assert set(image.config["Env"]) >= {"A=[]", "B=[amd64]", "C=mine"}


async def test_global_arguments_need_a_declaration_in_stages(builds: Shop) -> None:
    dockerfile = "ARG BASE=busybox V=1\nFROM $BASE\nENV A=[$V]\nARG V\nENV B=[$V]\nFROM busybox\nENV C=[$V]\n"
    first = await builds.inspect(await builds.image(dockerfile, target="0"))
    assert set(first.config["Env"]) >= {"A=[]", "B=[1]"}
    last = await builds.inspect(await builds.image(dockerfile, build_args={"V": "2"}))
    assert "C=[]" in last.config["Env"]


async def test_history_and_parents(builds: Shop) -> None:
    await builds.image("FROM busybox\nMAINTAINER me\nRUN echo 1 > one\nENV A=1\n", tags=["h"])
    history = await builds.engine.image_history("h")
    assert [(item.created_by, item.size) for item in history[:3]] == [
        ("/bin/sh -c #(nop)  ENV A=1", 0),
        ("/bin/sh -c echo 1 > one", 2),
        ("/bin/sh -c #(nop)  MAINTAINER me", 0),
    ]
    ids = [item.id for item in history[:4]]
    parents = [(await builds.inspect(image_id)).parent for image_id in ids[:3]]
    assert parents == ids[1:]
    assert (await builds.inspect("h")).author == "me"


async def test_a_name_of_digits_is_an_id_or_a_name(builds: Shop) -> None:
    base = (await builds.inspect("busybox")).id
    for name in (base, base[7:19], base[:19]):
        assert text(await builds.build(f"FROM {name}\n")).startswith(f"Step 1/1 : FROM {name}\n ---> {base[7:19]}\n")
    (failure,) = [line.error for line in await builds.build("FROM deadbeef\n") if line.error]
    assert "No such image" not in str(failure)  # it was looked for where names are
    (failure,) = [line.error for line in await builds.build(f"FROM {'deadbeef' * 8}\n") if line.error]
    assert failure == f"invalid repository name ({'deadbeef' * 8}), cannot specify 64-byte hexadecimal strings"


@pytest.mark.parametrize(
    ("flag", "wanted", "parts"),
    [
        ("", "", ("amd64", "")), ("--platform=linux/arm64 ", "", ("arm64", "")), ("", "linux/arm64/v8", ("arm64", "")),
        ("--platform=linux/arm ", "linux/s390x", ("arm", "v7")), ("--platform=linux ", "linux/arm64", ("amd64", "")),
    ],
)  # fmt: skip
async def test_an_image_from_scratch_is_for_the_platform_asked_for(
    builds: Shop, flag: str, wanted: str, parts: tuple[str, str]
) -> None:
    await builds.image("FROM scratch\nENV A=1\n")
    image = await builds.inspect(await builds.image(f"FROM {flag}scratch\nENV A=1\n", platform=wanted))
    assert (image.os, image.architecture, image.variant) == ("linux", *parts)


@pytest.mark.parametrize("platform", ["linux", "linux/amd64", "linux/amd64/v1", "linux/x86_64", "$BUILDPLATFORM"])
async def test_an_image_that_is_here_is_of_the_platform(builds: Shop, platform: str) -> None:
    assert "Successfully built" in text(await builds.build(f"FROM --platform={platform} busybox\nENV A=1\n"))


async def test_sparse_files_that_add_unpacks_are_whole(builds: Shop, tmp_path: Path) -> None:
    raw = sparse_archive("1.0", tmp_path).read_bytes()
    store = builds.engine.context.images
    image = store.resolve(await builds.image("FROM busybox\nADD made.tar .\n", {"made.tar": raw}))
    layer = store.layer(image.layers[-1].diff_id)
    files = [entry for entry in layer.entries() if entry.kind == "file"]
    assert {entry.path: os.pread(layer.fd(), entry.size, entry.offset) for entry in files} == SPARSE_FILES


async def test_a_sparse_file_of_any_size_costs_no_more_than_an_answer(builds: Shop) -> None:
    info, data = member("bomb", b"12345")
    info.pax_headers = {"GNU.sparse.map": "0,5", "GNU.sparse.numblocks": "1", "GNU.sparse.size": str(1 << 59)}
    with pytest.raises(EngineError, match=r"^image store: file too large$"):
        await builds.build("", tar=tar([member("Dockerfile", b"FROM busybox\n"), (info, data)]))
