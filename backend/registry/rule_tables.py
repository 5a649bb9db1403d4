"""Where the rules stand, what they remember, and which numbers of theirs an account changed."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from backend.registry.base import Base, of_account


class JudgedBatch(Base):
    """A batch that the rules have seen, so that a batch sent again changes no state."""

    __tablename__ = "judged_batches"
    account_id: Mapped[str] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"), primary_key=True)
    batch_id: Mapped[str] = mapped_column(String(36), primary_key=True)
    judged_at: Mapped[datetime] = mapped_column(index=True)


class RuleState(Base):
    """Where a rule stands for one machine (or a site: machine = ""), when it is not plainly inactive."""

    __tablename__ = "rule_states"
    account_id: Mapped[str] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"), primary_key=True)
    site_id: Mapped[str] = mapped_column(ForeignKey("sites.id", ondelete="CASCADE"), primary_key=True)
    machine: Mapped[str] = mapped_column(String(32), primary_key=True)
    rule: Mapped[str] = mapped_column(String(32), primary_key=True)
    state: Mapped[dict[str, Any]]  # backend.warnings.step.State, as JSON
    updated_at: Mapped[datetime]


class SiteWatch(Base):
    """What the rules remember of a site from one batch to the next; each batch writes it."""

    __tablename__ = "site_watches"
    site_id: Mapped[str] = mapped_column(ForeignKey("sites.id", ondelete="CASCADE"), primary_key=True)
    account_id: Mapped[str] = of_account()
    version: Mapped[int]  # counts changes; who remembers another one has to read the states anew
    judged_to: Mapped[datetime | None]  # the newest reading's time
    interval_s: Mapped[float | None]  # between the site's readings, as seen
    behind_since: Mapped[datetime | None]  # by our clock: since then the agent sends a backlog


class Listening(Base):
    """When the service was there to hear from agents; one row. Silence is counted from `since` at the earliest."""

    __tablename__ = "listening"
    id: Mapped[int] = mapped_column(primary_key=True)
    since: Mapped[datetime]
    until: Mapped[datetime]


class RuleOverride(Base):
    """Numbers of a rule that an account changed, and where: "" is everywhere."""

    __tablename__ = "rule_overrides"
    account_id: Mapped[str] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"), primary_key=True)
    rule: Mapped[str] = mapped_column(String(32), primary_key=True)
    site_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    model: Mapped[str] = mapped_column(String(64), primary_key=True)
    machine: Mapped[str] = mapped_column(String(32), primary_key=True)
    numbers: Mapped[dict[str, Any]]  # backend.warnings.overrides.Numbers
    changed_at: Mapped[datetime]


class RuleChange(Base):
    """Who changed a rule's numbers, when, from what to what; "" is everywhere, no numbers are the weaker sources'."""

    __tablename__ = "rule_changes"
    __table_args__ = (Index("ix_rule_changes_account_at", "account_id", "at"),)
    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    account_id: Mapped[str] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"))
    at: Mapped[datetime]
    changed_by: Mapped[str] = mapped_column(String(64))  # mem_…, tok_…
    rule: Mapped[str] = mapped_column(String(32))
    site_id: Mapped[str] = mapped_column(String(64))
    model: Mapped[str] = mapped_column(String(64))
    machine: Mapped[str] = mapped_column(String(32))
    before: Mapped[dict[str, Any]]
    after: Mapped[dict[str, Any]]
