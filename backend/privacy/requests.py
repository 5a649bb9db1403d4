"""Requests of people about their data: one kind of record for all rights, from receipt to answer.

Who asks while logged in is known. Who writes is not: either they follow a link that goes to the address that their
account holds, or one of the staff says how else they made sure. Nothing is done for anybody before that.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, Literal

from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from backend import ids
from backend.ids import AccountId
from backend.privacy import audit, letters, links
from backend.registry.account_tables import Account, Member
from backend.registry.errors import Forbidden, Invalid, Missing, Taken
from backend.registry.members import email_address
from backend.registry.rights_tables import Request
from backend.registry.sealed import account_keys_in, keys_in

Kind = Literal[
    "access", "correction", "deletion", "restriction", "objection", "portability", "withdrawal", "cancellation"
]
Outcome = Literal["done", "refused"]

REMIND_BEFORE: Final = timedelta(days=7)
"""So long before a request is due administrators are reminded for the first time."""
_REMIND_AGAIN: Final = timedelta(days=2)
_LATE_RECORD: Final = timedelta(days=92)
"""A letter that was received longer ago than that cannot be recorded: its time is over."""


async def ask(
    session: AsyncSession, member: Member, kind: Kind, details: str, *, due_in: timedelta, now: datetime
) -> Request:
    """Somebody who is logged in asks."""
    return await _made(
        session,
        Request(
            id=ids.new("req"),
            account_id=member.account_id,
            member_id=member.id,
            kind=kind,
            came_by="log-in",
            details=details.strip(),
            received_at=now,
            due_at=now + due_in,
            recorded_by=member.id,
            identified_at=now,
            identified_by=member.id,
            identified_how="log-in",
        ),
        now,
    )


async def record_written(
    session: AsyncSession,
    staff: str,
    *,
    kind: Kind,
    requester: str,
    account: AccountId | None,
    details: str,
    received_at: datetime,
    due_in: timedelta,
    public_url: str,
    now: datetime,
) -> Request:
    """Somebody wrote. A member of `account` is sent a link by which they show that it was they.

    Raises `Invalid` or `Missing`.
    """
    if not now - _LATE_RECORD <= received_at <= now:
        raise Invalid(f"received_at: within the last {_LATE_RECORD.days} days")
    address = email_address(requester)
    if account is not None and await session.get(Account, account) is None:
        raise Missing(f"there is no account {account}")
    member = None
    if account is not None:
        index = account_keys_in(session).index(account, address)
        member = await session.scalar(select(Member).where(Member.account_id == account, Member.email_index == index))
    made = await _made(
        session,
        Request(
            id=ids.new("req"),
            account_id=account,
            member_id=member.id if member is not None else None,
            requester=address,
            kind=kind,
            came_by="writing",
            details=details.strip(),
            received_at=received_at,
            due_at=received_at + due_in,
            recorded_by=staff,
        ),
        now,
    )
    if member is not None:
        link = f"{public_url.rstrip('/')}/v1/requests/confirm?token={links.token(keys_in(session), 'request', made.id)}"
        text = (
            f"We received a letter in your name that asks for: {kind}.\n\nIf you wrote it, follow this link:\n\n"
            f"  {link}\n\nIf you did not, do nothing: without this nothing is done.\n"
        )
        letters.write(
            session, about=made.id, purpose="law", to=member, subject="Was it you who wrote to us?", text=text, now=now
        )
    return made


async def confirm(session: AsyncSession, presented: str, *, now: datetime) -> None:
    """The link in the mail was followed. Raises `Missing`: it was not made here, or there is nothing to confirm."""
    request_id = links.about(keys_in(session), "request", presented)
    found = await session.get(Request, request_id) if request_id is not None else None
    if found is None or found.answered_at is not None:
        raise Missing("this link was not made here, or the request was answered")
    if found.identified_at is None:
        _identify(found, found.member_id or "visitor", "link to the address that the account holds", now)


async def identify(session: AsyncSession, staff: str, request_id: str, how: str, *, now: datetime) -> Request:
    """One of the staff made sure who asks. Raises `Missing`, `Taken` or `Invalid`."""
    found = await find(session, request_id)
    if found.identified_at is not None:
        raise Taken("it is known who asks")
    if len(how.strip()) < 10:
        raise Invalid("say how you made sure who asks, in ten characters at least")
    _identify(found, staff, how.strip(), now)
    return found


async def answer(
    session: AsyncSession, staff: str, request_id: str, outcome: Outcome, text: str, *, now: datetime
) -> Request:
    """Close a request; the member is told. Raises `Missing`, `Taken`, `Invalid`; `Forbidden`: nobody knows who asks."""
    found = await find(session, request_id)
    if found.answered_at is not None:
        raise Taken("it is answered")
    if not text.strip():
        raise Invalid("an answer says something")
    if outcome == "done":
        require_identified(found)
    found.answered_at, found.answered_by, found.outcome, found.answer = now, staff, outcome, text.strip()
    member = await session.get(Member, found.member_id) if found.member_id is not None else None
    if member is not None:
        said = (
            f"You asked on {found.received_at:%Y-%m-%d} for: {found.kind}.\n\nOur answer ({outcome}):\n\n{found.answer}"
        )
        letters.write(session, about=found.id, purpose="law", to=member, subject="Your request", text=said, now=now)
    return found


async def find(session: AsyncSession, request_id: str) -> Request:
    """One of them. Raises `Missing`."""
    found = await session.get(Request, request_id)
    if found is None:
        raise Missing("there is no such request")
    return found


async def open_one(session: AsyncSession, request_id: str, kind: Kind) -> tuple[Request, AccountId]:
    """A request of this kind that may be acted upon, and whose account. Raises `Missing`, `Taken` or `Forbidden`."""
    found = await find(session, request_id)
    if found.answered_at is not None:
        raise Taken("the request is answered: there is nothing to be done for it")
    if found.kind != kind or found.account_id is None:
        raise Forbidden(f"this is no request for {kind} of an account")
    require_identified(found)
    return found, AccountId(found.account_id)


def require_identified(request: Request) -> None:
    """Raises `Forbidden` while nobody knows who asks."""
    if request.identified_at is None:
        raise Forbidden("make sure who asks, first")


async def listed(
    session: AsyncSession, *, account: str | None = None, member: str | None = None, most: int = 500
) -> Sequence[Request]:
    """All, or an account's, or a member's; newest first."""
    query = select(Request).order_by(Request.received_at.desc(), Request.id).limit(most)
    if account is not None:
        query = query.where(Request.account_id == account)
    if member is not None:
        query = query.where(Request.member_id == member)
    return (await session.scalars(query)).all()


async def remind(session: AsyncSession, *, now: datetime) -> int:
    """Write to all administrators of what is due soon, and again while it is not answered; how many requests."""
    is_quiet: ColumnElement[bool] = or_(Request.reminded_at.is_(None), Request.reminded_at <= now - _REMIND_AGAIN)
    query = select(Request).where(Request.answered_at.is_(None), Request.due_at <= now + REMIND_BEFORE, is_quiet)
    due = (await session.scalars(query.order_by(Request.due_at, Request.id))).all()
    if not due:
        return 0
    lines = [f"{one.due_at:%Y-%m-%d}  {one.id}  {one.kind}{'  OVERDUE' if one.due_at <= now else ''}" for one in due]
    text = "Not answered yet, and due:\n\n{}\n\nAnswer them: POST /v1/staff/requests/answer\n".format("\n".join(lines))
    await letters.write_to_admins(
        session, about="requests", subject=f"{len(due)} requests about personal data are due", text=text, now=now
    )
    for one in due:
        one.reminded_at = now
    return len(due)


async def _made(session: AsyncSession, request: Request, now: datetime) -> Request:
    session.add(request)
    await session.flush()
    await audit.record(
        session,
        actor=request.recorded_by,
        action=f"request.{request.kind}",
        account=request.account_id,
        subject=request.id,
        now=now,
    )
    return request


def _identify(request: Request, by: str, how: str, now: datetime) -> None:
    request.identified_at, request.identified_by, request.identified_how = now, by, how
