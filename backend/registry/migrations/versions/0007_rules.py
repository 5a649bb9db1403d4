"""Rules that people change, with their history; machines that are known and declared; reviews of warnings."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def _account() -> sa.Column[str]:
    return sa.Column("account_id", sa.String(length=64), nullable=False)


def _of_account(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["account_id"], ["accounts.id"], name=op.f(f"fk_{table}_account_id"), ondelete="CASCADE"
    )


def _of_site(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(["site_id"], ["sites.id"], name=op.f(f"fk_{table}_site_id"), ondelete="CASCADE")


def _of_warning(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["warning_id"], ["warnings.id"], name=op.f(f"fk_{table}_warning_id"), ondelete="CASCADE"
    )


def upgrade() -> None:
    op.create_table(
        "known_machines",
        _account(),
        sa.Column("site_id", sa.String(length=64), nullable=False),
        sa.Column("machine", sa.String(length=32), nullable=False),
        sa.Column("make", sa.String(length=64), nullable=True),
        sa.Column("model", sa.String(length=64), nullable=True),
        sa.Column("first_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("memory", sa.JSON(), nullable=False),
        _of_account("known_machines"),
        _of_site("known_machines"),
        sa.PrimaryKeyConstraint("account_id", "site_id", "machine", name=op.f("pk_known_machines")),
    )
    op.create_table(
        "declared_machines",
        _account(),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("site_id", sa.String(length=64), nullable=False),
        sa.Column("brand", sa.String(length=64), nullable=False),
        sa.Column("category", sa.String(length=64), nullable=True),
        sa.Column("model", sa.String(length=64), nullable=False),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.Column("machines", sa.JSON(), nullable=False),
        sa.Column("pool", sa.String(length=100), nullable=True),
        sa.Column("tariff", sa.String(length=100), nullable=True),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        _of_account("declared_machines"),
        _of_site("declared_machines"),
        sa.PrimaryKeyConstraint("account_id", "position", name=op.f("pk_declared_machines")),
    )
    op.create_table(
        "rule_changes",
        sa.Column("id", sa.String(length=64), nullable=False),
        _account(),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_by", sa.String(length=64), nullable=False),
        sa.Column("rule", sa.String(length=32), nullable=False),
        sa.Column("site_id", sa.String(length=64), nullable=False),
        sa.Column("model", sa.String(length=64), nullable=False),
        sa.Column("machine", sa.String(length=32), nullable=False),
        sa.Column("before", sa.JSON(), nullable=False),
        sa.Column("after", sa.JSON(), nullable=False),
        _of_account("rule_changes"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rule_changes")),
    )
    op.create_index("ix_rule_changes_account_at", "rule_changes", ["account_id", "at"], unique=False)
    op.create_table(
        "warning_changes",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("warning_id", sa.String(length=64), nullable=False),
        _account(),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("before", sa.String(length=16), nullable=False),
        sa.Column("after", sa.String(length=16), nullable=False),
        sa.Column("value", sa.Double(), nullable=True),
        sa.Column("threshold", sa.Double(), nullable=True),
        _of_account("warning_changes"),
        _of_warning("warning_changes"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_warning_changes")),
    )
    op.create_index(op.f("ix_warning_changes_warning_id"), "warning_changes", ["warning_id"], unique=False)
    op.create_index(op.f("ix_warning_changes_account_id"), "warning_changes", ["account_id"], unique=False)
    op.create_table(
        "warning_reviews",
        sa.Column("id", sa.String(length=64), nullable=False),
        _account(),
        sa.Column("warning_id", sa.String(length=64), nullable=False),
        sa.Column("member_id", sa.String(length=64), nullable=False),
        sa.Column("reason", sa.String(length=2000), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("answered_by", sa.String(length=64), nullable=True),
        sa.Column("answer", sa.String(length=2000), nullable=True),
        _of_account("warning_reviews"),
        _of_warning("warning_reviews"),
        sa.ForeignKeyConstraint(
            ["member_id"], ["members.id"], name=op.f("fk_warning_reviews_member_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_warning_reviews")),
    )
    op.create_index(op.f("ix_warning_reviews_warning_id"), "warning_reviews", ["warning_id"], unique=False)
    op.create_index(op.f("ix_warning_reviews_account_id"), "warning_reviews", ["account_id"], unique=False)
    op.add_column("warnings", sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True))
    with op.batch_alter_table("silences", schema=None) as batch_op:
        batch_op.add_column(sa.Column("member_id", sa.String(length=64), nullable=True))
        batch_op.add_column(sa.Column("made_by", sa.String(length=64), nullable=True))
        batch_op.add_column(sa.Column("reason", sa.String(length=500), nullable=True))
        batch_op.create_foreign_key(
            batch_op.f("fk_silences_member_id"), "members", ["member_id"], ["id"], ondelete="CASCADE"
        )


def downgrade() -> None:
    with op.batch_alter_table("silences", schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f("fk_silences_member_id"), type_="foreignkey")
        batch_op.drop_column("reason")
        batch_op.drop_column("made_by")
        batch_op.drop_column("member_id")
    op.drop_column("warnings", "decided_at")
    op.drop_table("warning_reviews")
    op.drop_table("warning_changes")
    op.drop_table("rule_changes")
    op.drop_table("declared_machines")
    op.drop_table("known_machines")
