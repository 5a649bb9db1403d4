"""The log of every access to personal data: entries are added at its end, each chained to the one before it.

Guarantees: an entry's digest (SHA-256) covers all it says and the digest before it, so that a change, a gap or another
order shows. Whoever owns the database could write the whole chain anew; they cannot write the anchors anew, which
say what the end was on a day: lines in a file that the database's user need not reach, and the administrators' mail.
Entries name ids, never contacts. What is past its window is taken from the beginning, and the head remembers that.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal

from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from backend.registry.privacy_tables import AuditEntry, AuditHead

Outcome = Literal["done", "refused"]

GENESIS: Final = "0" * 64
_HEAD: Final = 1
_AT_ONCE: Final = 1_000


@dataclass(frozen=True, slots=True)
class Anchor:
    """What the end of the log was when it was written down elsewhere."""

    at: datetime
    seq: int
    digest: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a look at the whole log found; no `faults`: nobody changed it since the anchors were written."""

    entries: int
    seq: int
    digest: str
    anchors: int
    faults: tuple[str, ...]


async def record(
    session: AsyncSession,
    *,
    actor: str,
    action: str,
    account: str | None = None,
    subject: str | None = None,
    outcome: Outcome = "done",
    now: datetime,
) -> AuditEntry:
    """Add an entry, in the transaction of what it tells of."""
    head = await _head(session, is_for_update=True)
    entry = AuditEntry(
        seq=head.seq + 1,
        at=now.astimezone(UTC).replace(microsecond=0),
        actor=actor,
        action=action,
        account_id=account,
        subject=subject,
        outcome=outcome,
        previous=head.digest,
    )
    entry.digest = _digest(entry)
    session.add(entry)
    head.seq, head.digest = entry.seq, entry.digest
    await session.flush()
    return entry


async def entries(
    session: AsyncSession,
    *,
    account: str | None = None,
    after: int = 0,
    before: datetime | None = None,
    most: int = 200,
) -> Sequence[AuditEntry]:
    """The newest entries (of one account) after a place in the log or before a time, newest first."""
    query = select(AuditEntry).where(AuditEntry.seq > after).order_by(AuditEntry.seq.desc()).limit(most)
    if account is not None:
        query = query.where(AuditEntry.account_id == account)
    if before is not None:
        query = query.where(AuditEntry.at <= before)
    return (await session.scalars(query)).all()


async def verify(session: AsyncSession, anchors: Sequence[Anchor]) -> Verdict:
    """Walk the whole chain, and compare it with what was written down elsewhere."""
    head = await _head(session)
    seq, digest = head.base_seq, head.base_digest
    known: defaultdict[int, list[Anchor]] = defaultdict(
        list
    )  # several of one entry: a later one excuses no earlier one
    for anchor in anchors:
        known[anchor.seq].append(anchor)
    faults: list[str] = []
    count = 0
    while rows := (
        await session.scalars(select(AuditEntry).where(AuditEntry.seq > seq).order_by(AuditEntry.seq).limit(_AT_ONCE))
    ).all():
        for row in rows:
            if row.seq != seq + 1:
                faults.append(f"entries {seq + 1} to {row.seq - 1} are missing")
            if row.previous != digest:
                faults.append(f"entry {row.seq} does not follow the one before it")
            if row.digest != _digest(row):
                faults.append(f"entry {row.seq} was changed")
            faults += [
                f"entry {row.seq} is not what the anchor of {anchor.at:%Y-%m-%d} says"
                for anchor in known.get(row.seq, ())
                if anchor.digest != row.digest
            ]
            seq, digest = row.seq, row.digest
            count += 1
        session.expunge_all()
    if (seq, digest) != (head.seq, head.digest):
        faults.append(f"the log ends at {seq}, and should at {head.seq}")
    faults += [
        f"entry {anchor.seq}, which the anchor of {anchor.at:%Y-%m-%d} names, is missing"
        for anchor in anchors
        if anchor.seq > seq
    ]
    return Verdict(count, seq, digest, len(anchors), tuple(faults))


async def head(session: AsyncSession) -> tuple[int, str]:
    """The last entry's number and digest."""
    found = await _head(session)
    return found.seq, found.digest


async def forget_before(session: AsyncSession, end: datetime) -> int:
    """Take entries of before `end` from the beginning; how many."""
    last = (
        await session.scalars(select(AuditEntry).where(AuditEntry.at < end).order_by(AuditEntry.seq.desc()).limit(1))
    ).one_or_none()
    if last is None:
        return 0
    found = await _head(session, is_for_update=True)
    count = await session.scalar(select(func.count()).select_from(AuditEntry).where(AuditEntry.seq <= last.seq))
    found.base_seq, found.base_digest = last.seq, last.digest
    await session.flush()  # the database lets go of nothing that is not before the base
    await session.execute(delete(AuditEntry).where(AuditEntry.seq <= last.seq))
    return count or 0


def write_anchor(file: Path, anchor: Anchor) -> None:
    """Add a line to the file of anchors; it is on the disk when this returns."""
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "w", encoding="ascii") as lines:
        lines.write(f"{anchor.at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ} {anchor.seq} {anchor.digest}\n")
        lines.flush()
        os.fsync(lines.fileno())


def read_anchors(file: Path) -> list[Anchor]:
    """The anchors, oldest first; none when there is no file. Raises `ValueError` for what is no such file."""
    if not file.exists():
        return []
    found = []
    for number, line in enumerate(file.read_text(encoding="ascii").splitlines(), start=1):
        words = line.split()
        if len(words) != 3:
            raise ValueError(f"{file}:{number}: this is no anchor (time, number, digest)")
        found.append(Anchor(datetime.fromisoformat(words[0]), int(words[1]), words[2]))
    return found


async def _head(session: AsyncSession, *, is_for_update: bool = False) -> AuditHead:
    query = select(AuditHead).where(AuditHead.id == _HEAD)
    return (await session.scalars(query.with_for_update() if is_for_update else query)).one()


def _digest(entry: AuditEntry) -> str:
    told = [
        entry.seq,
        entry.at.astimezone(UTC).isoformat(),
        entry.actor,
        entry.action,
        entry.account_id,
        entry.subject,
        entry.outcome,
        entry.previous,
    ]
    return hashlib.sha256(json.dumps(told, ensure_ascii=True).encode()).hexdigest()
