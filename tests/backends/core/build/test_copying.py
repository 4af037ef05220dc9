"""COPY and ADD: where files go, and what becomes of what is there."""

from __future__ import annotations

import pytest

from tests.backends.core.build.conftest import Entries, Shop, context, packed

pytestmark = pytest.mark.timeout(60)
THERE: Entries = [
    ("usr/lib/", {"mode": 0o700, "uid": 5, "gid": 6}),
    ("lib", {"link": "usr/lib"}),
    ("x/", {"mode": 0o711}),
    ("t/x/", {}),
    ("t/abs", {"link": "/x"}),
    ("t/up", {"link": "../../x"}),
    ("t/broken", {"link": "nowhere"}),
    ("t/f", {"data": b"1"}),
]


def added(entries: Entries, destination: str = "/") -> dict[str, str | bytes]:
    """Files of a context whose Dockerfile puts one archive over another."""
    return {"there.tar": packed(THERE), "a.tar": packed(entries), "Dockerfile": (
        f"FROM scratch\nADD there.tar /\nADD a.tar {destination}\n"
    )}  # fmt: skip


async def test_directories_that_an_archive_only_implies_stay_as_they_are(builds: Shop) -> None:
    files = added([("lib/a", {"data": b"1"}), ("new/a", {"data": b"1", "uid": 9})])
    image = await builds.image("", tar=context(files))
    found = builds.files(image)
    assert (found["lib"][:7], found["usr/lib"], found["usr/lib/a"]) == ("symlink", "dir 700 5:6", "file 644 0:0")
    assert (found["new"], found["new/a"]) == ("dir 755 0:0", "file 644 9:0")


async def test_a_directory_of_an_archive_replaces_a_link(builds: Shop) -> None:
    image = await builds.image("", tar=context(added([("lib/", {"mode": 0o750}), ("lib/a", {"data": b"1"})])))
    found = builds.files(image)
    assert (found["lib"], found["lib/a"]) == ("dir 750 0:0", "file 644 0:0")
    assert "usr/lib/a" not in found


@pytest.mark.parametrize("link", ["abs", "up"])
async def test_no_link_leads_an_archive_out_of_its_destination(builds: Shop, link: str) -> None:
    image = await builds.image("", tar=context(added([(f"{link}/a", {"data": b"1"})], "/t/")))
    assert [path for path in builds.files(image) if path.endswith("/a")] == ["t/x/a"]


@pytest.mark.parametrize(("path", "why"), [("broken/a", "no such file or directory"), ("f/a", "not a directory")])
async def test_an_archive_leads_through_what_is_no_directory(builds: Shop, path: str, why: str) -> None:
    lines = await builds.build("", tar=context(added([(path, {"data": b"1"})], "/t/")))
    assert lines[-1].error == f"failed to copy files: Error processing tar file(exit status 1): open /{path}: {why}"


async def test_who_is_given_a_file_gets_no_set_id_bits(builds: Shop) -> None:
    """COPY gives files to root, or to --chown's; COPY --from without it and archives keep owners and bits."""
    dockerfile = (
        "FROM scratch AS a\nADD a.tar /\nFROM scratch\nCOPY f g d /c/\nCOPY --chmod=4755 f /m\n"
        "COPY --from=a /q /kept\nCOPY --from=a --chown=0:0 /q /given\n"
        "ADD --chown=1:1 a.tar /t/\n"
    )
    inner = packed([("q", {"data": b"1", "mode": 0o6755})])
    tar = packed(
        [
            ("Dockerfile", {"data": dockerfile.encode()}),
            ("f", {"mode": 0o6755}),
            ("g", {"mode": 0o2644}),
            ("d/s/", {"mode": 0o3777}),
            ("a.tar", {"data": inner}),
        ]
    )
    found = builds.files(await builds.image("", tar=tar))
    assert [found[path].split()[1] for path in ("c/f", "c/g", "c/s", "m", "kept", "given", "t/q")] == [
        "755", "2644", "3777", "4755", "6755", "755", "6755"
    ]  # fmt: skip


TREE: Entries = [
    ("a.md", {"data": b"1"}),
    ("b.txt", {"data": b"1"}),
    ("x/", {"mode": 0o711}),
    ("x/y/", {"mode": 0o750}),
    ("x/y/f.txt", {"data": b"1"}),
    ("x/y/g.md", {"data": b"1"}),
    ("x/z/f.txt", {"data": b"1"}),
]


@pytest.mark.parametrize(
    ("line", "paths"),
    [
        ("COPY --exclude=*.md a.md b.txt /", ["b.txt"]),
        ("COPY --exclude=*.md *.* /", ["b.txt"]),
        ("COPY --exclude=x * /", ["Dockerfile", "a.md", "b.txt"]),
        ("COPY --exclude=*.md a.md /", []),
        ("COPY --exclude=y x /", ["z/f.txt"]),
        ("COPY --exclude=x x /", ["y/f.txt", "y/g.md", "z/f.txt"]),
        ("COPY --exclude=**/*.md --exclude=z x /d/", ["d/y/f.txt"]),
        ("COPY --exclude=f.txt x/y/f.txt /d/", []),
        ("ADD --exclude=*.md x/y/* /d/", ["d/f.txt"]),
        ("COPY --parents x/y/f.txt b.txt /d/", ["d/b.txt", "d/x/y/f.txt"]),
        ("COPY --parents b.txt /d", ["d/b.txt"]),
        ("COPY --parents x/y /d", ["d/x/y/f.txt", "d/x/y/g.md"]),
        ("COPY --parents x/./y /d/", ["d/y/f.txt", "d/y/g.md"]),
        ("COPY --parents ./x/./*/f.txt /d/", ["d/y/f.txt", "d/z/f.txt"]),
        ("COPY --parents **/*.md /d/", ["d/a.md", "d/x/y/g.md"]),
        ("COPY --parents x/./**/f.txt /", ["y/f.txt", "z/f.txt"]),
        ("COPY --parents --exclude=x/y x /d/", ["d/x/z/f.txt"]),
        ("COPY --parents --exclude=**/*.md x/./y b.txt /d/", ["d/b.txt", "d/y/f.txt"]),
        ("COPY --parents --exclude=Dockerfile . /d", ["d/a.md", "d/b.txt", "d/x/y/f.txt", "d/x/y/g.md", "d/x/z/f.txt"]),
    ],
)
async def test_what_is_left_out_and_which_directories_are_kept(builds: Shop, line: str, paths: list[str]) -> None:
    dockerfile = f"FROM scratch\n{line}\nENV A=1\n"
    found = builds.files(await builds.image("", tar=packed([("Dockerfile", {"data": dockerfile.encode()}), *TREE])))
    assert sorted(path for path, what in found.items() if what.startswith("file")) == paths


async def test_kept_directories_have_the_attributes_of_the_source(builds: Shop) -> None:
    dockerfile = b"FROM scratch\nCOPY --parents --chown=3:4 x/y /d/\n"
    found = builds.files(await builds.image("", tar=packed([("Dockerfile", {"data": dockerfile}), *TREE])))
    assert [found[path] for path in ("d/x", "d/x/y", "d/x/y/f.txt")] == ["dir 711 3:4", "dir 750 3:4", "file 644 3:4"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("COPY --parents no/f /d/", "COPY failed: file not found in build context or excluded by .dockerignore: "
         "stat no/f: file does not exist"),
        ("COPY --parents **/*.no /d/", "COPY failed: no source files were specified"),
        ("COPY --parents x/./../../f /d/", "COPY failed: forbidden path outside the build context: ../../f ()"),
    ],
)  # fmt: skip
async def test_sources_that_are_not_there(builds: Shop, line: str, said: str) -> None:
    lines = await builds.build("", tar=packed([("Dockerfile", {"data": f"FROM scratch\n{line}\n".encode()}), *TREE]))
    assert lines[-1].error == said
