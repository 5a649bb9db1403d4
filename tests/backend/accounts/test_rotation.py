"""A new key for contacts: everything that is sealed or looked up goes over to it, in every table there is."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa

from backend.accounts import staff
from backend.accounts.logins import by_email
from backend.accounts.rotation import rotate
from backend.ids import AccountId
from backend.registry import accounts, members
from backend.registry.account_tables import Account
from backend.registry.base import Base
from backend.registry.database import Database
from backend.registry.login_tables import Login
from backend.registry.sealed import Sealed
from backend.registry.sealing import Keys, KeySource
from tests.backend.readings import NOW
from tests.backend.registry import databases
from tests.backend.registry.test_migrating_data import fill

INDEXED = [
    (table, column.name)
    for table in Base.metadata.sorted_tables
    for column in table.columns
    if isinstance(column.type, Sealed) and f"{column.name}_index" in table.c
]


@pytest.mark.parametrize("kind", databases.KINDS)
async def test_a_rotation_reaches_every_sealed_column_and_every_index_of_one(kind: str, tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(databases.KEYS.text())
    file.chmod(0o600)
    url, folder = databases.url(kind, tmp_path), tmp_path / "account-keys"
    registry = Database(url, keys=KeySource(lambda: databases.KEYS), accounts_dir=folder)
    await registry.migrate()

    def one_of_each(connection: sa.Connection) -> None:
        fill(connection, "9999")

    await registry.alter(one_of_each)
    async with registry.begin() as session:
        for table, name in INDEXED:  # the filler writes anything into them
            [(row, contact)] = (await session.execute(sa.select(table.c.id, table.c[name]))).all()
            index = databases.KEYS.index(contact)
            await session.execute(sa.update(table).where(table.c.id == row).values({f"{name}_index": index}))
        await session.execute(sa.update(Login).values(email_index=databases.KEYS.index("somebody@farm.example")))
    await registry.close()

    await rotate(url, file, folder)  # the filler seals with the service's keys: now all is its owner's
    number, rows = await rotate(url, file, folder)
    assert number == 3
    assert rows >= len({table.name for table, _ in INDEXED})
    keys = Keys.parse(file.read_text())
    renewed = Database(url, keys=KeySource(lambda: keys), accounts_dir=folder)
    async with renewed.read() as session:
        account = (await session.scalars(sa.select(Account.id))).one()
        for table in Base.metadata.sorted_tables:
            for column in table.columns:
                if isinstance(column.type, Sealed):
                    raw = sa.select(sa.type_coerce(column, sa.String))
                    for one in filter(None, await session.scalars(raw)):
                        assert one.startswith("v1.3.") or one.startswith(f"{account}.v1.2."), column
        for table, name in INDEXED:
            for contact, index in (await session.execute(sa.select(table.c[name], table.c[f"{name}_index"]))).all():
                assert index in (keys.index(contact), renewed.account_keys.index(account, contact)), table
        assert await by_email(session, "somebody@farm.example") is not None
    await renewed.close()


async def test_staff_who_left_are_found_by_nobody_after_a_rotation_either(tmp_path: Path) -> None:
    file = tmp_path / "registry.db.keys"
    registry = Database(f"sqlite:///{tmp_path / 'registry.db'}")
    await registry.migrate()
    async with registry.begin() as session:
        account = AccountId((await accounts.add(session, "Demo", region="eu", now=NOW)).id)
        await members.add(session, account, email="a@farm.example", now=NOW)
        made, _ = await staff.add(session, email="left@service.example", role="auditor", most=3, now=NOW)
        await staff.end(session, "left@service.example", now=NOW)
    await registry.close()
    await rotate(f"sqlite:///{tmp_path / 'registry.db'}", file, tmp_path / "account-keys")
    again = Database(f"sqlite:///{tmp_path / 'registry.db'}")
    async with again.begin() as session:
        [found] = await staff.listed(session)
        assert found.email_index == made.id
        back, _ = await staff.add(session, email="left@service.example", role="auditor", most=3, now=NOW)
        assert back.id != made.id
    await again.close()
