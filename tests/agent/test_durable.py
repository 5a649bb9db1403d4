"""Files that are whole or not there."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from agent import durable
from agent.errors import DiskTrouble


def test_a_write_replaces_the_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    durable.write(path, b"long old content")
    durable.write(path, b"new")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_new_file_is_never_written_over_an_old_one(tmp_path: Path) -> None:
    path = tmp_path / "file"
    durable.write_new(path, b"old")
    with pytest.raises(FileExistsError):
        durable.write_new(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_write_leaves_no_draft_and_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.mkdir()
    (path / "inside").write_text("kept")
    with pytest.raises(DiskTrouble, match="file"):
        durable.write(path, b"new")
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("code", "says"),
    [
        (errno.ENOSPC, "disk is full"),
        (errno.EROFS, "read-only"),
        (errno.EACCES, "no permission"),
        (errno.EIO, "Input/output error"),
        (None, "OSError"),
    ],
)
def test_trouble_says_what_it_means_for_the_operator(code: int | None, says: str) -> None:
    error = OSError(code, None if code is None else "Input/output error") if code else OSError()
    assert says in str(durable.trouble(error, Path("/x")))
    assert "/x" in str(durable.trouble(error, Path("/x")))
