"""Tables of what is promised about personal data: who saw it, what for, for how long, what people asked for.

`audit_log`, `erasure_receipts` and `disclosures` outlive what they tell of: their account is an id and no reference.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from backend.registry.sealing import Sealed
from backend.registry.tables import Base


def _account() -> Mapped[str]:
    return mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"), index=True)


class AuditEntry(Base):
    """One access to personal data. Entries are added at the end and never changed; each names the one before it."""

    __tablename__ = "audit_log"
    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    at: Mapped[datetime] = mapped_column(index=True)
    actor: Mapped[str] = mapped_column(String(100))  # mem_…, stf_…, tok_…, job:…, command, visitor
    action: Mapped[str] = mapped_column(String(100))
    account_id: Mapped[str | None] = mapped_column(String(64), index=True)
    subject: Mapped[str | None] = mapped_column(String(100))  # the member, grant, message, … that it was about
    outcome: Mapped[str] = mapped_column(String(16))  # done, refused
    previous: Mapped[str] = mapped_column(String(64))
    digest: Mapped[str] = mapped_column(String(64))


class AuditHead(Base):
    """The end of the log, and its beginning once its oldest entries are past their window; one row."""

    __tablename__ = "audit_head"
    id: Mapped[int] = mapped_column(primary_key=True)
    seq: Mapped[int]
    digest: Mapped[str] = mapped_column(String(64))
    base_seq: Mapped[int]
    base_digest: Mapped[str] = mapped_column(String(64))


class AuditDigest(Base):
    """What administrators are sent of the log, until one of them signs that it was read."""

    __tablename__ = "audit_digests"
    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    from_seq: Mapped[int]
    to_seq: Mapped[int]
    head: Mapped[str] = mapped_column(String(64))
    counts: Mapped[dict[str, Any]]  # action → how often
    created_at: Mapped[datetime]
    signed_by: Mapped[str | None] = mapped_column(String(64))
    signed_at: Mapped[datetime | None]


class Letter(Base):
    """A notice to one person that is neither a warning nor part of a log-in; each delivery is tracked."""

    __tablename__ = "letters"
    __table_args__ = (Index("ix_letters_open", "sent_at", "failed_at", "due_at"),)
    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    about: Mapped[str] = mapped_column(String(64), index=True)  # the digest, incident, request, … that it is of
    purpose: Mapped[str] = mapped_column(String(32))
    account_id: Mapped[str | None] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"), index=True)
    member_id: Mapped[str | None] = mapped_column(ForeignKey("members.id", ondelete="CASCADE"))
    staff_id: Mapped[str | None] = mapped_column(ForeignKey("staff.id", ondelete="CASCADE"))
    channel: Mapped[str] = mapped_column(String(16))
    subject: Mapped[str] = mapped_column(String(200))
    text: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime]
    due_at: Mapped[datetime]
    attempts: Mapped[int] = mapped_column(default=0)
    sent_at: Mapped[datetime | None]
    failed_at: Mapped[datetime | None]
    last_error: Mapped[str | None] = mapped_column(String(500))


class Processor(Base):
    """Somebody who handles personal data for the service, and since when they do no more."""

    __tablename__ = "processors"
    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    host: Mapped[str] = mapped_column(String(253), index=True)
    gets: Mapped[str] = mapped_column(String(500))
    why: Mapped[str] = mapped_column(String(500))
    registered_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    deleted_at: Mapped[datetime | None]  # when they confirmed that they keep nothing


class Consent(Base):
    """What a member said to one version of a purpose; the newest row of a purpose counts, none is changed."""

    __tablename__ = "consents"
    __table_args__ = (Index("ix_consents_member_purpose", "member_id", "purpose", "at"),)
    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    account_id: Mapped[str] = _account()
    member_id: Mapped[str] = mapped_column(ForeignKey("members.id", ondelete="CASCADE"))
    purpose: Mapped[str] = mapped_column(String(32))
    version: Mapped[int]
    answer: Mapped[str] = mapped_column(String(16))  # given, withdrawn, objected
    at: Mapped[datetime]


class Choice(Base):
    """What an account chose; without a row: no sharing, no restriction."""

    __tablename__ = "privacy_choices"
    account_id: Mapped[str] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"), primary_key=True)
    may_share: Mapped[bool]
    restricted_at: Mapped[datetime | None]


class Share(Base):
    """That an account agrees to share with one recipient for one purpose, as it was shown to it."""

    __tablename__ = "shares"
    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    account_id: Mapped[str] = _account()
    recipient: Mapped[str] = mapped_column(String(200))
    contact: Mapped[str] = mapped_column(String(254))
    purpose: Mapped[str] = mapped_column(String(200))
    method: Mapped[str] = mapped_column(String(200))
    kinds: Mapped[str] = mapped_column(String(500))
    agreed_by: Mapped[str] = mapped_column(String(64))
    agreed_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)


class Disclosure(Base):
    """What was given to an authority, or to the recipient of a share, and who agreed."""

    __tablename__ = "disclosures"
    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    account_id: Mapped[str] = mapped_column(String(64), index=True)
    recipient: Mapped[str] = mapped_column(String(200))
    basis: Mapped[str] = mapped_column(String(500))
    scope: Mapped[str] = mapped_column(String(500))
    asked_by: Mapped[str] = mapped_column(String(64))
    asked_at: Mapped[datetime]
    approved_by: Mapped[str | None] = mapped_column(String(64))
    made_at: Mapped[datetime | None]


class RightsRequest(Base):
    """What somebody asked for in the exercise of a right, until it is answered."""

    __tablename__ = "rights_requests"
    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    account_id: Mapped[str | None] = mapped_column(ForeignKey("accounts.id", ondelete="SET NULL"), index=True)
    member_id: Mapped[str | None] = mapped_column(String(64))
    kind: Mapped[str] = mapped_column(String(16))
    by: Mapped[str] = mapped_column(String(16))  # session: asked while logged in; mail
    details: Mapped[str] = mapped_column(Sealed("request"))
    asked_at: Mapped[datetime]
    due_at: Mapped[datetime]
    verified_at: Mapped[datetime | None]
    reminded_at: Mapped[datetime | None]
    answered_at: Mapped[datetime | None]
    answer: Mapped[str | None] = mapped_column(Sealed("answer"))


class Receipt(Base):
    """What was deleted, without what it was."""

    __tablename__ = "erasure_receipts"
    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    account_id: Mapped[str] = mapped_column(String(64), index=True)
    scope: Mapped[dict[str, Any]]
    removed: Mapped[dict[str, Any]]
    erased_at: Mapped[datetime]


class Window(Base):
    """How long an account's data of one class is kept, where it chose."""

    __tablename__ = "retention_windows"
    account_id: Mapped[str] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"), primary_key=True)
    data_class: Mapped[str] = mapped_column(String(32), primary_key=True)
    days: Mapped[int]


class LegalHold(Base):
    """Keeps data of one class past its window until it ends."""

    __tablename__ = "legal_holds"
    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    account_id: Mapped[str] = _account()
    data_class: Mapped[str] = mapped_column(String(32))
    basis: Mapped[str] = mapped_column(String(500))
    since: Mapped[datetime]
    ends_at: Mapped[datetime]


class SupportBundle(Base):
    """A support bundle, as its operator sent it."""

    __tablename__ = "support_bundles"
    __table_args__ = (UniqueConstraint("account_id", "bundle_id"),)
    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    account_id: Mapped[str] = _account()
    site_id: Mapped[str] = mapped_column(ForeignKey("sites.id", ondelete="CASCADE"))
    bundle_id: Mapped[str] = mapped_column(String(36))
    created_at: Mapped[datetime]
    received_at: Mapped[datetime] = mapped_column(index=True)
    text: Mapped[str] = mapped_column(Text)


class Feedback(Base):
    """What somebody thinks of the service; with a contact if they gave one."""

    __tablename__ = "feedback"
    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    account_id: Mapped[str] = _account()
    contact: Mapped[str | None] = mapped_column(Sealed("feedback"))
    text: Mapped[str] = mapped_column(Text)
    received_at: Mapped[datetime] = mapped_column(index=True)


class PageView(Base):
    """Log data of a page: what policy clause 1.1 names and no more."""

    __tablename__ = "access_log"
    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[str | None] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"), index=True)
    at: Mapped[datetime] = mapped_column(index=True)
    network: Mapped[str] = mapped_column(String(64))  # /24 or /48
    browser: Mapped[str] = mapped_column(String(32))  # family and major version
    page: Mapped[str] = mapped_column(String(100))
    spent_s: Mapped[float | None]


class PolicyVersion(Base):
    """The privacy policy as it was published."""

    __tablename__ = "policy_versions"
    version: Mapped[int] = mapped_column(primary_key=True)
    published_at: Mapped[datetime]
    changes: Mapped[str] = mapped_column(Text)
    text: Mapped[str] = mapped_column(Text)


class Incident(Base):
    """A security incident, and since when everybody was told."""

    __tablename__ = "incidents"
    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    began_at: Mapped[datetime]
    ended_at: Mapped[datetime]
    recorded_at: Mapped[datetime]
    summary: Mapped[str] = mapped_column(Text)
    measures: Mapped[str] = mapped_column(Text)
    affected: Mapped[int]
    unreachable: Mapped[int]
    announcement: Mapped[str | None] = mapped_column(Text)  # public, for who cannot be reached


class Cessation(Base):
    """That the service ended; one row."""

    __tablename__ = "cessation"
    id: Mapped[int] = mapped_column(primary_key=True)
    ceased_at: Mapped[datetime]
    announcement: Mapped[str] = mapped_column(Text)
