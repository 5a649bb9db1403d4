"""From an answer to the bytes on the connection, broken the way a fault says.

An answer is a body and an envelope around it (terminator, length prefix, HTTP head), because some faults
spoil the content inside a sound envelope and others the whole.
"""

from __future__ import annotations

import itertools
import json
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from agent.simulator.faults import Fault

HUGE_BYTES: Final = 100 * 1024 * 1024
DEEP_LEVELS: Final = 100_000
DRIP_EVERY_S: Final = 1.0
_CHUNK = b"A" * 65_536
_ABSURD = (1e308, -1, -273.15, 2**63, -1e308, 1e30)
_NO_NUMBERS = (float("nan"), float("inf"), float("-inf"))


@dataclass(frozen=True, slots=True)
class Answer:
    """What a machine says and how it wraps it."""

    body: bytes
    envelope: Callable[[int], tuple[bytes, bytes]]  # length of the body → what comes before it, what comes after
    closes: bool  # whether the firmware closes the connection then

    def whole(self) -> bytes:
        before, after = self.envelope(len(self.body))
        return before + self.body + after


@dataclass(frozen=True, slots=True)
class Delivery:
    """Bytes to write, one chunk after the other."""

    chunks: Iterator[bytes]
    closes: bool
    pause_s: float = 0.0  # between two chunks


def deliver(answer: Answer, fault: Fault | None) -> Delivery | None:
    """The bytes of an answer under a fault; None is silence on an open connection."""
    match fault:
        case Fault.NEVER_ANSWERS:
            return None
        case Fault.GARBAGE:
            return Delivery(iter([_garbage(answer.body)]), closes=True)
        case Fault.HALF_ANSWER:
            whole = answer.whole()
            return Delivery(iter([whole[: len(whole) // 2]]), closes=True)
        case Fault.SLOW_DRIP:
            drops = (bytes([byte]) for byte in answer.whole())
            return Delivery(drops, answer.closes, pause_s=DRIP_EVERY_S)
        case Fault.HUGE_ANSWER:
            return Delivery(_huge(answer), answer.closes)
        case Fault.DEEP_JSON | Fault.INVALID_UTF8 | Fault.ABSURD_NUMBERS | Fault.NAN_NUMBERS:
            spoiled = Answer(_SPOILED[fault](answer.body), answer.envelope, answer.closes)
            return Delivery(iter([spoiled.whole()]), answer.closes)
        case _:
            return Delivery(iter([answer.whole()]), answer.closes)


def _garbage(body: bytes) -> bytes:
    """Bytes without sense; the same for the same answer, so that a failing test fails again."""
    return random.Random(len(body)).randbytes(512)  # noqa: S311 (noise, no secret)


def _huge(answer: Answer) -> Iterator[bytes]:
    """One JSON string of 100 MB, made while it is sent."""
    opening, closing = b'{"STATUS":[{"STATUS":"S","Msg":"', b'"}]}'
    before, after = answer.envelope(len(opening) + HUGE_BYTES + len(closing))
    yield before + opening
    for _ in range(HUGE_BYTES // len(_CHUNK)):
        yield _CHUNK
    yield closing + after


def _deep(_: bytes) -> bytes:
    return b'{"STATUS":' + b"[" * DEEP_LEVELS + b"]" * DEEP_LEVELS + b"}"


def _no_utf8(body: bytes) -> bytes:
    return re.sub(rb'(:\s*")', b"\\1\xff\xc3\x28", body)


def _renumbered(body: bytes, numbers: tuple[float, ...]) -> bytes:
    """The same document with these numbers in turn instead of its own; a body that is no JSON stays."""
    try:
        document = json.loads(body)
    except ValueError:
        return body
    return json.dumps(_with_numbers(document, itertools.cycle(numbers))).encode()


def _with_numbers(value: Any, supply: Iterator[float]) -> Any:
    match value:
        case bool():
            return value
        case int() | float():
            return next(supply)
        case list():
            return [_with_numbers(item, supply) for item in value]
        case dict():
            return {key: _with_numbers(item, supply) for key, item in value.items()}
        case str() if "[" in value:  # Avalon packs its numbers into one string: "Temp[31] TMax[78]"
            return re.sub(r"(?<=[\[ ])\d+(\.\d+)?(?=[\] ])", lambda _: str(next(supply)), value)
        case _:
            return value


_SPOILED: Final[dict[Fault, Callable[[bytes], bytes]]] = {
    Fault.DEEP_JSON: _deep,
    Fault.INVALID_UTF8: _no_utf8,
    Fault.ABSURD_NUMBERS: partial(_renumbered, numbers=_ABSURD),
    Fault.NAN_NUMBERS: partial(_renumbered, numbers=_NO_NUMBERS),
}
