"""Warnings, what became of them, and of which ones nobody is told."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from backend.registry.base import Base, of_account


class Warning(Base):
    """One warning from firing to resolved; history is kept until its window ends."""

    __tablename__ = "warnings"
    __table_args__ = (
        # The database, not our code, says that there is one active warning a rule and machine.
        Index(
            "uq_warnings_active",
            "account_id",
            "site_id",
            "machine",
            "rule",
            unique=True,
            sqlite_where=text("resolved_at IS NULL"),
            postgresql_where=text("resolved_at IS NULL"),
        ),
        Index("ix_warnings_account_started", "account_id", "started_at"),
    )
    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    account_id: Mapped[str] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"))
    site_id: Mapped[str] = mapped_column(ForeignKey("sites.id", ondelete="CASCADE"))
    machine: Mapped[str] = mapped_column(String(32))  # "" for a site's rule
    rule: Mapped[str] = mapped_column(String(32))
    severity: Mapped[str] = mapped_column(String(16))
    model: Mapped[str | None] = mapped_column(String(64))
    value: Mapped[float | None]  # what met the rule, when it fired
    threshold: Mapped[float | None]
    since: Mapped[datetime]  # when the condition began
    started_at: Mapped[datetime]  # when it fired
    decided_at: Mapped[datetime | None]  # by our clock; later than that for what came late
    acknowledged_at: Mapped[datetime | None]  # somebody cares for it: no more reminders
    resolved_at: Mapped[datetime | None]
    resolution: Mapped[str | None] = mapped_column(String(16))  # recovered, paused, switched_off, new_key


class WarningChange(Base):
    """That a warning became worse or milder, between its firing and its end."""

    __tablename__ = "warning_changes"
    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    warning_id: Mapped[str] = mapped_column(ForeignKey("warnings.id", ondelete="CASCADE"), index=True)
    account_id: Mapped[str] = of_account()
    at: Mapped[datetime]
    before: Mapped[str] = mapped_column(String(16))  # severities
    after: Mapped[str] = mapped_column(String(16))
    value: Mapped[float | None]
    threshold: Mapped[float | None]


class WarningReview(Base):
    """That a member asked for a person to look at a warning, and what that person says."""

    __tablename__ = "warning_reviews"
    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    account_id: Mapped[str] = of_account()
    warning_id: Mapped[str] = mapped_column(ForeignKey("warnings.id", ondelete="CASCADE"), index=True)
    member_id: Mapped[str] = mapped_column(ForeignKey("members.id", ondelete="CASCADE"))
    reason: Mapped[str] = mapped_column(String(2_000))
    asked_at: Mapped[datetime]
    answered_at: Mapped[datetime | None]
    answered_by: Mapped[str | None] = mapped_column(String(64))  # of the staff
    answer: Mapped[str | None] = mapped_column(String(2_000))


class Silence(Base):
    """Until it ends, nobody is told of what it matches; the warnings themselves go on. A maintenance window too."""

    __tablename__ = "silences"
    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    account_id: Mapped[str] = of_account()
    site_id: Mapped[str | None] = mapped_column(ForeignKey("sites.id", ondelete="CASCADE"))  # None: every site
    machine: Mapped[str | None] = mapped_column(String(32))  # None: every machine, and the site's own rules
    rule: Mapped[str | None] = mapped_column(String(32))  # None: every rule
    # Who alone is not told; None: nobody is.
    member_id: Mapped[str | None] = mapped_column(ForeignKey("members.id", ondelete="CASCADE"))
    made_by: Mapped[str | None] = mapped_column(String(64))  # mem_…, tok_…
    reason: Mapped[str | None] = mapped_column(String(500))
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime]
