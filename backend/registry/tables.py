"""The registry's tables. Alembic's revisions make them; a test proves that both say the same.

Times are UTC and aware on the way in and out (`UtcDateTime`). Secrets are stored as hashes, contacts are sealed
(`Sealed`). Each row that belongs to an account carries it, and every query names it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, ClassVar

from sqlalchemy import (
    JSON,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    MetaData,
    String,
    TypeDecorator,
    UniqueConstraint,
    false,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from backend.registry.sealing import Sealed


class UtcDateTime(TypeDecorator[datetime]):
    """Aware UTC in Python on every database (SQLite would hand back naive times)."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a zone: pass an aware datetime")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None or value.tzinfo is not None:
            return value
        return value.replace(tzinfo=UTC)


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_label)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {datetime: UtcDateTime, dict[str, Any]: JSON, list[str]: JSON}


def _account() -> Mapped[str]:
    return mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"), index=True)


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
    account_id: Mapped[str] = _account()
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


class Site(Base):
    """One farm: one agent, one pseudonym key (which stays there)."""

    __tablename__ = "sites"
    __table_args__ = (UniqueConstraint("account_id", "name"),)
    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    account_id: Mapped[str] = _account()
    name: Mapped[str] = mapped_column(String(200))
    lan_url: Mapped[str | None] = mapped_column(String(300))  # of the agent's on-site page, for links
    paused_at: Mapped[datetime | None]
    last_batch_at: Mapped[datetime | None]  # when one arrived, by our clock
    created_at: Mapped[datetime]


class EnrolmentCode(Base):
    """A one-time code that makes an agent the agent of a site."""

    __tablename__ = "enrolment_codes"
    code_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    account_id: Mapped[str] = _account()
    site_id: Mapped[str] = mapped_column(ForeignKey("sites.id", ondelete="CASCADE"))
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]


class Token(Base):
    """A bearer token; only its SHA-256 is kept (256 random bits need no slow hash)."""

    __tablename__ = "tokens"
    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    account_id: Mapped[str] = _account()
    # Who made it; it goes with them, and may no more than they may.
    member_id: Mapped[str | None] = mapped_column(ForeignKey("members.id", ondelete="CASCADE"))
    kind: Mapped[str] = mapped_column(String(16))  # agent; or its scope: read, operate, manage
    site_id: Mapped[str | None] = mapped_column(ForeignKey("sites.id", ondelete="CASCADE"))
    label: Mapped[str] = mapped_column(String(200))
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


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


class SiteWatch(Base):
    """What the rules remember of a site from one batch to the next; each batch writes it."""

    __tablename__ = "site_watches"
    site_id: Mapped[str] = mapped_column(ForeignKey("sites.id", ondelete="CASCADE"), primary_key=True)
    account_id: Mapped[str] = _account()
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


class PausedMachine(Base):
    """A machine that raises nothing until somebody resumes it."""

    __tablename__ = "paused_machines"
    site_id: Mapped[str] = mapped_column(ForeignKey("sites.id", ondelete="CASCADE"), primary_key=True)
    machine: Mapped[str] = mapped_column(String(32), primary_key=True)
    account_id: Mapped[str] = _account()
    paused_at: Mapped[datetime]


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


class WarningChange(Base):
    """That a warning became worse or milder, between its firing and its end."""

    __tablename__ = "warning_changes"
    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    warning_id: Mapped[str] = mapped_column(ForeignKey("warnings.id", ondelete="CASCADE"), index=True)
    account_id: Mapped[str] = _account()
    at: Mapped[datetime]
    before: Mapped[str] = mapped_column(String(16))  # severities
    after: Mapped[str] = mapped_column(String(16))
    value: Mapped[float | None]
    threshold: Mapped[float | None]


class WarningReview(Base):
    """That a member asked for a person to look at a warning, and what that person says."""

    __tablename__ = "warning_reviews"
    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    account_id: Mapped[str] = _account()
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
    account_id: Mapped[str] = _account()
    site_id: Mapped[str | None] = mapped_column(ForeignKey("sites.id", ondelete="CASCADE"))  # None: every site
    machine: Mapped[str | None] = mapped_column(String(32))  # None: every machine, and the site's own rules
    rule: Mapped[str | None] = mapped_column(String(32))  # None: every rule
    # Who alone is not told; None: nobody is.
    member_id: Mapped[str | None] = mapped_column(ForeignKey("members.id", ondelete="CASCADE"))
    made_by: Mapped[str | None] = mapped_column(String(64))  # mem_…, tok_…
    reason: Mapped[str | None] = mapped_column(String(500))
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime]


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
    account_id: Mapped[str] = _account()
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
    account_id: Mapped[str] = _account()
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
    account_id: Mapped[str] = _account()
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


class Staff(Base):
    """A person who works for the service."""

    __tablename__ = "staff"
    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    role: Mapped[str] = mapped_column(String(16))  # admin, support, auditor
    email: Mapped[str] = mapped_column(Sealed("email"))
    email_index: Mapped[str] = mapped_column(String(64), unique=True)
    created_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]


class Login(Base):
    """How one person, a member or one of the staff, shows who they are. An e-mail address has one at most."""

    __tablename__ = "logins"
    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    member_id: Mapped[str | None] = mapped_column(ForeignKey("members.id", ondelete="CASCADE"), unique=True)
    staff_id: Mapped[str | None] = mapped_column(ForeignKey("staff.id", ondelete="CASCADE"), unique=True)
    email_index: Mapped[str] = mapped_column(String(64), unique=True)
    password_hash: Mapped[str] = mapped_column(String(200))
    totp_secret: Mapped[str | None] = mapped_column(Sealed("totp"))
    totp_confirmed_at: Mapped[datetime | None]  # None: not asked for
    totp_step: Mapped[int] = mapped_column(default=0)  # the last one used: a code is good once
    created_at: Mapped[datetime]
    changed_at: Mapped[datetime]  # the password


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
    account_id: Mapped[str] = _account()
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


class Throttle(Base):
    """Failed log-ins in a row with an address, whether anybody has it or not."""

    __tablename__ = "throttles"
    key: Mapped[str] = mapped_column(String(64), primary_key=True)  # the address's blind index
    failures: Mapped[int]
    blocked_until: Mapped[datetime | None]
    changed_at: Mapped[datetime] = mapped_column(index=True)


class Grant(Base):
    """That one of the staff may see an account's personal data: why, and until when. It ends by itself."""

    __tablename__ = "grants"
    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    staff_id: Mapped[str] = mapped_column(ForeignKey("staff.id", ondelete="CASCADE"), index=True)
    account_id: Mapped[str] = _account()
    reason: Mapped[str] = mapped_column(String(500))
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime]
