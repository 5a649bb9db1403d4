"""A spooled batch as bytes: what its envelope says, and the same batch stamped anew, without parsing its readings.

A backlog of a week is ten million readings; to send one of them, only when it is sent and how old the backlog is
have to be put in. This leans on how `wire.encode` writes: fields in their order, no spaces.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple, Self
from uuid import UUID, uuid5

from agent.wire import CONTRACT, Batch, ContractError, UnknownContract, decode, encode

_HEAD: Final = re.compile(
    rb'\{"id":"([0-9a-f-]{36})","contract":(\d{1,9}),"site":"[a-z0-9_-]{1,64}","agent":"[^"]{1,64}",'
    rb'(?:"epoch":"epo-[0-9a-z]{16}",)?'
    rb'("sent_at":"[^"]{1,40}","backlog_s":[0-9.e+-]{1,30}),"readings":\['
)
_MACHINE: Final = b'"machine":"mnr-'  # once in a reading: no text field of the contract holds a quotation mark
_TIME: Final = re.compile(rb'"time":"([^"]{1,40})"')


class Envelope(NamedTuple):
    """One batch, encoded."""

    id: UUID
    readings: int
    oldest_at: datetime | None
    data: bytes

    @classmethod
    def of(cls, data: bytes) -> Self:
        """Read the envelope. Raises `UnknownContract`, or `ContractError` when there is none.

        Of the readings no more is checked than that they can be counted: who wrote them down checked them, and a
        checksum guards what lay on the disk since.
        """
        head = _head(data)
        if not data.endswith(b"]}"):
            raise ContractError("no batch")
        if int(head[2]) != CONTRACT:
            raise UnknownContract(f"contract version {int(head[2])} is not known here; this side speaks {CONTRACT}")
        try:
            times = set(_TIME.findall(data, head.end()))
            oldest_at = min((datetime.fromisoformat(time.decode()) for time in times), default=None)
            return cls(UUID(head[1].decode()), data.count(_MACHINE, head.end()), oldest_at, data)
        except (ValueError, TypeError) as error:
            raise ContractError("no batch: a time is none") from error

    @classmethod
    def made_of(cls, batch: Batch) -> Self:
        """The envelope of a batch at hand."""
        return cls.of(encode(batch))

    @property
    def can_be_joined(self) -> bool:
        """Whether it holds readings and nothing else."""
        return bool(self.readings) and b'],"aggregates":[' not in self.data

    def joined_with(self, others: Sequence[Envelope]) -> Envelope:
        """One batch with the readings of all of them, in their order; its id follows from the first's and the last's.

        All must be of one site and epoch, and joinable.
        """
        name = uuid5(self.id, f"joined up to {others[-1].id}")
        parts = [one.data[_head(one.data).end() : -len(b"]}")] for one in (self, *others)]
        head = self.data[: _head(self.data).end()]
        return Envelope.of(head.replace(str(self.id).encode(), str(name).encode(), 1) + b",".join(parts) + b"]}")

    def opened(self) -> Batch:
        """The whole batch, checked. Raises `ContractError`."""
        return decode(self.data)

    def stamped(self, now: datetime, unsent_since: datetime | None) -> bytes:
        """The bytes to send now: all as it was spooled, but for when it is sent and how old the backlog is.

        `unsent_since`: when the oldest reading was read that the site has not sent; None: nothing tells.
        """
        head = _head(self.data)
        backlog_s = max(0.0, (now - unsent_since).total_seconds()) if unsent_since else 0.0
        sent_at = now.astimezone(UTC).isoformat().replace("+00:00", "Z")
        stamp = f'"sent_at":"{sent_at}","backlog_s":{round(backlog_s, 3)}'
        return self.data[: head.start(3)] + stamp.encode() + self.data[head.end(3) :]


def _head(data: bytes) -> re.Match[bytes]:
    head = _HEAD.match(data)
    if head is None:
        raise ContractError("no batch")
    return head
