"""The leak search finds what it is meant to find; a search that finds nothing proves nothing."""

from __future__ import annotations

import base64
import contextlib
import gzip
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from backend.ids import AccountId
from backend.store.instance import Instance
from backend.store.keys import Keys, made_or_loaded
from tests.world.leaks import Searcher, leaks

MAC = "02:1A:BC:00:7F:3E"
WORKER = "Hall7.rack03-unit12"


@pytest.mark.parametrize(
    ("data", "disguise"),
    [
        (MAC.encode(), "raw"),
        (MAC.lower().encode(), "raw"),
        (b"021abc007f3e", "without separators"),
        (b"021ABC007F3E", "without separators"),
        (MAC.encode().hex().encode(), "hex"),
        (MAC.encode().hex().upper().encode(), "hex"),
    ],
)
def test_an_identifier_is_found_in_each_disguise(data: bytes, disguise: str) -> None:
    assert (MAC, disguise) in list(Searcher([MAC]).search(b"x" * 100 + data + b"y"))


@given(before=st.binary(max_size=40), after=st.binary(max_size=40))
def test_base64_is_found_at_any_alignment(before: bytes, after: bytes) -> None:
    coded = base64.b64encode(before + WORKER.encode() + after)
    assert (WORKER, "base64") in list(Searcher([WORKER]).search(coded))


@given(st.integers(min_value=0, max_value=3_000_000))
def test_an_identifier_is_found_wherever_it_stands(place: int) -> None:
    assert list(Searcher([WORKER]).search(b"." * place + WORKER.encode())) == [(WORKER, "raw")]


def test_digits_inside_a_longer_number_are_no_leak() -> None:
    searcher = Searcher(["127.77.0.1"])
    assert list(searcher.search(b'{"uptime": 912777018}')) == []
    assert list(searcher.search(b'{"id": 1277701}')) == [("127.77.0.1", "without separators")]


def test_compressed_streams_and_databases_are_looked_into(tmp_path: Path) -> None:
    (tmp_path / "a.batch").write_bytes(zstandard.compress(MAC.encode() * 50))
    (tmp_path / "b.log").write_bytes(b"noise" + gzip.compress(WORKER.encode() * 50))
    home = tmp_path / "accounts" / "acc_1"
    home.mkdir(parents=True)
    key = Keys(made_or_loaded(home.parent / "master.key")).make(home / "key", AccountId("acc_1"))
    with contextlib.closing(Instance(tmp_path / "spill", memory_mb=64)) as instance:
        instance.attach(AccountId("acc_1"), home / "hot.duckdb", key)
        with instance.cursor(AccountId("acc_1")) as cursor:
            cursor.execute("CREATE TABLE t AS SELECT ? AS secret, i FROM range(5000) r(i)", [WORKER])
        instance.detach(AccountId("acc_1"))
    found = leaks([MAC, WORKER], [tmp_path], {"mail": MAC.encode()})
    assert [line.split(":")[0] for line in found] == ["a.batch", "b.log", "hot.duckdb", "mail"]


def test_clean_bytes_give_nothing(tmp_path: Path) -> None:
    (tmp_path / "clean").write_bytes(bytes(range(256)) * 1000)
    assert leaks([MAC, WORKER], [tmp_path], {}) == []


def test_an_identifier_too_short_to_search_for_is_refused_and_not_skipped() -> None:
    with pytest.raises(ValueError, match="too short"):
        Searcher(["abc"])
