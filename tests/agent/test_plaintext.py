"""What a machine printed can be shown on a terminal and does nothing there."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.plaintext import plain


@given(st.one_of(st.binary(max_size=300), st.text(max_size=300)))
def test_nothing_that_is_shown_can_steer_a_terminal(data: bytes | str) -> None:
    shown = plain(data)
    assert not [c for c in shown if c not in "\n\t" and unicodedata.category(c) in {"Cc", "Cf", "Cs", "Co", "Cn"}]
    assert "\u2028" not in shown


@given(st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126), max_size=200))
def test_plain_text_stays_as_it_is(text: str) -> None:
    assert plain(text) == text
    assert plain(text.encode()) == text


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (b"\x1b[1;31merror\x1b[0m: board 1\x1b[K", "error: board 1"),
        (b"\x1b]0;you are root\x07ok", "ok"),
        (b"\x1b]8;;https://evil.example\x1b\\click\x1b]8;;\x1b\\", "click"),
        (b"\x1b]52;c;cm0gLXJm\x07ok", "ok"),
        (b"one\r\ntwo\rthree", "one\ntwo\nthree"),
        (b"bell\x07 nul\x00 del\x7f", "bell\ufffd nul\ufffd del\ufffd"),
        (b"\xff\xfeok", "\ufffd\ufffdok"),
        ("\u202egnp.exe\u200b", "\ufffdgnp.exe\ufffd"),
        ("１９２．１６８", "192.168"),
        ("\x9b31mred", "red"),
        ("a\u2028b\x85c", "a\nb\nc"),
        ("85 °C, 12 µs", "85 °C, 12 μs"),
        ("", ""),
    ],
)
def test_what_each_trick_becomes(data: bytes | str, shown: str) -> None:
    assert plain(data) == shown


def test_a_sequence_without_an_end_does_not_swallow_the_log() -> None:
    assert plain(b"\x1b]0;title" + b"x" * 10_000).count("x") >= 5_000
