"""What a kWh costs at a site, and in which time zone its days are counted."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("sites") as table:
        table.add_column(sa.Column("time_zone", sa.String(length=64), nullable=False, server_default="UTC"))
        table.add_column(sa.Column("tariff_per_kwh", sa.Double(), nullable=True))
        table.add_column(sa.Column("currency", sa.String(length=3), nullable=True))
    with op.batch_alter_table("sites") as table:
        table.alter_column("time_zone", server_default=None)


def downgrade() -> None:
    with op.batch_alter_table("sites") as table:
        table.drop_column("currency")
        table.drop_column("tariff_per_kwh")
        table.drop_column("time_zone")
