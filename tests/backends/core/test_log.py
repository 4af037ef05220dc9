"""The recorded log: lines, positions, tails, torn ends."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from backends.core.log import LINE_LIMIT, LineCutter, Log, pieces

TEXT = st.binary(max_size=40).map(lambda data: data.replace(b"x", b"\n"))


@given(st.lists(TEXT, max_size=20))
def test_cutter_loses_nothing_and_ends_at_newlines(chunks: list[bytes]) -> None:
    cutter = LineCutter()
    cut = [cutter.feed(chunk) for chunk in chunks]
    assert all(piece.endswith(b"\n") for piece in cut if piece)
    assert b"".join(cut) + cutter.flush() == b"".join(chunks)
    assert cutter.held == b""


def test_long_line_is_cut_at_16_kib() -> None:
    cutter = LineCutter()
    assert cutter.feed(b"a" * (LINE_LIMIT - 1)) == b""
    assert cutter.feed(b"aa") == b"a" * LINE_LIMIT
    assert cutter.feed(b"\n") == b"a\n"
    assert cutter.feed(b"b" * (2 * LINE_LIMIT + 5)) == b"b" * (2 * LINE_LIMIT)
    assert cutter.flush() == b"b" * 5


def test_pieces_are_lines_of_at_most_16_kib() -> None:
    assert list(pieces(b"a\nb\n\nc")) == [b"a\n", b"b\n", b"\n", b"c"]
    assert list(pieces(b"")) == []
    assert list(pieces(b"z" * LINE_LIMIT + b"\n")) == [b"z" * LINE_LIMIT + b"\n"]
    assert [len(piece) for piece in pieces(b"z" * (2 * LINE_LIMIT + 3) + b"\nq\n")] == [LINE_LIMIT, LINE_LIMIT, 4, 2]
    assert list(pieces(b"a\rb\n")) == [b"a\rb\n"]


@given(st.lists(st.tuples(st.sampled_from([1, 2]), st.binary(min_size=1, max_size=200)), max_size=30))
def test_what_was_appended_is_read_back(tmp_path_factory: object, records: list[tuple[int, bytes]]) -> None:
    path = tmp_path_factory.mktemp("log") / "log"  # type: ignore[attr-defined]
    log = Log(path)
    for time, (stream, data) in enumerate(records):
        log.append(time, stream, data)
    again = Log(path)
    assert again.end == log.end
    assert [(r.time, r.stream, r.data) for r in again.read(0, again.end)] == [
        (time, stream, data) for time, (stream, data) in enumerate(records)
    ]
    log.close()


@given(st.lists(st.integers(1, 4), min_size=1, max_size=12), st.integers(0, 40))
def test_tail_counts_lines_over_records(tmp_path_factory: object, sizes: list[int], tail: int) -> None:
    log = Log(tmp_path_factory.mktemp("log") / "log")  # type: ignore[attr-defined]
    lines: list[bytes] = []
    for size in sizes:
        record = [b"%d\n" % (len(lines) + number) for number in range(size)]
        lines += record
        log.append(0, 1, b"".join(record))
    position, skip = log.tail_position(tail, log.end)
    found = [line for record in log.read(position, log.end) for line in pieces(record.data)][skip:]
    assert found == (lines[-tail:] if tail else [])
    log.close()


def test_torn_end_is_cut_off(tmp_path: Path) -> None:
    log = Log(tmp_path / "log")
    log.append(1, 1, b"whole\n")
    whole = log.end
    log.append(2, 2, b"torn to pieces\n")
    log.close()
    for size in range(whole + 1, log.end):
        (tmp_path / "torn").write_bytes((tmp_path / "log").read_bytes()[:size])
        torn = Log(tmp_path / "torn")
        assert torn.end == whole
        torn.append(3, 1, b"after\n")
        assert [record.data for record in torn.read(0, torn.end)] == [b"whole\n", b"after\n"]
        torn.close()


async def test_follower_wakes_and_reads_on(tmp_path: Path) -> None:
    log = Log(tmp_path / "log")
    waiting = asyncio.create_task(log.changed())
    await asyncio.sleep(0)
    log.append(5, 1, b"news\n")
    await asyncio.wait_for(waiting, 1)
    assert [record.data for record in log.read(0, log.end)] == [b"news\n"]
    log.close()


def test_closed_log_opens_again(tmp_path: Path) -> None:
    log = Log(tmp_path / "log")
    log.append(1, 1, b"a\n")
    log.close()
    log.append(2, 1, b"b\n")
    log.close()
    assert [record.time for record in log.read(0, log.end)] == [1, 2]
    assert os.stat(log.path).st_size == log.end


def lines_of(log: Log, start: int = 0) -> list[bytes]:
    return [line for record in log.read(start, log.end) for line in pieces(record.data)]


@given(
    st.lists(st.lists(st.integers(0, 60), min_size=1, max_size=6), min_size=1, max_size=20),
    st.integers(20, 200),
    st.integers(1, 4),
    st.integers(0, 60),
)
def test_rotation_keeps_the_newest_whole_lines(
    tmp_path_factory: object, batches: list[list[int]], max_size: int, max_files: int, tail: int
) -> None:
    path = tmp_path_factory.mktemp("log") / "log"  # type: ignore[attr-defined]
    log = Log(path, max_size=max_size, max_files=max_files)
    written: list[bytes] = []
    for batch in batches:
        lines = [b"%d" % (len(written) + number) + b"." * size + b"\n" for number, size in enumerate(batch)]
        written += lines
        log.append(0, 1, b"".join(lines))
    log.close()
    files = list(path.parent.iterdir())
    assert len(files) <= max_files
    overhead = max(len(line) for line in written) + 2 * 17
    assert all(file.stat().st_size <= max_size + overhead for file in files)
    for found in (log, Log(path, max_size=max_size, max_files=max_files)):  # as written, and as opened again
        kept = lines_of(found)
        assert kept == written[-len(kept) :]
        assert len(kept) == len(written) or len(files) == max_files
        position, skip = found.tail_position(tail, found.end)
        assert lines_of(found, position)[skip:] == (kept[-tail:] if tail else [])


def test_reader_goes_on_across_rotations(tmp_path: Path) -> None:
    """What it has not read yet and is gone is left out, nothing comes twice or in another order."""
    log = Log(tmp_path / "log", max_size=100, max_files=3)
    log.append(0, 1, b"".join(b"first %d\n" % number for number in range(15)))
    reader = log.read(0, log.end)
    position = next(reader).end
    assert [record.data for record in reader][-1].endswith(b"first 14\n")
    end = log.end
    log.append(0, 1, b"second\n")
    assert lines_of(log, end) == [b"second\n"]
    for number in range(100):
        log.append(0, 1, b"third %d\n" % number)
    rest = lines_of(log, position)
    assert rest == [b"third %d\n" % number for number in range(100 - len(rest), 100)]
    log.close()


def test_names_of_rotated_files(tmp_path: Path) -> None:
    log = Log(tmp_path / "log", max_size=1, max_files=3)
    for number in range(5):
        log.append(number, 1, b"%d\n" % number)
    log.close()
    assert {file.name: file.read_bytes()[13:14] for file in tmp_path.iterdir()} == {
        "log": b"4",
        "log.1": b"3",
        "log.2": b"2",
    }
    (tmp_path / "log.1").unlink()  # a worker that died between two renames
    log = Log(tmp_path / "log", max_size=1, max_files=3)
    log.append(5, 1, b"5\n")
    assert lines_of(log) == [b"2\n", b"4\n", b"5\n"]
    log.close()
