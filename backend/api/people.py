"""Who belongs to an account, and what agents and programs of it hold."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Literal

from aiohttp import web
from pydantic import AwareDatetime, BaseModel, Field, StringConstraints

from backend.accounts import people
from backend.accounts.rights import roles_for
from backend.api.registering import Body, Email, body, done
from backend.api.route import Call, Query
from backend.api.sites import Site
from backend.ids import SiteId
from backend.registry import account_tables, enrolment, members, sites, tokens
from backend.registry.account_tables import Account
from backend.registry.errors import Forbidden, Invalid
from backend.registry.login_tables import LoginSession

Id = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Role = Literal["owner", "manager", "operator", "viewer"]


class Member(BaseModel):
    """One person of the account."""

    member: str
    role: str
    email: str
    phone: str | None
    has_verified_email: bool
    has_verified_phone: bool


class MembersReply(BaseModel):
    """By e-mail address."""

    members: list[Member]

    @classmethod
    def of(cls, found: Sequence[account_tables.Member]) -> MembersReply:
        """These, with how they are reached."""
        return cls(
            members=[
                Member(
                    member=one.id,
                    role=one.role,
                    email=one.email,
                    phone=one.phone,
                    has_verified_email=one.email_verified_at is not None,
                    has_verified_phone=one.phone_verified_at is not None,
                )
                for one in found
            ]
        )


class InviteRequest(Body):
    """Whom, and as what."""

    email: Email
    role: Role


class RoleRequest(Body):
    """Who is what from now on."""

    member: Id
    role: Role


class MemberRequest(Body):
    """Who."""

    member: Id


class SecondFactorRequest(Body):
    """Whether each member needs a second factor for more than their own log-in."""

    is_required: bool


class Token(BaseModel):
    """One token; the secret itself is not kept."""

    token: str
    kind: str
    label: str
    site: str | None
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


class TokensReply(BaseModel):
    """Oldest first, agents' and revoked ones too."""

    tokens: list[Token]


class TokenRequest(Body):
    """What it is for, what it may and until when."""

    label: Id
    scope: Literal["read", "operate", "manage"] = "read"
    expires_at: AwareDatetime | None = None


class TokenReply(BaseModel):
    """`secret` is shown this once."""

    token: str
    secret: str
    expires_at: datetime | None


class RevokeRequest(Body):
    """Which one."""

    token: Id


class SiteRequest(Body):
    """A site by id or name."""

    site: Id


class NewSiteRequest(Body):
    """What the farm is called."""

    name: Id


class CodeReply(BaseModel):
    """What the agent's operator types, once."""

    code: str
    expires_at: datetime


class RotateRequest(Body):
    """A token that the agent made and wrote down, `imt_` and 256 random bits: its SHA-256."""

    token_sha256: Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]


class RotateReply(BaseModel):
    """It is let in from now on; the former one is good for `overlap_s` still."""

    overlap_s: Annotated[float, Field(ge=0)]


async def listed(call: Call[Query]) -> MembersReply:
    """The account's members."""
    async with call.services.database.read() as session:
        found = await members.listed(session, call.account)
    return MembersReply.of(found)


async def invite(call: Call[Query]) -> web.Response:
    """Ask somebody to join."""
    sent = await body(call, InviteRequest)
    async with call.services.database.begin() as session:
        await people.invite(
            session,
            call.account,
            call.member,
            call.bearer_known.role or "viewer",
            email=sent.email,
            role=sent.role,
            now=call.now,
        )
    call.services.wake()
    return done(202)


async def change_role(call: Call[Query]) -> web.Response:
    """Another role for a member."""
    sent = await body(call, RoleRequest)
    async with call.services.database.begin() as session:
        await people.change_role(session, call.account, sent.member, sent.role)
    return done()


async def remove(call: Call[Query]) -> web.Response:
    """A member leaves."""
    sent = await body(call, MemberRequest)
    async with call.services.database.begin() as session:
        await people.remove(session, call.account, sent.member)
    return done()


async def require_second_factor(call: Call[Query]) -> web.Response:
    """Whether members need one. Who asks has one, or would lock themselves out."""
    sent = await body(call, SecondFactorRequest)
    async with call.services.database.begin() as session:
        opened = await session.get_one(LoginSession, call.bearer_known.token)
        if sent.is_required and not opened.has_second_factor:
            raise Forbidden("switch your own second factor on first, and log in with it")
        (await session.get_one(Account, call.account)).requires_second_factor = sent.is_required
    return done()


async def tokens_listed(call: Call[Query]) -> TokensReply:
    """The account's tokens."""
    async with call.services.database.read() as session:
        found = await tokens.listed(session, call.account)
    return TokensReply(
        tokens=[
            Token(
                token=one.id,
                kind=one.kind,
                label=one.label,
                site=one.site_id,
                created_at=one.created_at,
                expires_at=one.expires_at,
                revoked_at=one.revoked_at,
            )
            for one in found
        ]
    )


async def make_token(call: Call[Query]) -> TokenReply:
    """A token for a program: no more than its maker may, and no longer than they are there."""
    sent = await body(call, TokenRequest)
    if sent.expires_at is not None and sent.expires_at <= call.now:
        raise Invalid("a token ends in the future")
    if call.bearer_known.role not in roles_for(sent.scope):
        raise Forbidden("a token may no more than its maker")
    async with call.services.database.begin() as session:
        made, secret = await tokens.issue(
            session,
            call.account,
            kind=sent.scope,
            label=sent.label,
            member=call.member,
            expires_at=sent.expires_at,
            now=call.now,
        )
    return TokenReply(token=made.id, secret=secret, expires_at=made.expires_at)


async def revoke_token(call: Call[Query]) -> web.Response:
    """It opens nothing from now on, an agent's neither."""
    sent = await body(call, RevokeRequest)
    async with call.services.database.begin() as session:
        await tokens.revoke(session, call.account, sent.token, now=call.now)
    return done()


async def add_site(call: Call[Query]) -> Site:
    """A new farm."""
    sent = await body(call, NewSiteRequest)
    async with call.services.database.begin() as session:
        added = await sites.add(session, call.account, sent.name, now=call.now)
    return Site.of(added)


async def enrolment_code(call: Call[Query]) -> CodeReply:
    """A code that enrols the agent of a site: once, within an hour."""
    sent = await body(call, SiteRequest)
    async with call.services.database.begin() as session:
        site = SiteId((await sites.find(session, call.account, sent.site)).id)
        code = await enrolment.issue(session, call.account, site, now=call.now)
    return CodeReply(code=code, expires_at=call.now + enrolment.LIFETIME)


async def revoke_agent(call: Call[Query]) -> web.Response:
    """A site's agent is let in no more, at once."""
    sent = await body(call, SiteRequest)
    async with call.services.database.begin() as session:
        site = SiteId((await sites.find(session, call.account, sent.site)).id)
        await tokens.revoke_agents(session, call.account, site, now=call.now)
    return done()


async def rotate(call: Call[Query]) -> RotateReply:
    """An agent's new token, which it knows already: no answer that gets lost locks it out."""
    sent = await body(call, RotateRequest)
    async with call.services.database.begin() as session:
        await tokens.rotate(session, call.bearer_known, sent.token_sha256, now=call.now)
    return RotateReply(overlap_s=tokens.OVERLAP / timedelta(seconds=1))
