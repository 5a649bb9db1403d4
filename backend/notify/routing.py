"""Who is told by which channel."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from backend.ids import AccountId
from backend.registry import contacts
from backend.registry.account_tables import Member
from backend.registry.notify_tables import Contact
from backend.warnings.severity import Severity

NOTHING: Final = "none"
"""The severity of a contact that is told of no warning."""


class Channel(StrEnum):
    """How a contact is reached."""

    EMAIL = "email"
    SMS = "sms"
    WEBHOOK = "webhook"


def contact(member: Member, channel: Channel) -> str | None:
    """Where a member is reached; None unless that was verified and has not failed for good."""
    match channel:
        case Channel.EMAIL:
            usable = member.email_verified_at is not None and member.email_failed_at is None
            return member.email if usable else None
        case Channel.SMS:
            usable = member.phone_verified_at is not None and member.phone_failed_at is None
            return member.phone if usable else None
        case Channel.WEBHOOK:
            return None


def address(of: Contact, member: Member) -> str | None:
    """Where a contact is reached; None unless it was verified and has not failed for good."""
    if of.address is None:
        return contact(member, Channel(of.channel))
    return of.address if of.verified_at is not None and of.failed_at is None else None


@dataclass(frozen=True, slots=True)
class Audience:
    """All contacts of an account, and which of them are told of what.

    A contact is told from its severity up. Where all who would be told have failed for good (a mailbox that is gone),
    whoever can still be reached is told instead: a warning that nobody gets is worse than one too many.
    """

    contacts: Sequence[tuple[Contact, Member]]

    @classmethod
    async def of(cls, session: AsyncSession, account: str) -> Audience:
        """As it is now."""
        return cls(await contacts.listed(session, AccountId(account)))

    def told(self, severities: Iterable[Severity], site: str) -> list[Contact]:
        """Who is told of any of these at a site; not when."""
        found = {each.id: each for severity in severities for each in self._told(severity, site)}
        return list(found.values())

    def is_told(self, who: Contact, severity: Severity, site: str) -> bool:
        """Whether a contact is told of this."""
        return any(each.id == who.id for each in self._told(severity, site))

    def _told(self, severity: Severity, site: str) -> list[Contact]:
        here = [(each, member) for each, member in self.contacts if not each.sites or site in each.sites]
        wanting = [(each, member) for each, member in here if _wants(each, severity)]
        if reached := [each for each, member in wanting if address(each, member) is not None]:
            return reached
        has_failed = any(_has_failed(each, member) for each, member in wanting)
        instead = [each for each, member in here if each.severity != NOTHING and address(each, member) is not None]
        return instead if has_failed else []


def _wants(of: Contact, severity: Severity) -> bool:
    return of.severity != NOTHING and severity.rank >= Severity(of.severity).rank


def _has_failed(of: Contact, member: Member) -> bool:
    if of.address is not None:
        return of.failed_at is not None
    failed_at = member.email_failed_at if of.channel == Channel.EMAIL else member.phone_failed_at
    return failed_at is not None
