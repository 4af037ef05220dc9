"""Removing host directories that containers have filled: of any depth, longer than any path may be."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path


def remove_tree(path: Path) -> None:
    """Remove a directory and all in it; FileNotFoundError when it is not there, OSError when something resists.

    Directories found inside are moved up to ``path`` before they are looked into: neither the stack, nor descriptors,
    nor a path grow with the depth. Symbolic links are removed, never followed.
    """
    top = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        numbers = (f".removing-{number}" for number in itertools.count())
        pending = _empty(top, top, numbers)
        while pending:
            name = pending.pop()
            directory = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=top)
            try:
                pending += _empty(directory, top, numbers)
            finally:
                os.close(directory)
            os.rmdir(name, dir_fd=top)
    finally:
        os.close(top)
    os.rmdir(path)


def _empty(directory: int, top: int, numbers: Iterator[str]) -> list[str]:
    """Remove what is no directory, move directories to ``top``; their names there."""
    moved = []
    with os.scandir(directory) as entries:
        for entry in list(entries):
            if not entry.is_dir(follow_symlinks=False):
                os.unlink(entry.name, dir_fd=directory)
                continue
            name = _free(top, numbers)
            os.rename(entry.name, name, src_dir_fd=directory, dst_dir_fd=top)
            moved.append(name)
    return moved


def _free(top: int, numbers: Iterator[str]) -> str:
    """A name that an earlier, interrupted removal has not used."""
    for name in numbers:
        try:
            os.stat(name, dir_fd=top, follow_symlinks=False)
        except FileNotFoundError:
            return name
    raise AssertionError("numbers do not end")
