"""Sites, and what lets programs in: enrolment codes and tokens."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from backend.registry.base import Base, of_account


class Site(Base):
    """One farm: one agent, one pseudonym key (which stays there)."""

    __tablename__ = "sites"
    __table_args__ = (UniqueConstraint("account_id", "name"),)
    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    account_id: Mapped[str] = of_account()
    name: Mapped[str] = mapped_column(String(200))
    lan_url: Mapped[str | None] = mapped_column(String(300))  # of the agent's on-site page, for links
    time_zone: Mapped[str] = mapped_column(String(64), default="UTC")  # whose days are counted
    tariff_per_kwh: Mapped[float | None]  # what a kWh costs, in the currency
    currency: Mapped[str | None] = mapped_column(String(3))  # ISO 4217
    paused_at: Mapped[datetime | None]
    last_batch_at: Mapped[datetime | None]  # when one arrived, by our clock
    created_at: Mapped[datetime]


class EnrolmentCode(Base):
    """A one-time code that makes an agent the agent of a site."""

    __tablename__ = "enrolment_codes"
    code_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    account_id: Mapped[str] = of_account()
    site_id: Mapped[str] = mapped_column(ForeignKey("sites.id", ondelete="CASCADE"))
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]


class Token(Base):
    """A bearer token; only its SHA-256 is kept (256 random bits need no slow hash)."""

    __tablename__ = "tokens"
    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    account_id: Mapped[str] = of_account()
    # Who made it; it goes with them, and may no more than they may.
    member_id: Mapped[str | None] = mapped_column(ForeignKey("members.id", ondelete="CASCADE"))
    kind: Mapped[str] = mapped_column(String(16))  # agent; or its scope: read, operate, manage
    site_id: Mapped[str | None] = mapped_column(ForeignKey("sites.id", ondelete="CASCADE"))
    label: Mapped[str] = mapped_column(String(200))
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
