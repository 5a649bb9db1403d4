"""A new key for contacts: everything is sealed anew, then the old key is forgotten.

The file holds both keys before the first row is touched and until the last one is, so that killing it at any moment
loses nothing: run it again. Nobody else may use the registry meanwhile. Links and codes that are under way end.
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Table, bindparam, delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from backend.registry.base import Base
from backend.registry.database import Database
from backend.registry.login_tables import Login, Throttle
from backend.registry.sealing import Keys, KeySource, Sealed, keys_in, write_keys


async def rotate(url: str, file: Path) -> tuple[int, int]:
    """The number of the new key, and of the rows that were sealed anew. Raises `NoKey` before anything is changed."""
    keys = KeySource.of_file(file).keys.with_new()
    write_keys(file, keys)
    database = Database(url, keys=KeySource(lambda: keys))
    try:
        async with database.begin() as session:
            rows = await _reseal(session)
            await _index(session, keys_in(session))
            await session.execute(delete(Throttle))  # kept by the old index
    finally:
        await database.close()
    write_keys(file, keys.only_newest())
    return keys.newest, rows


async def _reseal(session: AsyncSession) -> int:
    """Each sealed column of each table: what is read with any key is written with the newest."""
    rows = 0
    for table in Base.metadata.sorted_tables:
        if names := _sealed(table):
            rows += await _reseal_table(session, table, names)
    return rows


async def _reseal_table(session: AsyncSession, table: Table, names: list[str]) -> int:
    found = (await session.execute(select(table.c.id, *(table.c[name] for name in names)))).mappings().all()
    if found:
        change = update(table).where(table.c.id == bindparam("row")).values({n: bindparam(f"new_{n}") for n in names})
        rows = [{"row": row["id"]} | {f"new_{name}": row[name] for name in names} for row in found]
        await (await session.connection()).execute(change, rows)
    return len(found)


async def _index(session: AsyncSession, keys: Keys) -> None:
    """What contacts are looked up by, under the new key: each `<name>_index` beside a sealed `<name>`."""
    for table in Base.metadata.sorted_tables:
        for name in _sealed(table):
            if f"{name}_index" in table.c:
                await _index_column(session, keys, table, name)


async def _index_column(session: AsyncSession, keys: Keys, table: Table, name: str) -> None:
    """What is no index of its contact stays: of staff who left, it is their id."""
    index = table.c[f"{name}_index"]
    for row, contact, old in (await session.execute(select(table.c.id, table.c[name], index))).all():
        if contact is not None and old in keys.indexes(contact):
            new = keys.index(contact)
            await session.execute(update(table).where(table.c.id == row).values({index.name: new}))
            if name == "email":
                await session.execute(update(Login).where(Login.email_index == old).values(email_index=new))


def _sealed(table: Table) -> list[str]:
    return [column.name for column in table.columns if isinstance(column.type, Sealed)]
