"""What the on-site page shows: the last reading of each machine, and the last requests as they left.

Readings and requests are kept as bytes, compressed or not as they are: ten thousand machines take about 20 MB.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final, NamedTuple
from uuid import UUID

import zstandard

from agent.reading import Facts, RawReading
from agent.wire import Reading, State, encode

_KEPT: Final = 5
"""Requests: enough to look at, little enough to keep."""
_MOST_UNPACKED: Final = 64 * 2**20


@dataclass(frozen=True, slots=True)
class Seen:
    """A machine at its last poll: who it is here, and what was made of what it said."""

    facts: Facts
    state: State
    time: datetime
    reading: bytes

    @property
    def told(self) -> Reading:
        """The reading, as it leaves."""
        return Reading.model_validate_json(self.reading)


class Sent(NamedTuple):
    """A request to the backend: its body, and when it was last tried."""

    id: str
    body: bytes
    at: datetime
    tries: int


class Content(NamedTuple):
    """A request's body, unpacked: its text to the letter, what stands around the readings or totals, and they."""

    text: bytes
    envelope: dict[str, Any]
    readings: list[Any]
    totals: list[Any]


class Desk:
    """Filled by the agent while it works; read by the page."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._seen: dict[str, Seen] = {}
        self._sent: deque[Sent] = deque(maxlen=_KEPT)
        self.tries = 0  # of sending anything

    @property
    def machines(self) -> Mapping[str, Seen]:
        """By pseudonym."""
        return MappingProxyType(self._seen)

    @property
    def sent(self) -> list[Sent]:
        """The newest first. Sent is what was put on its way; whether the backend took it, the status says."""
        return list(reversed(self._sent))

    def note(self, raw: RawReading, reading: Reading) -> None:
        """A machine was asked."""
        self._seen[reading.machine] = Seen(raw.facts, reading.state, reading.time, encode(reading))

    def keep(self, addresses: Container[str]) -> None:
        """Forget machines at other addresses."""
        for machine in [one for one, seen in self._seen.items() if seen.facts.address not in addresses]:
            del self._seen[machine]

    def leaves(self, batch: UUID, body: bytes) -> None:
        """A request's body is about to go to the backend; tried again, it takes the place of the try before."""
        self.tries += 1
        again = bool(self._sent) and self._sent[-1].id == str(batch)
        tries = self._sent.pop().tries + 1 if again else 1
        self._sent.append(Sent(str(batch), body, self._clock(), tries))


def unpack(sent: Sent) -> Content:
    """What a request says. Blocks for some milliseconds."""
    text = zstandard.ZstdDecompressor().decompress(sent.body, max_output_size=_MOST_UNPACKED)
    envelope = json.loads(text)
    return Content(text, envelope, envelope.pop("readings", []), envelope.pop("aggregates", []))
