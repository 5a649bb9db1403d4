"""Accounts that people open themselves: log-ins, sessions, staff; contacts sealed."""

from __future__ import annotations

from collections.abc import Callable

import sqlalchemy as sa
from alembic import op

from backend.registry.sealed import keys_of
from backend.registry.sealing import Keys

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_MEMBERS = sa.table("members", sa.column("id"), sa.column("email"), sa.column("email_index"), sa.column("phone"))
_Contacts = tuple[str, str | None, str | None]  # email, its index, phone


def _rewrite(change: Callable[[Keys, str, str | None], _Contacts]) -> None:
    """Write the contacts of each member anew. Keys are asked for only when there are any."""
    connection = op.get_bind()
    for row in connection.execute(sa.select(_MEMBERS)).all():
        email, index, phone = change(keys_of(connection.dialect), row.email, row.phone)
        connection.execute(
            _MEMBERS.update().where(_MEMBERS.c.id == row.id).values(email=email, email_index=index, phone=phone)
        )


def _seal(keys: Keys, email: str, phone: str | None) -> _Contacts:
    return keys.seal(email, "email"), keys.index(email), None if phone is None else keys.seal(phone, "phone")


def _open(keys: Keys, email: str, phone: str | None) -> _Contacts:
    return keys.open(email, "email"), None, None if phone is None else keys.open(phone, "phone")


def upgrade() -> None:
    op.create_table(
        "staff",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("email", sa.String(length=512), nullable=False),
        sa.Column("email_index", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_staff")),
        sa.UniqueConstraint("email_index", name=op.f("uq_staff_email_index")),
    )
    op.create_table(
        "throttles",
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("blocked_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_throttles")),
    )
    op.create_index(op.f("ix_throttles_changed_at"), "throttles", ["changed_at"], unique=False)

    op.create_table(
        "grants",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("staff_id", sa.String(length=64), nullable=False),
        sa.Column("account_id", sa.String(length=64), nullable=False),
        sa.Column("reason", sa.String(length=500), nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_grants_account_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["staff_id"], ["staff.id"], name=op.f("fk_grants_staff_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_grants")),
    )
    op.create_index(op.f("ix_grants_account_id"), "grants", ["account_id"], unique=False)
    op.create_index(op.f("ix_grants_staff_id"), "grants", ["staff_id"], unique=False)

    op.create_table(
        "challenges",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("purpose", sa.String(length=16), nullable=False),
        sa.Column("account_id", sa.String(length=64), nullable=True),
        sa.Column("member_id", sa.String(length=64), nullable=True),
        sa.Column("staff_id", sa.String(length=64), nullable=True),
        sa.Column("contact", sa.String(length=512), nullable=True),
        sa.Column("role", sa.String(length=16), nullable=True),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name=op.f("fk_challenges_account_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["member_id"], ["members.id"], name=op.f("fk_challenges_member_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["staff_id"], ["staff.id"], name=op.f("fk_challenges_staff_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_challenges")),
    )
    op.create_index(op.f("ix_challenges_account_id"), "challenges", ["account_id"], unique=False)
    op.create_index(op.f("ix_challenges_expires_at"), "challenges", ["expires_at"], unique=False)
    op.create_index(op.f("ix_challenges_member_id"), "challenges", ["member_id"], unique=False)

    op.create_table(
        "logins",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("member_id", sa.String(length=64), nullable=True),
        sa.Column("staff_id", sa.String(length=64), nullable=True),
        sa.Column("email_index", sa.String(length=64), nullable=False),
        sa.Column("password_hash", sa.String(length=200), nullable=False),
        sa.Column("totp_secret", sa.String(length=512), nullable=True),
        sa.Column("totp_confirmed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("totp_step", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["member_id"], ["members.id"], name=op.f("fk_logins_member_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["staff_id"], ["staff.id"], name=op.f("fk_logins_staff_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_logins")),
        sa.UniqueConstraint("email_index", name=op.f("uq_logins_email_index")),
        sa.UniqueConstraint("member_id", name=op.f("uq_logins_member_id")),
        sa.UniqueConstraint("staff_id", name=op.f("uq_logins_staff_id")),
    )
    op.create_table(
        "registrations",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("secret_hash", sa.String(length=64), nullable=False),
        sa.Column("account_id", sa.String(length=64), nullable=False),
        sa.Column("member_id", sa.String(length=64), nullable=False),
        sa.Column("password_hash", sa.String(length=200), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name=op.f("fk_registrations_account_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["member_id"], ["members.id"], name=op.f("fk_registrations_member_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_registrations")),
        sa.UniqueConstraint("secret_hash", name=op.f("uq_registrations_secret_hash")),
    )
    op.create_index(op.f("ix_registrations_account_id"), "registrations", ["account_id"], unique=False)
    op.create_index(op.f("ix_registrations_expires_at"), "registrations", ["expires_at"], unique=False)

    op.create_table(
        "sessions",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("login_id", sa.String(length=64), nullable=False),
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("has_second_factor", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["login_id"], ["logins.id"], name=op.f("fk_sessions_login_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sessions")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_sessions_token_hash")),
    )
    op.create_index(op.f("ix_sessions_expires_at"), "sessions", ["expires_at"], unique=False)
    op.create_index(op.f("ix_sessions_login_id"), "sessions", ["login_id"], unique=False)

    op.add_column("accounts", sa.Column("activated_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column(
        "accounts", sa.Column("requires_second_factor", sa.Boolean(), nullable=False, server_default=sa.false())
    )
    op.execute("UPDATE accounts SET activated_at = created_at")  # whoever made them vouched for them
    with op.batch_alter_table("members") as batch:
        batch.add_column(sa.Column("email_index", sa.String(length=64), nullable=True))
        batch.add_column(sa.Column("age_group", sa.String(length=16), nullable=True))
        batch.add_column(sa.Column("guardian_confirmed_at", sa.DateTime(timezone=True), nullable=True))
        batch.alter_column("email", existing_type=sa.String(length=254), type_=sa.String(length=512))
        batch.alter_column("phone", existing_type=sa.String(length=20), type_=sa.String(length=512))
        batch.drop_constraint(op.f("uq_members_account_id"), type_="unique")
    _rewrite(_seal)
    with op.batch_alter_table("members") as batch:
        batch.alter_column("email_index", existing_type=sa.String(length=64), nullable=False)
        batch.create_unique_constraint(op.f("uq_members_account_id"), ["account_id", "email_index"])
    with op.batch_alter_table("tokens") as batch:
        batch.add_column(sa.Column("member_id", sa.String(length=64), nullable=True))
        batch.create_foreign_key(op.f("fk_tokens_member_id"), "members", ["member_id"], ["id"], ondelete="CASCADE")


def downgrade() -> None:
    with op.batch_alter_table("tokens") as batch:
        batch.drop_constraint(op.f("fk_tokens_member_id"), type_="foreignkey")
        batch.drop_column("member_id")

    with op.batch_alter_table("members") as batch:
        batch.drop_constraint(op.f("uq_members_account_id"), type_="unique")
        batch.alter_column("email_index", existing_type=sa.String(length=64), nullable=True)
    _rewrite(_open)
    with op.batch_alter_table("members") as batch:
        batch.alter_column("phone", existing_type=sa.String(length=512), type_=sa.String(length=20))
        batch.alter_column("email", existing_type=sa.String(length=512), type_=sa.String(length=254))
        batch.drop_column("guardian_confirmed_at")
        batch.drop_column("age_group")
        batch.drop_column("email_index")
        batch.create_unique_constraint(op.f("uq_members_account_id"), ["account_id", "email"])
    op.drop_column("accounts", "requires_second_factor")
    op.drop_column("accounts", "activated_at")

    op.drop_index(op.f("ix_sessions_login_id"), table_name="sessions")
    op.drop_index(op.f("ix_sessions_expires_at"), table_name="sessions")

    op.drop_table("sessions")
    op.drop_index(op.f("ix_registrations_expires_at"), table_name="registrations")
    op.drop_index(op.f("ix_registrations_account_id"), table_name="registrations")

    op.drop_table("registrations")
    op.drop_table("logins")
    op.drop_index(op.f("ix_challenges_member_id"), table_name="challenges")
    op.drop_index(op.f("ix_challenges_expires_at"), table_name="challenges")
    op.drop_index(op.f("ix_challenges_account_id"), table_name="challenges")

    op.drop_table("challenges")
    op.drop_index(op.f("ix_grants_staff_id"), table_name="grants")
    op.drop_index(op.f("ix_grants_account_id"), table_name="grants")

    op.drop_table("grants")
    op.drop_index(op.f("ix_throttles_changed_at"), table_name="throttles")

    op.drop_table("throttles")
    op.drop_table("staff")
