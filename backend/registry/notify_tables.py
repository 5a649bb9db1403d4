"""Contacts, what they were told, and the messages that wait to be sent."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from backend.registry.base import Base, of_account
from backend.registry.sealed import Sealed


class Contact(Base):
    """Where a member's warnings go, and which: their own address or phone, or one more that they verified."""

    __tablename__ = "contacts"
    __table_args__ = (
        UniqueConstraint("account_id", "channel", "address_index"),
        Index(
            "uq_contacts_own",
            "member_id",
            "channel",
            unique=True,
            sqlite_where=text("address IS NULL"),
            postgresql_where=text("address IS NULL"),
        ),
    )
    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    account_id: Mapped[str] = of_account()
    member_id: Mapped[str] = mapped_column(ForeignKey("members.id", ondelete="CASCADE"))
    channel: Mapped[str] = mapped_column(String(16))  # email, sms, webhook
    label: Mapped[str] = mapped_column(String(100), default="")
    # None: the member's own, with what is known there of whether it is theirs and works.
    address: Mapped[str | None] = mapped_column(Sealed("contact"))
    address_index: Mapped[str | None] = mapped_column(String(64))
    secret: Mapped[str | None] = mapped_column(Sealed("webhook"))  # what a webhook is signed with
    verified_at: Mapped[datetime | None]
    failed_at: Mapped[datetime | None]  # for good, until it is verified anew
    failure: Mapped[str | None] = mapped_column(String(200))
    severity: Mapped[str] = mapped_column(String(16))  # the mildest that it is told of
    sites: Mapped[list[str]] = mapped_column(JSON)  # none: all of them
    after_min: Mapped[int] = mapped_column(default=0)  # told when nobody acknowledged for so long; 0: at once
    quiet_from: Mapped[str | None] = mapped_column(String(5))  # HH:MM in its time zone
    quiet_to: Mapped[str | None] = mapped_column(String(5))
    time_zone: Mapped[str] = mapped_column(String(64), default="UTC")
    critical_passes: Mapped[bool] = mapped_column(default=True)  # quiet hours
    language: Mapped[str | None] = mapped_column(String(8))  # None: the member's
    digests: Mapped[str] = mapped_column(String(8), default="none")  # none, daily, weekly
    digest_due_at: Mapped[datetime | None]
    created_at: Mapped[datetime]


class Telling(Base):
    """That a contact was told of a warning, and whether it was told that it is over."""

    __tablename__ = "tellings"
    __table_args__ = (Index("ix_tellings_open", "contact_id", "over_message_id"),)
    warning_id: Mapped[str] = mapped_column(ForeignKey("warnings.id", ondelete="CASCADE"), primary_key=True)
    contact_id: Mapped[str] = mapped_column(ForeignKey("contacts.id", ondelete="CASCADE"), primary_key=True)
    member_id: Mapped[str] = mapped_column(ForeignKey("members.id", ondelete="CASCADE"))
    channel: Mapped[str] = mapped_column(String(16))
    account_id: Mapped[str] = of_account()
    severity: Mapped[str] = mapped_column(String(16))  # the worst that was told
    message_id: Mapped[str] = mapped_column(String(64))  # of the outbox: what told it last
    over_message_id: Mapped[str | None] = mapped_column(String(64))


class OutboxMessage(Base):
    """A message to one contact: written with the state change that caused it, sent at least once."""

    __tablename__ = "outbox"
    __table_args__ = (
        # One unsent message about one thing to one contact: what happens meanwhile goes into the same message.
        Index(
            "uq_outbox_open",
            "dedup_key",
            unique=True,
            sqlite_where=text("sent_at IS NULL AND failed_at IS NULL"),
            postgresql_where=text("sent_at IS NULL AND failed_at IS NULL"),
        ),
        Index("ix_outbox_sent", "dedup_key", "sent_at"),
        Index("ix_outbox_due", "sent_at", "failed_at", "due_at"),
    )
    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    account_id: Mapped[str] = of_account()
    site_id: Mapped[str | None] = mapped_column(ForeignKey("sites.id", ondelete="CASCADE"))
    member_id: Mapped[str] = mapped_column(ForeignKey("members.id", ondelete="CASCADE"))
    contact_id: Mapped[str | None] = mapped_column(ForeignKey("contacts.id", ondelete="CASCADE"))  # None: a notice
    channel: Mapped[str] = mapped_column(String(16))  # email, sms, webhook
    kind: Mapped[str] = mapped_column(String(16))  # warnings, digest, notice
    dedup_key: Mapped[str] = mapped_column(String(200))
    body: Mapped[dict[str, Any]]  # what it tells: ids, no text; {} until it is sent for the first time
    created_at: Mapped[datetime]
    due_at: Mapped[datetime]
    expires_at: Mapped[datetime]  # given up when it could not be sent until then
    attempts: Mapped[int] = mapped_column(default=0)
    claimed_until: Mapped[datetime | None]  # a lease: two backends never send the same message at once
    sent_at: Mapped[datetime | None]
    failed_at: Mapped[datetime | None]
    last_error: Mapped[str | None] = mapped_column(String(500))
    delivery: Mapped[str | None] = mapped_column(String(16))  # what the gateway said later: delivered, failed, …
    delivery_at: Mapped[datetime | None]
