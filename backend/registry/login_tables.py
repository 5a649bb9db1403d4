"""How people show who they are: passwords, sessions, and what is sent to a contact to be sent back."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from backend.registry.base import Base, of_account
from backend.registry.sealed import Sealed


class Login(Base):
    """How one person, a member or one of the staff, shows who they are. An e-mail address has one at most."""

    __tablename__ = "logins"
    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    # The member's; None for one of the staff.
    account_id: Mapped[str | None] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"), index=True)
    member_id: Mapped[str | None] = mapped_column(ForeignKey("members.id", ondelete="CASCADE"), unique=True)
    staff_id: Mapped[str | None] = mapped_column(ForeignKey("staff.id", ondelete="CASCADE"), unique=True)
    email_index: Mapped[str] = mapped_column(String(64), unique=True)
    password_hash: Mapped[str] = mapped_column(String(200))
    totp_secret: Mapped[str | None] = mapped_column(Sealed("totp"))
    totp_confirmed_at: Mapped[datetime | None]  # None: not asked for
    totp_step: Mapped[int] = mapped_column(default=0)  # the last one used: a code is good once
    created_at: Mapped[datetime]
    changed_at: Mapped[datetime]  # the password


class RecoveryCode(Base):
    """What is typed in place of an authenticator app's code when the phone is lost; each is good once."""

    __tablename__ = "recovery_codes"
    code_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    login_id: Mapped[str] = mapped_column(ForeignKey("logins.id", ondelete="CASCADE"), index=True)
    used_at: Mapped[datetime | None]


class KnownDevice(Base):
    """Where somebody logged in from before: a keyed hash of network and browser, which names neither."""

    __tablename__ = "known_devices"
    login_id: Mapped[str] = mapped_column(ForeignKey("logins.id", ondelete="CASCADE"), primary_key=True)
    fingerprint: Mapped[str] = mapped_column(String(64), primary_key=True)
    seen_at: Mapped[datetime] = mapped_column(index=True)


class LoginSession(Base):
    """A log-in that lasts; only its token's SHA-256 is kept."""

    __tablename__ = "sessions"
    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    login_id: Mapped[str] = mapped_column(ForeignKey("logins.id", ondelete="CASCADE"), index=True)
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    has_second_factor: Mapped[bool]
    created_at: Mapped[datetime]
    seen_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)


class Registration(Base):
    """Somebody who has not shown yet that all contacts are theirs; forgotten after a day."""

    __tablename__ = "registrations"
    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    secret_hash: Mapped[str] = mapped_column(String(64), unique=True)
    account_id: Mapped[str] = of_account()
    member_id: Mapped[str] = mapped_column(ForeignKey("members.id", ondelete="CASCADE"))
    password_hash: Mapped[str] = mapped_column(String(200))
    expires_at: Mapped[datetime] = mapped_column(index=True)


class Challenge(Base):
    """Something sent to a contact that only its owner can send back. The secret itself is kept nowhere."""

    __tablename__ = "challenges"
    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    purpose: Mapped[str] = mapped_column(String(16))  # email, phone, guardian, password, invitation
    account_id: Mapped[str | None] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"), index=True)
    member_id: Mapped[str | None] = mapped_column(ForeignKey("members.id", ondelete="CASCADE"), index=True)
    staff_id: Mapped[str | None] = mapped_column(ForeignKey("staff.id", ondelete="CASCADE"))
    contact: Mapped[str | None] = mapped_column(Sealed("challenge"))  # where it goes, until it is used
    role: Mapped[str | None] = mapped_column(String(16))  # of who is invited
    tries: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    used_at: Mapped[datetime | None]


class Tries(Base):
    """How often one network address tried something, in the window that is open for it; all backends count here."""

    __tablename__ = "tries"
    key: Mapped[str] = mapped_column(String(64), primary_key=True)  # a keyed hash: it names nobody
    ends_at: Mapped[datetime] = mapped_column(index=True)
    count: Mapped[int]


class Throttle(Base):
    """Failed log-ins in a row with an address, whether anybody has it or not."""

    __tablename__ = "throttles"
    key: Mapped[str] = mapped_column(String(64), primary_key=True)  # the address's blind index
    failures: Mapped[int]
    blocked_until: Mapped[datetime | None]
    changed_at: Mapped[datetime] = mapped_column(index=True)
