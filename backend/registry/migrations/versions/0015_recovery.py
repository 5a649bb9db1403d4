"""Recovery codes, devices that people logged in from, tries that all backends count together."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def _of_login(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(["login_id"], ["logins.id"], name=op.f(f"fk_{table}_login_id"), ondelete="CASCADE")


def upgrade() -> None:
    op.create_table(
        "recovery_codes",
        sa.Column("code_hash", sa.String(length=64), nullable=False),
        sa.Column("login_id", sa.String(length=64), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        _of_login("recovery_codes"),
        sa.PrimaryKeyConstraint("code_hash", name=op.f("pk_recovery_codes")),
    )
    op.create_index(op.f("ix_recovery_codes_login_id"), "recovery_codes", ["login_id"], unique=False)
    op.create_table(
        "known_devices",
        sa.Column("login_id", sa.String(length=64), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        _of_login("known_devices"),
        sa.PrimaryKeyConstraint("login_id", "fingerprint", name=op.f("pk_known_devices")),
    )
    op.create_index(op.f("ix_known_devices_seen_at"), "known_devices", ["seen_at"], unique=False)
    op.create_table(
        "tries",
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_tries")),
    )
    op.create_index(op.f("ix_tries_ends_at"), "tries", ["ends_at"], unique=False)


def downgrade() -> None:
    op.drop_table("tries")
    op.drop_table("known_devices")
    op.drop_table("recovery_codes")
