"""Contacts of their own, beside those of members; what became of a message after it left."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_CONTACTS = sa.table(
    "contacts",
    *(
        sa.column(name)
        for name in ("id", "account_id", "member_id", "channel", "label", "severity", "after_min", "time_zone")
    ),
    sa.column("sites", sa.JSON()),
    sa.column("critical_passes", sa.Boolean()),
    sa.column("digests"),
    sa.column("created_at", sa.DateTime(timezone=True)),
)
_MEMBERS = sa.table(
    "members",
    sa.column("id"),
    sa.column("account_id"),
    sa.column("phone"),
    sa.column("created_at", sa.DateTime(timezone=True)),
)
_OWN = (
    "UPDATE {table} SET contact_id = (SELECT contacts.id FROM contacts WHERE contacts.member_id = {table}.member_id "
    "AND contacts.channel = {table}.channel)"
)


def upgrade() -> None:
    op.create_table(
        "contacts",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("account_id", sa.String(length=64), nullable=False),
        sa.Column("member_id", sa.String(length=64), nullable=False),
        sa.Column("channel", sa.String(length=16), nullable=False),
        sa.Column("label", sa.String(length=100), nullable=False),
        sa.Column("address", sa.String(length=512), nullable=True),
        sa.Column("address_index", sa.String(length=64), nullable=True),
        sa.Column("secret", sa.String(length=512), nullable=True),
        sa.Column("verified_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("failed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("failure", sa.String(length=200), nullable=True),
        sa.Column("severity", sa.String(length=16), nullable=False),
        sa.Column("sites", sa.JSON(), nullable=False),
        sa.Column("after_min", sa.Integer(), nullable=False),
        sa.Column("quiet_from", sa.String(length=5), nullable=True),
        sa.Column("quiet_to", sa.String(length=5), nullable=True),
        sa.Column("time_zone", sa.String(length=64), nullable=False),
        sa.Column("critical_passes", sa.Boolean(), nullable=False),
        sa.Column("language", sa.String(length=8), nullable=True),
        sa.Column("digests", sa.String(length=8), nullable=False),
        sa.Column("digest_due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name=op.f("fk_contacts_account_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["member_id"], ["members.id"], name=op.f("fk_contacts_member_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_contacts")),
        sa.UniqueConstraint("account_id", "channel", "address_index", name=op.f("uq_contacts_account_id")),
    )
    op.create_index(op.f("ix_contacts_account_id"), "contacts", ["account_id"], unique=False)
    op.create_index(
        "uq_contacts_own",
        "contacts",
        ["member_id", "channel"],
        unique=True,
        sqlite_where=sa.text("address IS NULL"),
        postgresql_where=sa.text("address IS NULL"),
    )
    _add_own()
    with op.batch_alter_table("outbox") as batch:
        batch.add_column(sa.Column("contact_id", sa.String(length=64), nullable=True))
        batch.add_column(sa.Column("delivery", sa.String(length=16), nullable=True))
        batch.add_column(sa.Column("delivery_at", sa.DateTime(timezone=True), nullable=True))
        batch.create_foreign_key(op.f("fk_outbox_contact_id"), "contacts", ["contact_id"], ["id"], ondelete="CASCADE")
    op.execute(_OWN.format(table="outbox") + " WHERE kind = 'warnings'")
    op.drop_index("ix_tellings_open", table_name="tellings")
    op.add_column("tellings", sa.Column("contact_id", sa.String(length=64), nullable=True))
    op.execute(_OWN.format(table="tellings"))
    with op.batch_alter_table("tellings") as batch:
        batch.drop_constraint(op.f("pk_tellings"), type_="primary")
        batch.alter_column("contact_id", existing_type=sa.String(length=64), nullable=False)
        batch.create_primary_key(op.f("pk_tellings"), ["warning_id", "contact_id"])
        batch.create_foreign_key(op.f("fk_tellings_contact_id"), "contacts", ["contact_id"], ["id"], ondelete="CASCADE")
    op.create_index("ix_tellings_open", "tellings", ["contact_id", "over_message_id"], unique=False)


def downgrade() -> None:
    """Contacts that are not a member's own had no place before: they go, with what they were told."""
    others = "(SELECT id FROM contacts WHERE address IS NOT NULL)"
    op.execute(f"DELETE FROM tellings WHERE contact_id IN {others}")  # noqa: S608 (words of ours)
    op.execute(f"DELETE FROM outbox WHERE contact_id IN {others}")  # noqa: S608
    op.drop_index("ix_tellings_open", table_name="tellings")
    with op.batch_alter_table("tellings") as batch:
        batch.drop_constraint(op.f("fk_tellings_contact_id"), type_="foreignkey")
        batch.drop_constraint(op.f("pk_tellings"), type_="primary")
        batch.drop_column("contact_id")
        batch.create_primary_key(op.f("pk_tellings"), ["warning_id", "member_id", "channel"])
    op.create_index("ix_tellings_open", "tellings", ["member_id", "channel", "over_message_id"], unique=False)
    with op.batch_alter_table("outbox") as batch:
        batch.drop_constraint(op.f("fk_outbox_contact_id"), type_="foreignkey")
        batch.drop_column("delivery_at")
        batch.drop_column("delivery")
        batch.drop_column("contact_id")
    op.drop_index(
        "uq_contacts_own",
        table_name="contacts",
        sqlite_where=sa.text("address IS NULL"),
        postgresql_where=sa.text("address IS NULL"),
    )
    op.drop_index(op.f("ix_contacts_account_id"), table_name="contacts")
    op.drop_table("contacts")


def _add_own() -> None:
    """What members had before they could choose: warnings by mail, what is critical by text, too."""
    connection = op.get_bind()
    for row in connection.execute(sa.select(_MEMBERS)).all():
        channels = [("email", "warning", "daily"), *([("sms", "critical", "none")] if row.phone is not None else [])]
        for channel, severity, digests in channels:
            connection.execute(
                _CONTACTS.insert().values(
                    id=f"ctc_{row.id.removeprefix('mem_')}_{channel}",
                    account_id=row.account_id,
                    member_id=row.id,
                    channel=channel,
                    label="",
                    severity=severity,
                    sites=[],
                    after_min=0,
                    time_zone="UTC",
                    critical_passes=True,
                    digests=digests,
                    created_at=row.created_at,
                )
            )
