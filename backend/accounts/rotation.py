"""A new key for contacts: everything is sealed anew, then the old key is forgotten.

The file holds both keys before the first row is touched and until the last one is, so that killing it at any moment
loses nothing: run it again. Nobody else may use the registry meanwhile. Links and codes that are under way end.
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Table, bindparam, delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from backend.registry.database import Database
from backend.registry.sealing import Keys, KeySource, Sealed, keys_in, write_keys
from backend.registry.tables import Base, Login, Member, Staff, Throttle


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
        sealed = [column for column in table.columns if isinstance(column.type, Sealed)]
        if sealed:
            rows += await _reseal_table(session, table, [column.name for column in sealed])
    return rows


async def _reseal_table(session: AsyncSession, table: Table, names: list[str]) -> int:
    found = (await session.execute(select(table.c.id, *(table.c[name] for name in names)))).mappings().all()
    if found:
        change = update(table).where(table.c.id == bindparam("row")).values({n: bindparam(f"new_{n}") for n in names})
        rows = [{"row": row["id"]} | {f"new_{name}": row[name] for name in names} for row in found]
        await (await session.connection()).execute(change, rows)
    return len(found)


async def _index(session: AsyncSession, keys: Keys) -> None:
    """What contacts are looked up by, under the new key."""
    for person in (*await session.scalars(select(Member)), *await session.scalars(select(Staff))):
        if isinstance(person, Staff) and person.ended_at is not None:
            continue  # looked up by nobody
        person.email_index = keys.index(person.email)
        owner = Login.member_id if isinstance(person, Member) else Login.staff_id
        await session.execute(update(Login).where(owner == person.id).values(email_index=person.email_index))
