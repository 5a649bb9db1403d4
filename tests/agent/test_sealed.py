"""Files that only the site's key opens, also while it is being replaced."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import Misconfigured
from agent.keyring import Keyring
from agent.seal import Broken, Seal
from agent.sealed import SealedFile

OLD, NEW = Keyring(b"o" * 32), Keyring(b"n" * 32)


@given(st.binary(max_size=2_000))
def test_what_is_sealed_comes_back_and_shows_nothing(data: bytes) -> None:
    seal = Seal(b"k" * 32, "vault")
    closed = seal.close(data)
    assert seal.open(closed) == data
    assert closed != seal.close(data)
    assert b"hall3-rack7" not in seal.close(data + b"hall3-rack7")


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_every_changed_byte_is_noticed(place: int, change: int) -> None:
    seal = Seal(b"k" * 32, "vault")
    closed = bytearray(seal.close(b"hall3-rack7"))
    closed[place % len(closed)] ^= change
    with pytest.raises(Broken):
        seal.open(bytes(closed))


@pytest.mark.parametrize(("key", "purpose"), [(b"x" * 32, "vault"), (b"k" * 32, "old keys")])
def test_another_key_or_purpose_opens_nothing(key: bytes, purpose: str) -> None:
    closed = Seal(b"k" * 32, "vault").close(b"hall3-rack7")
    with pytest.raises(Broken):
        Seal(key, purpose).open(closed)
    assert "k" * 8 not in repr(Seal(b"k" * 32, "vault"))


@pytest.mark.parametrize("dies", ["before the key", "after the key", "never"])
def test_whenever_a_change_of_keys_is_broken_off_the_key_that_is_there_opens_the_file(
    tmp_path: Path, dies: str
) -> None:
    file = SealedFile(tmp_path / "vault", "vault")
    file.write(OLD, b"hall3")
    file.prepare(NEW, b"hall3")
    there = OLD if dies == "before the key" else NEW
    if dies == "never":
        file.settle(NEW)
    assert file.read(there) == b"hall3"
    file.settle(there)
    assert file.read(there) == b"hall3"
    assert [path.name for path in tmp_path.iterdir()] == ["vault"]


def test_a_file_of_another_key_says_what_to_do_and_none_is_none(tmp_path: Path) -> None:
    file = SealedFile(tmp_path / "vault", "vault")
    assert file.read(OLD) is None
    file.write(OLD, b"hall3")
    with pytest.raises(Misconfigured, match=r"another site\.key"):
        file.read(NEW)
