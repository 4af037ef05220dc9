import os
import struct
import tarfile
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.images import tarscan
from sandbox.images.errors import InvalidImage
from sandbox.images.layer import Entry, LayerIndex, write_index
from sandbox.images.layerbuild import LayerBuilder
from tests.sandbox.images.making import files, member, tar


def index(tmp_path: Path, data: bytes) -> LayerIndex:
    path = tmp_path / "layer.tar"
    path.write_bytes(data)
    return LayerIndex.of_tar(path)


def entries(tmp_path: Path, data: bytes) -> dict[str, Entry]:
    return {entry.path: entry for entry in index(tmp_path, data).entries()}


def test_every_kind_of_member_is_an_entry(tmp_path: Path) -> None:
    data = tar(
        [
            member("./", mode=0o1777),
            member("etc/", uid=5, gid=6, mode=0o2750),
            member("etc/passwd", b"root", uid=1, gid=2, mode=0o4644, mtime=1700000000.25),
            member("etc/link", b"", type=tarfile.SYMTYPE, linkname="../x/passwd"),
            member("etc/hard", b"", type=tarfile.LNKTYPE, linkname="etc/passwd"),
            member("dev/null", b"", type=tarfile.CHRTYPE, devmajor=1, devminor=3, mode=0o666),
            member("dev/sda", b"", type=tarfile.BLKTYPE, devmajor=8, devminor=300),
            member("run/pipe", b"", type=tarfile.FIFOTYPE),
        ]
    )
    layer = index(tmp_path, data)
    found = {entry.path: entry for entry in layer.entries()}
    passwd = found["etc/passwd"]
    assert (passwd.kind, passwd.mode, passwd.uid, passwd.gid, passwd.size) == ("file", 0o4644, 1, 2, 4)
    assert passwd.mtime_ns == 1_700_000_000_250_000_000
    assert os.pread(layer.fd(), passwd.size, passwd.offset) == b"root"
    assert (found[""].kind, found[""].mode) == ("dir", 0o1777)
    assert (found["etc"].kind, found["etc"].mode, found["etc"].uid, found["etc"].gid) == ("dir", 0o2750, 5, 6)
    assert (found["etc/link"].kind, found["etc/link"].link) == ("symlink", "../x/passwd")
    assert (found["etc/hard"].kind, found["etc/hard"].link) == ("hardlink", "etc/passwd")
    assert (found["dev/null"].kind, found["dev/null"].device) == ("char", os.makedev(1, 3))
    assert (found["dev/sda"].kind, found["dev/sda"].device) == ("block", os.makedev(8, 300))
    assert found["run/pipe"].kind == "fifo"
    assert "dev" not in found


LONG = "d" * 120 + "/" + "f" * 130
NOT_UTF8 = os.fsdecode(b"caf\xe9")


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_long_names_links_and_big_numbers(tmp_path: Path, form: int) -> None:
    link = "t" * 200
    data = tar(
        [
            member(LONG, b"1", uid=3_000_000, gid=0o7777777 + 5),
            member("s", b"", type=tarfile.SYMTYPE, linkname=link),
            member("old", b"", mtime=-5),
        ],
        form,
    )
    found = entries(tmp_path, data)
    assert (found[LONG].uid, found[LONG].gid) == (3_000_000, 0o7777777 + 5)
    assert found["s"].link == link
    assert found["old"].mtime_ns == -5_000_000_000


def test_xattrs_and_names_that_are_not_utf8_survive_the_index_file(tmp_path: Path) -> None:
    found = entries(tmp_path, tar([member("cap", b"x"), member(NOT_UTF8, b"y")], tarfile.GNU_FORMAT))
    entry = Entry("cap", "file", xattrs={"security.capability": b"\x01\x00\xff"})
    path = tmp_path / "index"
    with path.open("wb") as file:
        write_index([entry, found[NOT_UTF8], Entry("z", "symlink", link="\udcff")], file.write)
    again = list(LayerIndex.open(tmp_path / "layer.tar", path).entries())
    assert again == [entry, found[NOT_UTF8], Entry("z", "symlink", link="\udcff")]


def pax(records: bytes, then: bytes) -> bytes:
    return header(b"PaxHeader", len(records), b"x") + records + bytes(-len(records) % 512) + then


def record(key: bytes, value: bytes) -> bytes:
    length = len(key) + len(value) + 3
    while len(str(length)) + len(key) + len(value) + 3 != length:
        length = len(str(length)) + len(key) + len(value) + 3
    return str(length).encode() + b" " + key + b"=" + value + b"\n"


def header(name: bytes, size: int, kind: bytes = b"0", link: bytes = b"") -> bytes:
    block = bytearray(512)
    block[: len(name)] = name
    block[100:108] = b"0000644\0"
    block[108:116] = block[116:124] = b"0000000\0"
    block[124:136] = b"%011o\0" % size
    block[136:148] = b"00000000000\0"
    block[156:157] = kind
    block[157 : 157 + len(link)] = link
    block[257:265] = b"ustar\x0000"
    return checksummed(block)


def checksummed(block: bytearray) -> bytes:
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def test_pax_records_win_over_the_header(tmp_path: Path) -> None:
    records = (
        record(b"path", b"real/name")
        + record(b"size", b"3")
        + record(b"mtime", b"12.123456789012")
        + record(b"SCHILY.xattr.user.k", b"a\0\xff=\n")
    )
    data = pax(records, header(b"fake", 0) + b"abc" + bytes(509)) + bytes(1024)
    found = entries(tmp_path, data)
    assert list(found) == ["real/name"]
    entry = found["real/name"]
    assert (entry.size, entry.mtime_ns, entry.xattrs) == (3, 12_123_456_789, {"user.k": b"a\0\xff=\n"})


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
@pytest.mark.parametrize("seconds", [9_300_000_000, -9_300_000_000])
def test_times_beyond_64_bits_of_nanoseconds_are_the_epoch(tmp_path: Path, form: int, seconds: int) -> None:
    assert entries(tmp_path, tar([member("x", b"", mtime=seconds)], form))["x"].mtime_ns == 0


def with_size(field: bytes) -> bytes:
    block = bytearray(header(b"x", 0))
    block[124:136] = field
    return checksummed(block)


WHITEOUTS = [
    member("a/.wh.gone", b""),
    member("b/.wh..wh..opq", b""),
    member("b/new", b"1"),
    member(".wh..wh.plnk", b""),
    member(".wh..wh.aufs", b""),
]


def test_whiteouts_come_first_and_aufs_leftovers_not_at_all(tmp_path: Path) -> None:
    found = [(entry.path, entry.kind) for entry in index(tmp_path, tar(WHITEOUTS)).entries()]
    assert found == [("a/gone", "whiteout"), ("b", "opaque"), ("b/new", "file")]


def linked(name: str, target: str) -> bytes:
    return tar([member("f", b"1"), member("d/"), member(name, b"", type=tarfile.LNKTYPE, linkname=target)])


def symlinked(target: str, *more: str) -> bytes:
    link = member("a", b"", type=tarfile.SYMTYPE, linkname=target)
    return tar([member("f", b"1"), link, *(member(name, b"2") for name in more)])


def sparse01(pieces: bytes, blocks: bytes = b"1", size: bytes = b"9") -> bytes:
    """PAX form 0.1, with five stored bytes."""
    records = record(b"GNU.sparse.map", pieces) + record(b"GNU.sparse.numblocks", blocks)
    return pax(records + record(b"GNU.sparse.size", size), header(b"x", 5) + b"12345" + bytes(507)) + bytes(1024)


def sparse10(start: bytes) -> bytes:
    """PAX form 1.0, with one stored block, which begins as given."""
    records = record(b"GNU.sparse.major", b"1") + record(b"GNU.sparse.minor", b"0")
    content = header(b"x", 512) + start + bytes(512 - len(start))
    return pax(records + record(b"GNU.sparse.realsize", b"9"), content) + bytes(1024)


BIG = header(b"x", 0)
GOOD = files({"a": b"x" * 700, "b": b"y"})


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (files({"../x": b""}), "invalid path '../x': outside of the root directory"),
        (files({"a/../../x": b""}), "invalid path 'a/../../x': outside of the root directory"),
        (files({"/../x": b""}), "invalid path '/../x': outside of the root directory"),
        (linked("l", "../../etc/passwd"), "invalid path '../../etc/passwd': outside of the root directory"),
        (linked("l", "missing"), "invalid hard link 'l' -> 'missing'"),
        (linked("l", "d"), "invalid hard link 'l' -> 'd'"),
        (linked("l", "/"), "invalid hard link 'l' -> '/'"),
        (files({"f": b"", "f/x": b""}), "invalid path 'f': 'f' is not a directory"),
        (symlinked("f", "a/x"), "invalid path 'a': 'f' is not a directory"),
        (symlinked("nowhere", "a/x"), "invalid path 'a': no such directory"),
        (symlinked("a", "a/x"), "invalid path 'a': 'a' is not a directory"),
        (files({"x/.wh..": b""}), "invalid whiteout '.wh..' in 'x'"),
        (files({"x/.wh...": b""}), "invalid whiteout '.wh...' in 'x'"),
        (files({"x/.wh.": b""}), "invalid whiteout '.wh.' in 'x'"),
        (files({"n" * 256: b""}), f"invalid path '{'n' * 256}': file name too long"),
        (files({"n/" * 2100 + "n": b""}), f"invalid path '{'n/' * 32}'...: path too long"),
        (GOOD[:600], "truncated tar: unexpected EOF in 'a'"),
        (GOOD[:1000], "truncated tar: unexpected EOF in 'a'"),
        (GOOD[: 512 + 1024 + 100], "truncated tar: unexpected EOF in a header"),
        (GOOD[:200] + b"\1" + GOOD[201:], "invalid tar header: bad checksum"),
        (with_size(b"9" * 12), "invalid tar header: malformed number b'999999999999'"),
        (with_size(b"\x80" + b"\xff" * 11), "invalid tar header: number out of range"),
        (with_size(b"\xff" * 12), "invalid tar header: number out of range"),
        (b"not a tar at all", "truncated tar: unexpected EOF in a header"),
        (header(b"x", 0o7777777777), "truncated tar: unexpected EOF in 'x'"),
        (bytes(512) + header(b"x", 0), "invalid tar header: one zero block inside the archive"),
        (pax(record(b"GNU.sparse.major", b"1"), BIG), "invalid tar header: sparse entry of an unknown form"),
        (pax(record(b"GNU.sparse.numbytes", b"1"), BIG), "invalid tar header: malformed sparse map"),
        (sparse01(b"0,5,3,1", blocks=b"2"), "invalid tar header: malformed sparse map"),
        (sparse01(b"0,5", blocks=b"2"), "invalid tar header: malformed sparse map"),
        (sparse01(b"0,5", size=b"4"), "invalid tar header: malformed sparse map"),
        (sparse01(b"0,6", size=b"9"), "invalid tar header: malformed sparse map"),
        (sparse01(b"0,-5"), "invalid tar header: malformed sparse map"),
        (sparse10(b"x\n"), "invalid tar header: malformed sparse map"),
        (sparse10(b"1\n0\n"), "invalid tar header: sparse map too large"),
        (sparse10(b"900000\n"), "invalid tar header: sparse map too large"),
        (header(b"x", 0, b"V"), "'x': unhandled tar header type 86"),
        (pax(b"99 path=a\n", BIG), "invalid tar header: malformed PAX record"),
        (pax(b"abc", BIG), "invalid tar header: malformed PAX record"),
        (pax(record(b"size", b"-1"), BIG), "invalid tar header: PAX size"),
        (pax(record(b"mtime", b"x"), BIG), "invalid tar header: PAX mtime"),
        (pax(record(b"path", b"a\0b"), BIG), "invalid tar header: NUL in a PAX name"),
        (header(b"x", (1 << 20) + 1, b"L"), "invalid tar header: extended header too large"),
        (header(b"x", 600, b"x") + bytes(512), "truncated tar: unexpected EOF in an extended header"),
        (pax(record(b"path", b"a"), b""), "truncated tar: an extended header describes no entry"),
    ],
)
def test_bad_archives_are_refused_with_the_reason(tmp_path: Path, data: bytes, message: str) -> None:
    with pytest.raises(InvalidImage) as caught:
        index(tmp_path, data)
    assert caught.value.message == message


def test_names_are_cleaned_and_absolute_hard_links_are_from_the_root(tmp_path: Path) -> None:
    data = tar(
        [
            member("/abs/./x/../f", b"1"),
            member("l", b"", type=tarfile.LNKTYPE, linkname="/abs/f"),
            member("s", b"", type=tarfile.SYMTYPE, linkname="/../../etc/passwd"),
        ]
    )
    found = entries(tmp_path, data)
    assert set(found) == {"abs/f", "l", "s"}
    assert found["l"].link == "abs/f"
    assert found["s"].link == "/../../etc/passwd"


def test_the_last_of_several_entries_wins(tmp_path: Path) -> None:
    layer = index(
        tmp_path,
        tar(
            [
                member("f", b"first"),
                member("l", b"", type=tarfile.LNKTYPE, linkname="f"),
                member("f", b"second!"),
                member("d/", mode=0o700),
                member("d/kept", b"k"),
                member("d/", mode=0o711),
                member("e/"),
                member("e/lost", b""),
                member("e", b"now a file"),
                member("g", b"now a directory"),
                member("g/"),
                member("g/x", b""),
            ]
        ),
    )
    found = {entry.path: entry for entry in layer.entries()}
    assert {
        path: (e.kind, os.pread(layer.fd(), e.size, e.offset)) for path, e in found.items() if e.kind == "file"
    } == {
        "f": ("file", b"second!"),
        "l": ("file", b"first"),
        "d/kept": ("file", b"k"),
        "e": ("file", b"now a file"),
        "g/x": ("file", b""),
    }
    assert found["d"].mode == 0o711
    assert found["g"].kind == "dir"
    assert "e/lost" not in found


def test_entries_below_a_symlink_go_where_it_leads_inside_the_layer(tmp_path: Path) -> None:
    data = tar(
        [
            member("usr/bin/"),
            member("bin", b"", type=tarfile.SYMTYPE, linkname="usr/bin"),
            member("up", b"", type=tarfile.SYMTYPE, linkname="../../../usr"),
            member("bin/sh", b"1"),
            member("up/lib/new/x", b"2"),
            member("h", b"", type=tarfile.LNKTYPE, linkname="bin/sh"),
        ]
    )
    found = entries(tmp_path, data)
    assert set(found) == {"usr/bin", "bin", "up", "usr/bin/sh", "usr/lib/new/x", "h"}
    assert {found["h"].kind, found["usr/bin/sh"].kind} == {"file", "hardlink"}


def test_an_index_cut_off_is_not_taken_for_a_shorter_layer(tmp_path: Path) -> None:
    (tmp_path / "t").write_bytes(b"")
    with (tmp_path / "i").open("wb") as file:
        write_index([Entry(str(number), "file") for number in range(5000)], file.write)
    whole = (tmp_path / "i").read_bytes()
    assert [e.path for e in LayerIndex.open(tmp_path / "t", tmp_path / "i").entries()] == [str(n) for n in range(5000)]
    for cut in (0, 4, len(whole) // 2, len(whole) - 1):
        (tmp_path / "i").write_bytes(whole[:cut])
        with pytest.raises((ValueError, struct.error)):
            list(LayerIndex.open(tmp_path / "t", tmp_path / "i").entries())


NAMES = st.lists(st.sampled_from(["a", "b", "..", ".", "", ".wh.a", ".wh..wh..opq", "c"]), max_size=4).map("/".join)
KINDS = st.sampled_from(list(b"0123456gxLKS7V\0"))


@given(st.lists(st.tuples(NAMES, KINDS, NAMES, st.integers(0, 600)), max_size=8), st.data())
def test_any_archive_is_indexed_safely_or_refused(
    members: list[tuple[str, int, str, int]], data: st.DataObject
) -> None:
    raw = b"".join(
        header(name.encode(), size, bytes([kind]), link.encode()) + b"z" * size + bytes(-size % 512)
        for name, kind, link, size in members
    )
    position = data.draw(st.integers(0, max(len(raw) - 1, 0)))
    flipped = raw[:position] + bytes([data.draw(st.integers(0, 255))]) + raw[position + 1 :] if raw else raw
    for content in (raw, flipped, raw[:position]):
        check(content)


@given(st.binary(max_size=2000))
def test_any_bytes_are_indexed_safely_or_refused(content: bytes) -> None:
    check(content)


def check(content: bytes) -> None:
    with tempfile.TemporaryFile() as file:
        file.write(content)
        file.flush()
        builder = LayerBuilder()
        try:
            for item in tarscan.scan(lambda count, at: os.pread(file.fileno(), count, at), len(content)):
                builder.add(item)
        except InvalidImage:
            return
        seen: set[str] = set()
        for entry in builder.entries():
            assert not {"..", "."} & set(entry.path.split("/"))
            assert not entry.path.startswith("/")
            assert entry.offset + entry.size <= len(content)
            if entry.kind == "hardlink":
                assert entry.link in seen
            if entry.kind not in ("whiteout", "opaque"):
                assert entry.path not in seen
                seen.add(entry.path)
