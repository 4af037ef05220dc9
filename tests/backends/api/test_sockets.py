"""Where a server may listen."""

from __future__ import annotations

import multiprocessing
import socket
import stat
from pathlib import Path

import pytest

from backends.api.http import bind_socket, unlink_socket


def test_mode_and_listening(tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    with bind_socket(path), socket.socket(socket.AF_UNIX) as client:
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        client.connect(str(path))


def test_a_live_socket_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    with bind_socket(path), pytest.raises(OSError, match="socket already in use") as error:
        bind_socket(path)
    assert error.value.filename == str(path)


def test_a_dead_socket_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    bind_socket(path).close()
    with bind_socket(path), socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))


def test_other_files_stay(tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    path.write_text("mine")
    with pytest.raises(OSError, match="a file that is not a socket is in the way"):
        bind_socket(path)
    assert path.read_text() == "mine"


def test_the_longest_path(tmp_path: Path) -> None:
    room = 107 - len(str(tmp_path)) - 1
    with bind_socket(tmp_path / ("x" * room)):
        pass
    with pytest.raises(OSError, match="socket path is longer than 107 bytes"):
        bind_socket(tmp_path / ("x" * (room + 1)))


def test_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        bind_socket(tmp_path / "no" / "a.sock")


def test_only_the_own_socket_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    listener = bind_socket(path)
    inode = path.stat().st_ino
    unlink_socket(path, inode + 1)
    assert path.exists()
    unlink_socket(path, inode)
    assert not path.exists()
    unlink_socket(path, inode)
    listener.close()


def _compete(path: Path, gate: object, won: object) -> None:
    gate.wait()  # type: ignore[attr-defined]
    try:
        listener = bind_socket(path)
    except OSError:
        won.put(False)  # type: ignore[attr-defined]
    else:
        won.put(True)  # type: ignore[attr-defined]
        gate.wait()  # type: ignore[attr-defined]
        listener.close()


def test_of_two_starts_at_once_one_wins(tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    bind_socket(path).close()
    context = multiprocessing.get_context("fork")
    gate, won = context.Barrier(4), context.Queue()
    starters = [context.Process(target=_compete, args=(path, gate, won)) for _ in range(4)]
    for starter in starters:
        starter.start()
    results = [won.get(timeout=10) for _ in starters]
    for starter in starters:
        starter.kill()
        starter.join()
    assert sorted(results) == [False, False, False, True]
