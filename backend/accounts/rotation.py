"""New keys: the service's and each account's. Everything is sealed anew, then the old keys are forgotten.

Old and new keys are in their files before the first row is touched and until the last one is, so that killing it at any
moment loses nothing: run it again. Nobody else may use the registry meanwhile. Links and codes that are under way end.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, Table, bindparam, delete, literal, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from backend.registry.base import Base
from backend.registry.database import Database
from backend.registry.login_tables import KnownDevice, Login, Throttle, Tries
from backend.registry.sealed import Sealed, account_keys_in, keys_in, of
from backend.registry.sealing import KeySource, write_keys


async def rotate(url: str, file: Path, accounts_dir: Path) -> tuple[int, int]:
    """The number of the new key, and of the rows that were sealed anew. Raises `NoKey` before any row is changed."""
    keys = KeySource.of_file(file).keys.with_new()
    write_keys(file, keys)
    database = Database(url, keys=KeySource(lambda: keys), accounts_dir=accounts_dir)
    try:
        database.account_keys.renew()
        async with database.begin() as session:
            rows = 0
            for table in Base.metadata.sorted_tables:
                if names := [column.name for column in table.columns if isinstance(column.type, Sealed)]:
                    rows += await _reseal(session, table, names)
                    await _index(session, table, names)
            for gone in (Throttle, Tries, KnownDevice):  # kept by hashes under the old key
                await session.execute(delete(gone))
        database.account_keys.settle()
    finally:
        await database.close()
    write_keys(file, keys.only_newest())
    return keys.newest, rows


async def _reseal(session: AsyncSession, table: Table, names: list[str]) -> int:
    """What is read with any key is written with the newest: its account's, or the service's."""
    query = select(table.c.id, _account(table), *(table.c[name] for name in names))
    found = (await session.execute(query)).mappings().all()
    if found:
        change = update(table).where(table.c.id == bindparam("row")).values({n: bindparam(f"new_{n}") for n in names})
        rows = [
            {"row": row["id"]} | {f"new_{name}": _whose(row["account_id"], row[name]) for name in names}
            for row in found
        ]
        await (await session.connection()).execute(change, rows)
    return len(found)


async def _index(session: AsyncSession, table: Table, names: list[str]) -> None:
    """What contacts are looked up by, under the new keys: each `<name>_index` beside a sealed `<name>`.

    What is no index of its contact stays: of staff who left, it is their id.
    """
    keys, accounts = keys_in(session), account_keys_in(session)
    for name in names:
        if f"{name}_index" not in table.c:
            continue
        index = table.c[f"{name}_index"]
        for row, account, contact, old in (
            await session.execute(select(table.c.id, _account(table), table.c[name], index))
        ).all():
            if contact is None or (account is None and old not in keys.indexes(contact)):
                continue
            new = keys.index(contact) if account is None else accounts.index(account, contact)
            await session.execute(update(table).where(table.c.id == row).values({index.name: new}))
            if name == "email":
                login = update(Login).where(Login.email_index.in_(keys.indexes(contact)))
                await session.execute(login.values(email_index=keys.index(contact)))


def _account(table: Table) -> ColumnElement[Any]:
    return table.c.account_id if "account_id" in table.c else literal(None).label("account_id")


def _whose(account: str | None, value: str | None) -> str | None:
    return value if account is None or value is None else of(account, value)
