"""How long a text is as an SMS: GSM 03.38's 7-bit alphabet where it suffices, UCS-2 where not.

One text is 160 septets or 70 UTF-16 units; of a longer one each part has room for 153 or 67, the rest says how the
parts belong together. A character that takes two is never split between parts.
"""

from __future__ import annotations

from typing import Final

_BASIC: Final = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENDED: Final = frozenset("\f^{}\\[~]|€")  # an escape before each
_PLAIN: Final = str.maketrans(
    {
        "°": "",
        "…": "...",
        "–": "-",
        "—": "-",
        "·": "-",
        "’": "'",
        "‘": "'",
        "“": '"',
        "”": '"',
        "\u00a0": " ",
        "\u202f": " ",
    }
)


def plain(text: str) -> str:
    """The text with typography that would make it UCS-2, at half the room, written plainly."""
    return text.translate(_PLAIN)


def is_gsm(text: str) -> bool:
    """Whether the 7-bit alphabet has all of it."""
    return all(char in _BASIC or char in _EXTENDED for char in text)


def parts(text: str) -> int:
    """How many parts the text is sent, and charged, as."""
    if is_gsm(text):
        return _parts([2 if char in _EXTENDED else 1 for char in text], alone=160, joined=153)
    return _parts([2 if ord(char) > 0xFFFF else 1 for char in text], alone=70, joined=67)


def _parts(sizes: list[int], *, alone: int, joined: int) -> int:
    if sum(sizes) <= alone:
        return 1
    count, room = 1, joined
    for size in sizes:
        if size > room:
            count, room = count + 1, joined
        room -= size
    return count
