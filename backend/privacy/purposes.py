"""The register of purposes: what personal data is used for, on what basis, and who agreed to which version.

Guarantee: what is not in the register is used for nothing; a purpose by consent is used only for a member who agreed to
its present version, so that one whose meaning changes (a new version) is unusable until they were asked again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from backend import ids
from backend.privacy import restricting
from backend.registry.account_tables import Member
from backend.registry.errors import Invalid, Missing
from backend.registry.privacy_tables import Consent

Basis = Literal["contract", "law", "consent", "interest"]
Answer = Literal["given", "withdrawn", "objected"]

MARKETING: Final = "marketing"
CROSS_BORDER: Final = "cross_border"
OWED: Final = frozenset({"law", "notices"})
"""What the service has to tell even who wants nothing else done with their data."""


@dataclass(frozen=True, slots=True)
class Purpose:
    """One use of personal data. `interest`: until they object; `consent`: when they agreed to this version."""

    means: str
    basis: Basis
    version: int = 1


REGISTER: Final[Mapping[str, Purpose]] = {
    "monitoring": Purpose("store what agents send, show it, warn of trouble", "contract"),
    "notices": Purpose("tell members what they have to know of the service and their account", "contract"),
    "support": Purpose("look into an error that an operator sent", "contract"),
    "law": Purpose("answer requests, tell of incidents, keep what the law asks for", "law"),
    "logs": Purpose("count visits of the pages to make them better", "interest"),
    "improvement": Purpose("use feedback to make the service better", "interest"),
    MARKETING: Purpose("tell of products, events and studies", "consent"),
    CROSS_BORDER: Purpose("send readings of single machines to a backend in another region", "consent"),
}


async def say(session: AsyncSession, member: Member, purpose: str, answer: Answer, *, now: datetime) -> Consent:
    """Write down what a member says to a purpose as it is now. Raises `Missing` or `Invalid`."""
    found = _find(purpose)
    if found.basis in ("contract", "law"):
        raise Invalid(f"{purpose} is needed for the service itself: leave the account to end it")
    if answer == "objected" and found.basis == "consent":
        answer = "withdrawn"
    consent = Consent(
        id=ids.new("con"),
        account_id=member.account_id,
        member_id=member.id,
        purpose=purpose,
        version=found.version,
        answer=answer,
        at=now,
    )
    session.add(consent)
    await session.flush()
    return consent


async def may_use(session: AsyncSession, member: str, purpose: str) -> bool:
    """Whether a member's data may be used so now. Raises `KeyError`: no such purpose, so no use."""
    found = REGISTER[purpose]
    if purpose not in OWED and await _is_restricted(session, member):
        return False
    if found.basis in ("contract", "law"):
        return True
    last = await _last(session, member, purpose)
    if found.basis == "interest":
        return last is None or last.answer == "given"
    return last is not None and last.answer == "given" and last.version == found.version


async def account_agrees(session: AsyncSession, account: str, purpose: str) -> bool:
    """Whether an owner of the account agreed, and none took it back since."""
    owners = await session.scalars(select(Member.id).where(Member.account_id == account, Member.role == "owner"))
    said = [consent for owner in owners if (consent := await _last(session, owner, purpose)) is not None]
    newest = max(said, key=lambda consent: (consent.at, consent.id), default=None)
    return newest is not None and newest.answer == "given" and newest.version == REGISTER[purpose].version


async def history(session: AsyncSession, member: str) -> Sequence[Consent]:
    """All that a member said, oldest first."""
    return (
        await session.scalars(select(Consent).where(Consent.member_id == member).order_by(Consent.at, Consent.id))
    ).all()


async def _is_restricted(session: AsyncSession, member: str) -> bool:
    account = await session.scalar(select(Member.account_id).where(Member.id == member))
    return account is not None and await restricting.holds(session, account, member)


async def _last(session: AsyncSession, member: str, purpose: str) -> Consent | None:
    query = select(Consent).where(Consent.member_id == member, Consent.purpose == purpose)
    found: Consent | None = await session.scalar(query.order_by(Consent.at.desc(), Consent.version.desc()).limit(1))
    return found


def _find(purpose: str) -> Purpose:
    if purpose not in REGISTER:
        raise Missing(f"there is no purpose {purpose}")
    return REGISTER[purpose]
