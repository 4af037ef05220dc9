"""Trees deeper than paths and stacks reach are removed, links are not followed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from backends.core.trees import remove_tree


def deepen(path: Path, levels: int) -> None:
    fd = os.open(path, os.O_RDONLY)
    for _ in range(levels):
        os.mkdir("d", dir_fd=fd)
        deeper = os.open("d", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = deeper
    os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=fd))
    os.close(fd)


def test_deeper_than_the_stack_and_longer_than_a_path(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    deepen(tmp_path / "tree", 5000)
    remove_tree(tmp_path / "tree")
    assert os.listdir(tmp_path) == []


def test_links_are_removed_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "file").write_text("kept")
    (tmp_path / "tree" / "a" / "b").mkdir(parents=True)
    (tmp_path / "tree" / "a" / "link").symlink_to(tmp_path / "kept")
    (tmp_path / "tree" / "dangling").symlink_to("nowhere")
    os.mkfifo(tmp_path / "tree" / "a" / "fifo")
    remove_tree(tmp_path / "tree")
    assert os.listdir(tmp_path) == ["kept"]
    assert (tmp_path / "kept" / "file").read_text() == "kept"


def test_names_of_an_interrupted_removal_do_not_matter(tmp_path: Path) -> None:
    (tmp_path / "tree" / ".removing-0" / "x").mkdir(parents=True)
    (tmp_path / "tree" / ".removing-1").write_text("a file")
    (tmp_path / "tree" / "z").mkdir()
    remove_tree(tmp_path / "tree")
    assert os.listdir(tmp_path) == []


def test_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        remove_tree(tmp_path / "none")
