"""What a machine printed, as text that can be shown: no control characters, no escape sequences, no hidden letters.

A log is what a stranger wrote. On a terminal an escape sequence can rewrite what stands above it, and a bidirectional
mark or a zero-width space can make an address look like something else, to people and to patterns.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

_ESCAPES: Final = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # colours, cursor
    r"|(?:\x1b[PX\]^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c]{0,4096}(?:\x07|\x1b\\|\x9c)?"  # titles, links, clipboard
)
_LINE_ENDS: Final = re.compile("\r\n?|[\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
_HIDDEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})
_INSTEAD: Final = "\ufffd"
_LIGATURE_OF_18: Final = "\ufdfa"
"""The one character that NFKC makes eighteen of: a log full of it would grow beyond its bound."""


class _Shown(dict[int, int | str]):
    """What each character is shown as, learnt as they come."""

    def __missing__(self, code: int) -> int | str:
        character = chr(code)
        is_hidden = unicodedata.category(character) in _HIDDEN and character not in "\n\t"
        self[code] = _INSTEAD if is_hidden else code
        return self[code]


_SHOWN: Final = _Shown()


def plain(data: bytes | str) -> str:
    """The text, in one Unicode form (NFKC), with line feeds and tabs as its only control characters.

    Escape sequences are left out; every other character that shows nothing, and every byte that is no UTF-8, is �.
    """
    text = data.decode("utf-8", "replace") if isinstance(data, bytes) else data
    text = _ESCAPES.sub("", text).replace(_LIGATURE_OF_18, _INSTEAD)
    text = unicodedata.normalize("NFKC", text)
    return _LINE_ENDS.sub("\n", text).translate(_SHOWN)
