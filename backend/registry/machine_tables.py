"""Machines: those that were heard of, those that a member declares, those that are paused."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from backend.registry.base import Base, of_account


class KnownMachine(Base):
    """A machine of which readings came, and what the rules remember of it. Forgotten when it is gone for long."""

    __tablename__ = "known_machines"
    account_id: Mapped[str] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"), primary_key=True)
    site_id: Mapped[str] = mapped_column(ForeignKey("sites.id", ondelete="CASCADE"), primary_key=True)
    machine: Mapped[str] = mapped_column(String(32), primary_key=True)
    make: Mapped[str | None] = mapped_column(String(64))
    model: Mapped[str | None] = mapped_column(String(64))
    first_at: Mapped[datetime]  # its first reading
    seen_at: Mapped[datetime]  # it answered
    at: Mapped[datetime]  # its last reading; not behind by more than an hour
    memory: Mapped[dict[str, Any]]  # backend.warnings.known.Known, as JSON


class DeclaredMachines(Base):
    """So many machines of one model that a member says are at a site."""

    __tablename__ = "declared_machines"
    account_id: Mapped[str] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    site_id: Mapped[str] = mapped_column(ForeignKey("sites.id", ondelete="CASCADE"))
    brand: Mapped[str] = mapped_column(String(64))
    category: Mapped[str | None] = mapped_column(String(64))
    model: Mapped[str] = mapped_column(String(64))
    quantity: Mapped[int]
    machines: Mapped[list[str]]  # pseudonyms of some of them
    pool: Mapped[str | None] = mapped_column(String(100))
    tariff: Mapped[str | None] = mapped_column(String(100))  # what a kWh costs
    changed_at: Mapped[datetime]


class PausedMachine(Base):
    """A machine that raises nothing until somebody resumes it."""

    __tablename__ = "paused_machines"
    site_id: Mapped[str] = mapped_column(ForeignKey("sites.id", ondelete="CASCADE"), primary_key=True)
    machine: Mapped[str] = mapped_column(String(32), primary_key=True)
    account_id: Mapped[str] = of_account()
    paused_at: Mapped[datetime]
