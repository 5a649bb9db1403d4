"""Accounts and the people who may see them: members, and the service's staff under grants."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, String, UniqueConstraint, false
from sqlalchemy.orm import Mapped, mapped_column

from backend.registry.base import Base, of_account
from backend.registry.sealed import Sealed


class Account(Base):
    """A customer."""

    __tablename__ = "accounts"
    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    name: Mapped[str] = mapped_column(String(200), unique=True)
    region: Mapped[str] = mapped_column(String(16))
    created_at: Mapped[datetime]
    activated_at: Mapped[datetime | None]  # None: registered, and not all of it verified yet
    requires_second_factor: Mapped[bool] = mapped_column(default=False, server_default=false())


class Member(Base):
    """A person who belongs to an account, with the contacts that warnings go to."""

    __tablename__ = "members"
    __table_args__ = (UniqueConstraint("account_id", "email_index"),)
    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    account_id: Mapped[str] = of_account()
    role: Mapped[str] = mapped_column(String(16))  # owner, manager, operator, viewer
    email: Mapped[str] = mapped_column(Sealed("email"))
    email_index: Mapped[str] = mapped_column(String(64))  # what the address is looked up by
    phone: Mapped[str | None] = mapped_column(Sealed("phone"))  # E.164
    language: Mapped[str] = mapped_column(String(8), default="en")
    email_verified_at: Mapped[datetime | None]
    phone_verified_at: Mapped[datetime | None]
    email_failed_at: Mapped[datetime | None]  # the mail server said for good that there is no such address
    phone_failed_at: Mapped[datetime | None]
    age_group: Mapped[str | None] = mapped_column(String(16))  # 14_or_over, under_18; all that is kept of a birth date
    guardian_confirmed_at: Mapped[datetime | None]
    created_at: Mapped[datetime]


class Staff(Base):
    """A person who works for the service."""

    __tablename__ = "staff"
    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    role: Mapped[str] = mapped_column(String(16))  # admin, support, auditor
    email: Mapped[str] = mapped_column(Sealed("email"))
    email_index: Mapped[str] = mapped_column(String(64), unique=True)
    created_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]


class Grant(Base):
    """That one of the staff may see an account's personal data: why, and until when. It ends by itself."""

    __tablename__ = "grants"
    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    staff_id: Mapped[str] = mapped_column(ForeignKey("staff.id", ondelete="CASCADE"), index=True)
    account_id: Mapped[str] = of_account()
    reason: Mapped[str] = mapped_column(String(500))
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime]
