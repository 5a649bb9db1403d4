"""Tables of what is promised about personal data: who saw it, what for, for how long, what people asked for.

`audit_log` and `erasure_receipts` outlive what they tell of: their account is an id and no reference.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from backend.registry.base import Base, of_account
from backend.registry.sealed import Sealed


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
    account_id: Mapped[str] = of_account()
    member_id: Mapped[str] = mapped_column(ForeignKey("members.id", ondelete="CASCADE"))
    purpose: Mapped[str] = mapped_column(String(32))
    version: Mapped[int]
    answer: Mapped[str] = mapped_column(String(16))  # given, withdrawn, objected
    at: Mapped[datetime]


class Receipt(Base):
    """What was deleted, without what it was."""

    __tablename__ = "erasure_receipts"
    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    account_id: Mapped[str] = mapped_column(String(64), index=True)
    scope: Mapped[dict[str, Any]]
    removed: Mapped[dict[str, Any]]
    erased_at: Mapped[datetime]


class Erasure(Base):
    """An erasure of a part that the registry has done and the store perhaps not; gone when there is a receipt."""

    __tablename__ = "erasures"
    id: Mapped[str] = mapped_column(String(64), primary_key=True)  # of the receipt to come
    account_id: Mapped[str] = of_account()
    scope: Mapped[dict[str, Any]]  # site, machine, start, end
    removed: Mapped[dict[str, Any]]  # by the registry
    actor: Mapped[str] = mapped_column(String(64))
    at: Mapped[datetime]


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
    account_id: Mapped[str] = of_account()
    data_class: Mapped[str] = mapped_column(String(32))
    basis: Mapped[str] = mapped_column(String(500))
    since: Mapped[datetime]
    ends_at: Mapped[datetime]


class SupportBundle(Base):
    """A support bundle, as its operator sent it."""

    __tablename__ = "support_bundles"
    __table_args__ = (UniqueConstraint("account_id", "bundle_id"),)
    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    account_id: Mapped[str] = of_account()
    site_id: Mapped[str] = mapped_column(ForeignKey("sites.id", ondelete="CASCADE"))
    bundle_id: Mapped[str] = mapped_column(String(36))
    created_at: Mapped[datetime]
    received_at: Mapped[datetime] = mapped_column(index=True)
    text: Mapped[str] = mapped_column(Text)


class Feedback(Base):
    """What somebody thinks of the service; with a contact if they gave one."""

    __tablename__ = "feedback"
    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    account_id: Mapped[str] = of_account()
    contact: Mapped[str | None] = mapped_column(Sealed("feedback"))
    text: Mapped[str] = mapped_column(Sealed("feedback text", is_long=True))
    received_at: Mapped[datetime] = mapped_column(index=True)


class Visit(Base):
    """Somebody opened a web page. It belongs to nobody: what would name a person is left out (`privacy.visits`)."""

    __tablename__ = "visits"
    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    at: Mapped[datetime] = mapped_column(index=True)
    address: Mapped[str] = mapped_column(String(64))  # a network: IPv4 /24, IPv6 /48
    browser: Mapped[str] = mapped_column(String(32))
    page: Mapped[str] = mapped_column(String(100))
    spent_s: Mapped[int | None]


class PolicyVersion(Base):
    """The privacy policy as it was published."""

    __tablename__ = "policy_versions"
    version: Mapped[int] = mapped_column(primary_key=True)
    published_at: Mapped[datetime]
    changes: Mapped[str] = mapped_column(Text)
    text: Mapped[str] = mapped_column(Text)
