"""What belongs to an account is sealed with that account's own keys; log-ins say whose they are."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from backend.registry.account_keys import AccountKeys
from backend.registry.sealed import account_keys_of, keys_of
from backend.registry.sealing import Keys

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

_SEALED = {
    "members": {"email": "email", "phone": "phone"},
    "contacts": {"address": "contact", "secret": "webhook"},
    "logins": {"totp_secret": "totp"},
    "challenges": {"contact": "challenge"},
    "feedback": {"contact": "feedback", "text": "feedback text"},
    "requests": {"requester": "requester", "details": "request", "answer": "answer"},
    "shares": {"contact": "recipient"},
    "exports": {"file_key": "export"},
}
"""Table → column → what it is sealed for."""
_PLAIN_BEFORE = {"feedback text", "request", "answer"}
_INDEXED = {"members": "email", "contacts": "address"}


def upgrade() -> None:
    with op.batch_alter_table("logins", schema=None) as batch_op:
        batch_op.add_column(sa.Column("account_id", sa.String(length=64), nullable=True))
        batch_op.create_index(batch_op.f("ix_logins_account_id"), ["account_id"], unique=False)
        batch_op.create_foreign_key(
            batch_op.f("fk_logins_account_id"), "accounts", ["account_id"], ["id"], ondelete="CASCADE"
        )
    op.execute("UPDATE logins SET account_id = (SELECT account_id FROM members WHERE members.id = logins.member_id)")
    _rewrite(to_accounts=True)


def downgrade() -> None:
    _rewrite(to_accounts=False)
    with op.batch_alter_table("logins", schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f("fk_logins_account_id"), type_="foreignkey")
        batch_op.drop_index(batch_op.f("ix_logins_account_id"))
        batch_op.drop_column("account_id")


def _rewrite(*, to_accounts: bool) -> None:
    """Each sealed value, and each index of one, under the other keys. Keys are asked for only when there are any."""
    connection = op.get_bind()
    accounts = account_keys_of(connection.dialect)
    for name, columns in _SEALED.items():
        index = f"{_INDEXED[name]}_index" if name in _INDEXED else None
        table = sa.table(name, *map(sa.column, ("id", "account_id", *columns, *([index] if index else []))))
        for row in connection.execute(sa.select(table)).mappings().all():
            keys = keys_of(connection.dialect)
            plain = {
                each: _opened(keys, accounts, row[each], purpose, is_plain=to_accounts and purpose in _PLAIN_BEFORE)
                for each, purpose in columns.items()
            }
            owner = row["account_id"] if to_accounts else None
            new = {
                each: _sealed(keys, accounts, owner, value, columns[each])
                if to_accounts or columns[each] not in _PLAIN_BEFORE
                else value
                for each, value in plain.items()
            }
            if index and (value := plain[_INDEXED[name]]) is not None:
                new[index] = keys.index(value) if owner is None else accounts.index(owner, value)
            connection.execute(table.update().where(table.c.id == row["id"]).values(new))


def _opened(keys: Keys, accounts: AccountKeys, value: str | None, purpose: str, *, is_plain: bool) -> str | None:
    if value is None or is_plain:
        return value
    return keys.open(value, purpose) if value.startswith("v1.") else accounts.open(value, purpose)


def _sealed(keys: Keys, accounts: AccountKeys, account: str | None, value: str | None, purpose: str) -> str | None:
    if value is None:
        return None
    return keys.seal(value, purpose) if account is None else accounts.seal(account, value, purpose)
