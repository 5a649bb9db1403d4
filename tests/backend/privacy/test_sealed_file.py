"""Sealed files: whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from backend.privacy import sealed_file
from backend.privacy.sealed_file import Damaged, SealedWriter


@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 65_537, 200_000])
def test_what_is_written_is_read_and_the_file_shows_none_of_it(tmp_path: Path, size: int) -> None:
    file, key = tmp_path / "file", sealed_file.new_key()
    writer = SealedWriter(file, key)
    content = (b"a readable line of text\n" * 10_000)[:size]
    for start in range(0, size, 1_000):
        writer.write(content[start : start + 1_000])
    writer.close()
    assert b"".join(sealed_file.read(file, key)) == content
    assert size < 20 or content[:20] not in file.read_bytes()  # a byte or two may be there by chance


def test_a_file_that_was_cut_or_changed_or_has_another_key_is_not_read(tmp_path: Path) -> None:
    file, key = tmp_path / "file", sealed_file.new_key()
    writer = SealedWriter(file, key)
    writer.write(bytes(200_000))
    writer.close()
    whole = file.read_bytes()
    frame = 65_536 + 16
    for damaged in (whole[:frame], whole[: 2 * frame], whole[frame:], whole[:-1], b"\1" + whole[1:]):
        file.write_bytes(damaged)
        with pytest.raises(Damaged):
            b"".join(sealed_file.read(file, key))
    file.write_bytes(whole)
    with pytest.raises(Damaged):
        b"".join(sealed_file.read(file, sealed_file.new_key()))
