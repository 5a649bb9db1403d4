"""What is in the audit log, for administrators to read and to sign; and the anchors of its end."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import structlog
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from backend import ids
from backend.privacy import audit, letters
from backend.privacy.audit import Anchor
from backend.registry.errors import Missing, Taken
from backend.registry.privacy_tables import AuditDigest, AuditEntry

log = structlog.get_logger()

ANCHOR_EVERY: Final = timedelta(days=1)


async def anchor(session: AsyncSession, file: Path, *, now: datetime) -> Anchor | None:
    """Write the log's end down, when that was not done for a day; None when it was."""
    last = max((each.at for each in audit.read_anchors(file)), default=None)
    if last is not None and now - last < ANCHOR_EVERY:
        return None
    return await anchor_now(session, file, now=now)


async def anchor_now(session: AsyncSession, file: Path, *, now: datetime) -> Anchor:
    """Write the log's end down."""
    made = Anchor(now, *await audit.head(session))
    audit.write_anchor(file, made)
    log.info("audit.anchored", seq=made.seq, digest=made.digest)  # whoever collects the logs has it, too
    return made


async def digest(session: AsyncSession, every: timedelta, *, now: datetime) -> AuditDigest | None:
    """Send all administrators what came into the log since the last digest, once that is `every` ago."""
    last: AuditDigest | None = await session.scalar(
        select(AuditDigest).order_by(AuditDigest.created_at.desc()).limit(1)
    )
    if last is not None and now - last.created_at < every:
        return None
    after = last.to_seq if last is not None else 0
    rows = await session.execute(
        select(AuditEntry.action, AuditEntry.outcome, func.count())
        .where(AuditEntry.seq > after)
        .group_by(AuditEntry.action, AuditEntry.outcome)
        .order_by(AuditEntry.action, AuditEntry.outcome)
    )
    counts = {f"{action} ({outcome})": count for action, outcome, count in rows}
    seq, head = await audit.head(session)
    made = AuditDigest(id=ids.new("dig"), from_seq=after + 1, to_seq=seq, head=head, counts=counts, created_at=now)
    session.add(made)
    lines = "\n".join(f"{count:>8}  {what}" for what, count in counts.items()) or "nothing"
    unsigned = await session.scalar(
        select(func.count()).select_from(AuditDigest).where(AuditDigest.signed_at.is_(None), AuditDigest.id != made.id)
    )
    text = (
        f"Accesses to personal data, entries {made.from_seq} to {seq}:\n\n{lines}\n\n"
        f"The log's end is {seq} {head}.\nKeep this mail: it proves that nobody changed the log since.\n\n"
        f"Sign that you read it: POST /v1/staff/audit/sign with digest {made.id}.\n"
        f"Earlier digests that nobody signed: {unsigned}.\n"
    )
    await letters.write_to_admins(session, about=made.id, subject=f"Audit digest {made.id}", text=text, now=now)
    await session.flush()
    return made


async def sign(session: AsyncSession, digest_id: str, staff: str, *, now: datetime) -> None:
    """One of the staff read it. Raises `Missing` or `Taken`."""
    found = await session.get(AuditDigest, digest_id)
    if found is None:
        raise Missing("there is no such digest")
    if found.signed_at is not None:
        raise Taken("somebody signed it already")
    found.signed_by, found.signed_at = staff, now


async def listed(session: AsyncSession) -> Sequence[AuditDigest]:
    """All of them, newest first."""
    return (await session.scalars(select(AuditDigest).order_by(AuditDigest.created_at.desc()))).all()
