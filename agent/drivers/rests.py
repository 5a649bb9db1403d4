"""What is left out of the next reads because it failed: a field, a page, a port."""

from __future__ import annotations

from typing import Final

_LONGEST: Final = 32


class Rests:
    """A thing that fails rests for 2 reads, then 4, 8, 16 and at most 32: a passing fault costs little, a lasting
    one is not paid for at each poll. What works again is forgiven at once."""

    def __init__(self) -> None:
        self._left: dict[str, int] = {}
        self._length: dict[str, int] = {}

    def next_read(self) -> None:
        self._left = {name: reads - 1 for name, reads in self._left.items() if reads > 1}

    def __contains__(self, name: str) -> bool:
        return name in self._left

    def failed(self, name: str) -> None:
        self._length[name] = min(2 * self._length.get(name, 1), _LONGEST)
        self._left[name] = self._length[name] + 1

    def worked(self, name: str) -> None:
        self._length.pop(name, None)

    def clear(self) -> None:
        self._left.clear()
        self._length.clear()
