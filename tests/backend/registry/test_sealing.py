"""Keys and what they seal."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from backend.registry.sealed import LENGTH
from backend.registry.sealing import Keys, KeySource, NoKey


def test_the_same_is_never_sealed_the_same_twice_and_always_opens() -> None:
    keys = Keys.fresh()
    sealed = {keys.seal("a@farm.example", "email") for _ in range(50)}
    assert len(sealed) == 50
    assert {keys.open(each, "email") for each in sealed} == {"a@farm.example"}


def test_the_longest_address_fits_into_its_column() -> None:
    assert len(Keys({10**6: b"k" * 32}).seal("x" * 254, "email")) <= LENGTH


def test_what_was_changed_or_is_of_another_kind_or_key_does_not_open() -> None:
    keys = Keys.fresh()
    sealed = keys.seal("a@farm.example", "email")
    changed = sealed[:-6] + ("A" if sealed[-6] != "A" else "B") + sealed[-5:]
    for opener, text, purpose in (
        (keys, changed, "email"),
        (keys, sealed, "phone"),
        (Keys.fresh(), sealed, "email"),
        (keys.with_new().only_newest(), sealed, "email"),
        (keys, "a@farm.example", "email"),
    ):
        with pytest.raises(NoKey) as refused:
            opener.open(text, purpose)
        assert "farm" not in str(refused.value)


def test_a_new_key_opens_what_the_old_one_sealed_and_finds_it() -> None:
    old = Keys.fresh()
    both = old.with_new()
    assert both.open(old.seal("a", "email"), "email") == "a"
    assert both.seal("a", "email").startswith("v1.2.")
    assert old.index("a") in both.indexes("a")
    assert both.index("a") != old.index("a")


@pytest.mark.parametrize("text", ["", "1", "1:", "x:AAAA", "1:AAAA", "1:!!!!"])
def test_what_are_no_keys_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(NoKey) as refused:
        Keys.parse(text)
    assert "AAAA" not in str(refused.value)


def test_a_file_is_made_once_by_many_who_need_it_and_is_for_its_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    with ThreadPoolExecutor(8) as pool:
        texts = set(pool.map(lambda _: KeySource.of_file(file).keys.text(), range(16)))
    assert len(texts) == 1
    assert file.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["keys"]


def test_a_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(Keys.fresh().text())
    file.chmod(0o644)
    with pytest.raises(NoKey, match="chmod 600"):
        _ = KeySource.of_file(file).keys


def test_keys_show_nothing_of_themselves() -> None:
    keys = Keys.fresh()
    assert repr(keys) == "Keys(1)"
