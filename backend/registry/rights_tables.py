"""Tables of what people asked for and of what became of it: rights, sharing, disclosures, incidents, the end.

`legal_disclosures` and `announcements` outlive the account that they tell of: theirs is an id and no reference.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from backend.registry.base import Base, of_account
from backend.registry.sealed import Sealed


class Request(Base):
    """What somebody wants done with their data, until it is answered; and the answer."""

    __tablename__ = "requests"
    __table_args__ = (Index("ix_requests_open", "answered_at", "due_at"),)
    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    account_id: Mapped[str | None] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"), index=True)
    member_id: Mapped[str | None] = mapped_column(ForeignKey("members.id", ondelete="SET NULL"))
    requester: Mapped[str | None] = mapped_column(Sealed("requester"))  # who wrote, where no member asked by log-in
    kind: Mapped[str] = mapped_column(String(16))  # backend.privacy.requests.KINDS
    came_by: Mapped[str] = mapped_column(String(16))  # log-in, writing
    details: Mapped[str] = mapped_column(Sealed("request", is_long=True))
    received_at: Mapped[datetime]
    due_at: Mapped[datetime]
    recorded_by: Mapped[str] = mapped_column(String(64))
    identified_at: Mapped[datetime | None]  # since then we know that it is they who ask
    identified_by: Mapped[str | None] = mapped_column(String(64))
    identified_how: Mapped[str | None] = mapped_column(String(500))
    reminded_at: Mapped[datetime | None]  # administrators, last
    answered_at: Mapped[datetime | None]
    answered_by: Mapped[str | None] = mapped_column(String(64))
    outcome: Mapped[str | None] = mapped_column(String(16))  # done, refused
    answer: Mapped[str | None] = mapped_column(Sealed("answer", is_long=True))


class Correction(Base):
    """That something was wrong and is right now; neither what it was nor what it is."""

    __tablename__ = "corrections"
    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    account_id: Mapped[str] = of_account()
    subject: Mapped[str] = mapped_column(String(64))  # the member, site or account that it was wrong of
    field: Mapped[str] = mapped_column(String(32))
    at: Mapped[datetime]
    by: Mapped[str] = mapped_column(String(64))  # mem_…, stf_…
    request_id: Mapped[str | None] = mapped_column(String(64))  # that staff did it for


class Restriction(Base):
    """While it is not lifted, data of the account (or of the member) is kept and used for nothing."""

    __tablename__ = "restrictions"
    __table_args__ = (Index("ix_restrictions_open", "account_id", "lifted_at"),)
    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    account_id: Mapped[str] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"))
    member_id: Mapped[str | None] = mapped_column(ForeignKey("members.id", ondelete="CASCADE"))  # None: the account
    reason: Mapped[str] = mapped_column(String(500))
    since: Mapped[datetime]
    by: Mapped[str] = mapped_column(String(64))
    lifted_at: Mapped[datetime | None]
    lifted_by: Mapped[str | None] = mapped_column(String(64))


class SharingSwitch(Base):
    """Whether an account lets anything be shared at all; no row: no."""

    __tablename__ = "sharing_switches"
    account_id: Mapped[str] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"), primary_key=True)
    is_on: Mapped[bool]
    changed_at: Mapped[datetime]
    changed_by: Mapped[str] = mapped_column(String(64))


class Share(Base):
    """What one recipient may read for one purpose, from the account's consent to its end."""

    __tablename__ = "shares"
    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    account_id: Mapped[str] = of_account()
    recipient: Mapped[str] = mapped_column(String(200))
    contact: Mapped[str] = mapped_column(Sealed("recipient"))
    purpose: Mapped[str] = mapped_column(String(500))
    method: Mapped[str] = mapped_column(String(200))
    kinds: Mapped[list[str]] = mapped_column(JSON)  # backend.privacy.sharing.KINDS
    proposed_by: Mapped[str] = mapped_column(String(64))
    proposed_at: Mapped[datetime]
    consented_by: Mapped[str | None] = mapped_column(String(64))
    consented_at: Mapped[datetime | None]
    token_id: Mapped[str | None] = mapped_column(ForeignKey("tokens.id", ondelete="SET NULL"), index=True)
    ended_at: Mapped[datetime | None]
    ended_by: Mapped[str | None] = mapped_column(String(64))


class Disclosure(Base):
    """That a recipient was given something under a share."""

    __tablename__ = "disclosures"
    __table_args__ = (Index("ix_disclosures_account_at", "account_id", "at"),)
    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    account_id: Mapped[str] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"))
    share_id: Mapped[str] = mapped_column(ForeignKey("shares.id", ondelete="CASCADE"), index=True)
    kind: Mapped[str] = mapped_column(String(32))
    rows: Mapped[int]
    at: Mapped[datetime]


class LegalDisclosure(Base):
    """What an authority demands: on what basis, which two of the staff approved, and whether it was handed over."""

    __tablename__ = "legal_disclosures"
    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    account_id: Mapped[str] = mapped_column(String(64), index=True)
    authority: Mapped[str] = mapped_column(String(200))
    basis: Mapped[str] = mapped_column(String(500))
    recorded_by: Mapped[str] = mapped_column(String(64))
    recorded_at: Mapped[datetime]
    first_by: Mapped[str | None] = mapped_column(String(64))
    first_at: Mapped[datetime | None]
    second_by: Mapped[str | None] = mapped_column(String(64))
    second_at: Mapped[datetime | None]
    handed_over_by: Mapped[str | None] = mapped_column(String(64))
    handed_over_at: Mapped[datetime | None]


class Export(Base):
    """A copy of all that is held about an account, in the making, ready, or failed; its file is sealed."""

    __tablename__ = "exports"
    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    account_id: Mapped[str] = of_account()
    legal_id: Mapped[str | None] = mapped_column(ForeignKey("legal_disclosures.id", ondelete="CASCADE"))
    asked_by: Mapped[str] = mapped_column(String(64))
    asked_at: Mapped[datetime]
    file_key: Mapped[str] = mapped_column(Sealed("export"))
    ready_at: Mapped[datetime | None]
    expires_at: Mapped[datetime | None]
    bytes: Mapped[int | None]
    failed_at: Mapped[datetime | None]


class Incident(Base):
    """A breach of security: what is known of it, whom it affects, what was done."""

    __tablename__ = "incidents"
    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    title: Mapped[str] = mapped_column(String(200))
    what: Mapped[str] = mapped_column(Text)
    measures: Mapped[str] = mapped_column(Text)
    advice: Mapped[str] = mapped_column(Text)
    scope: Mapped[dict[str, Any]]  # backend.privacy.incidents.Reach
    recorded_at: Mapped[datetime]
    told_at: Mapped[datetime | None]


class AffectedMember(Base):
    """That an incident affects a member."""

    __tablename__ = "incident_members"
    incident_id: Mapped[str] = mapped_column(ForeignKey("incidents.id", ondelete="CASCADE"), primary_key=True)
    member_id: Mapped[str] = mapped_column(ForeignKey("members.id", ondelete="CASCADE"), primary_key=True)
    account_id: Mapped[str] = of_account()


class Announcement(Base):
    """What everybody may read: an incident that not all could be told of, the end of the service."""

    __tablename__ = "announcements"
    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    about: Mapped[str] = mapped_column(String(64), index=True)
    title: Mapped[str] = mapped_column(String(200))
    text: Mapped[str] = mapped_column(Text)
    published_at: Mapped[datetime]


class Cessation(Base):
    """The end of the whole service; one row, once it was decided."""

    __tablename__ = "cessation"
    id: Mapped[int] = mapped_column(primary_key=True)
    begun_at: Mapped[datetime]
    erases_at: Mapped[datetime]
    erased_at: Mapped[datetime | None]
