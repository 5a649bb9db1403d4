"""`/v1/contacts`: where a member's warnings go, which, and when. Owners and managers see those of the whole account."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from aiohttp import web
from pydantic import BaseModel, Field, StringConstraints
from sqlalchemy.ext.asyncio import AsyncSession

from backend.api.problems import Problem
from backend.api.registering import Body, TokenRequest, body, done
from backend.api.route import Call, Query
from backend.notify import verifying
from backend.notify.outbox import look_again
from backend.notify.routing import Channel, address
from backend.notify.tongue import known
from backend.registry import contacts, sites
from backend.registry.account_tables import Member
from backend.registry.errors import Forbidden, Invalid, Missing
from backend.registry.members import email_address, phone_number
from backend.registry.notify_tables import Contact as Row

Id = Annotated[str, StringConstraints(min_length=1, max_length=64)]
Clock = Annotated[str, StringConstraints(max_length=5)]


class Contact(BaseModel):
    """One contact, as it is told."""

    contact_id: str
    member: str
    channel: str
    address: str
    label: str
    is_own: bool  # the member's own address or phone
    is_verified: bool
    works: bool  # messages go there
    failed_at: datetime | None
    failure: str | None  # what its server said
    severity: str
    sites: list[str]
    after_min: int
    quiet_from: str | None
    quiet_to: str | None
    time_zone: str
    critical_passes: bool
    language: str | None
    digests: str


class ContactsReply(BaseModel):
    """In the order in which they are told."""

    contacts: list[Contact]


class NewContactRequest(Body):
    """One more: an e-mail address, a phone number (+, country, number) or a webhook's URL."""

    channel: Literal["email", "sms", "webhook"]
    address: Annotated[str, StringConstraints(min_length=1, max_length=300)]
    label: Annotated[str, StringConstraints(max_length=100)] = ""


class NewContactReply(BaseModel):
    """`secret`: what a webhook's messages are signed with; shown this once."""

    contact_id: str
    secret: str | None


class ContactRequest(Body):
    """Which one."""

    contact_id: Id


class CodeRequest(Body):
    """What came to the phone."""

    contact_id: Id
    code: Annotated[str, StringConstraints(max_length=16)]


class ChangeRequest(Body):
    """What is to be another way; what is left out stays. Null ends quiet hours, and a language of its own."""

    contact_id: Id
    label: Annotated[str, StringConstraints(max_length=100)] | None = None
    severity: Literal["info", "warning", "critical", "none"] | None = None
    sites: Annotated[list[Id], Field(max_length=1_000)] | None = None
    after_min: Annotated[int, Field(ge=0, le=10_080)] | None = None
    quiet_from: Clock | None = None
    quiet_to: Clock | None = None
    time_zone: Annotated[str, StringConstraints(max_length=64)] | None = None
    critical_passes: bool | None = None
    language: Annotated[str, StringConstraints(max_length=8)] | None = None
    digests: Literal["none", "daily", "weekly"] | None = None


async def listed(call: Call[Query]) -> ContactsReply:
    """The member's, or the account's."""
    async with call.services.database.read() as session:
        found = await contacts.listed(session, call.account)
    return ContactsReply(
        contacts=[_shown(row, member) for row, member in found if _is_theirs(call, row)],
    )


async def add(call: Call[Query]) -> NewContactReply:
    """It is told nothing before it is verified; what verifies it is on its way."""
    sent = await body(call, NewContactRequest)
    check = {"email": email_address, "sms": phone_number, "webhook": contacts.webhook_url}[sent.channel]
    where = check(sent.address)
    async with call.services.database.begin() as session:
        member = await session.get_one(Member, call.member)
        made = await contacts.add(session, member, sent.channel, where, sent.label, now=call.now)
        await _ask(session, made, call)
    call.services.wake()
    return NewContactReply(contact_id=made.id, secret=made.secret)


async def ask_again(call: Call[Query]) -> web.Response:
    """Send what verifies it once more; also for one that failed. A webhook is verified by taking it."""
    sent = await body(call, ContactRequest)
    async with call.services.database.begin() as session:
        row = await _find(session, call, sent.contact_id)
        if row.address is None:
            raise Forbidden("your own address and phone are verified with your account")
        await _ask(session, row, call)
    call.services.wake()
    return done()


async def confirm(call: Call[Query]) -> web.Response:
    """Follow the link in a mail: whoever reads there agrees."""
    sent = await body(call, TokenRequest)
    async with call.services.database.begin() as session:
        row = await verifying.by_link(session, sent.token, now=call.now)
        if row is None:
            raise Forbidden("this is not the right one, or it was used, or it is over a day old")
        await look_again(session, row, now=call.now)
    call.services.wake()
    return done()


async def verify(call: Call[Query]) -> web.Response:
    """Type the code that came to a phone."""
    sent = await body(call, CodeRequest)
    async with call.services.database.begin() as session:
        row = await _find(session, call, sent.contact_id)
        is_right = await verifying.by_code(session, row, sent.code, now=call.now)
        if is_right:
            await look_again(session, row, now=call.now)
    if not is_right:  # outside, so that a wrong try stays counted
        raise Forbidden("this is not the right code, or it was used, or there were too many tries")
    call.services.wake()
    return done()


async def change(call: Call[Query]) -> web.Response:
    """Which warnings it is told of, and when."""
    sent = await body(call, ChangeRequest)
    changes: dict[str, Any] = {name: getattr(sent, name) for name in sent.model_fields_set if name != "contact_id"}
    can_end = {"quiet_from", "quiet_to", "language"}
    changes = {name: value for name, value in changes.items() if value is not None or name in can_end}
    contacts.checked_preferences(changes)
    if (language := changes.get("language")) is not None and language.partition("-")[0].lower() not in known():
        raise Invalid(f"messages are written in {', '.join(known())}")
    async with call.services.database.begin() as session:
        row = await _find(session, call, sent.contact_id)
        if "sites" in changes:
            changes["sites"] = [(await sites.find(session, call.account, name)).id for name in changes["sites"]]
        if changes.get("digests", "none") != "none" and row.channel != Channel.EMAIL:
            raise Invalid("summaries go by e-mail")
        for name, value in changes.items():
            setattr(row, name, value)
        row.digest_due_at = contacts.next_digest(row, call.now)
        await session.flush()
        await look_again(session, row, now=call.now)
    call.services.wake()
    return done()


async def remove(call: Call[Query]) -> web.Response:
    """It is forgotten, with what it was told. A member's own goes with the member."""
    sent = await body(call, ContactRequest)
    async with call.services.database.begin() as session:
        row = await _find(session, call, sent.contact_id)
        if row.address is None:
            raise Forbidden("a member's own address and phone stay: say that they are told of none")
        await session.delete(row)
    return done()


async def _ask(session: AsyncSession, row: Row, call: Call[Query]) -> None:
    if not await verifying.ask(session, row, now=call.now):
        raise Problem(429, "this contact gets too many messages: wait", retry_after_s=60)


async def _find(session: AsyncSession, call: Call[Query], contact: str) -> Row:
    row = await contacts.find(session, call.account, contact, is_changed=True)
    if not _is_theirs(call, row):
        raise Missing("there is no such contact in this account")
    return row


def _is_theirs(call: Call[Query], row: Row) -> bool:
    return row.member_id == call.member or call.bearer_known.role in ("owner", "manager")


def _shown(row: Row, member: Member) -> Contact:
    is_own = row.address is None
    own = {"email": (member.email, member.email_verified_at), "sms": (member.phone, member.phone_verified_at)}
    where, verified_at = own[row.channel] if is_own else (row.address, row.verified_at)
    return Contact(
        contact_id=row.id,
        member=row.member_id,
        channel=row.channel,
        address=where or "",
        label=row.label,
        is_own=is_own,
        is_verified=verified_at is not None,
        works=address(row, member) is not None,
        failed_at=row.failed_at,
        failure=row.failure,
        severity=row.severity,
        sites=row.sites,
        after_min=row.after_min,
        quiet_from=row.quiet_from,
        quiet_to=row.quiet_to,
        time_zone=row.time_zone,
        critical_passes=row.critical_passes,
        language=row.language,
        digests=row.digests,
    )
