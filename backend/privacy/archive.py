"""The archive of an account: everything that is held about it and its members, in open formats, each field described.

A ZIP of
- `manifest.json`: what this is, and how many rows each file has;
- `description.json`: what each file and field means;
- `registry/<table>.jsonl`: one JSON object a line, of every table that belongs to accounts;
- `readings/readings-<day>.parquet`, `readings/totals-<day>.parquet`: every reading, and every total that a site told in
  place of readings, as the store exports them;
- `hourly/hourly-<day>.csv`: hourly means of the time of which readings are no longer kept.

It is written as it is read, a thousand rows or an hour of readings at a time, and never needs to seek.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final, Protocol
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

from sqlalchemy import ColumnElement, Table, select, tuple_

from agent.wire import Aggregate, Board, Pool, Reading, Spread
from backend.ids import AccountId
from backend.privacy.described import COLUMNS, LEFT_OUT, ROLLUP, TABLES
from backend.registry.account_tables import Account
from backend.registry.base import Base
from backend.registry.database import Database
from backend.registry.login_tables import Login, LoginSession
from backend.store.metrics import METRICS
from backend.store.protocol import DEFAULT_WINDOWS, Format, SeriesQuery, Store

FORMAT: Final = "itsminer-export"
VERSION: Final = 1

_PAGE: Final = 1_000
_HOUR: Final = timedelta(hours=1)
_DAY: Final = timedelta(days=1)
_MOST_POINTS: Final = 10_000_000


class Sink(Protocol):
    """Where an archive is written to."""

    def write(self, data: bytes, /) -> int:
        """All of it."""

    def flush(self) -> None:
        """What was written may be needed now."""


class Stopped(Exception):
    """The account is gone meanwhile: there is nothing to export."""


async def write(
    sink: Sink, database: Database, store: Store, account: AccountId, *, export: str, format: Format, now: datetime
) -> None:
    """The whole archive of an account. Raises `Stopped`."""
    rows: dict[str, int] = {}
    with ZipFile(sink, "w", ZIP_DEFLATED) as archive:  # type: ignore[call-overload]  # typeshed wants it to read, too
        for table in tables():
            name = f"registry/{table.name}.jsonl"
            rows[name] = await _write_table(archive, name, database, table, account)
        if not rows["registry/accounts.jsonl"]:
            raise Stopped(account)
        async for part in store.export(account, format=format):
            name = f"readings/{part.name}"
            rows[name] = await _write_chunks(archive, name, part.chunks, is_packed=format == "parquet")
        windows = await store.windows(account)
        raw_since = _day_of(now - windows["telemetry_raw"]) + _DAY  # of the days before, readings are not all there
        async for day in _days_of_rollups(store, account, raw_since):
            name = f"hourly/hourly-{day:%Y-%m-%d}.csv"
            if size := await _write_chunks(archive, name, _hourly(store, account, day), is_packed=False):
                rows[name] = size
        manifest = {
            "format": FORMAT,
            "version": VERSION,
            "export": export,
            "account": account,
            "made_at": now.isoformat(),
            "windows_days": {name: windows[name] / _DAY for name in DEFAULT_WINDOWS},
            "files": rows,
        }
        archive.writestr("description.json", json.dumps(description(), indent=1, ensure_ascii=False))
        archive.writestr("manifest.json", json.dumps(manifest, indent=1))


def tables() -> list[Table]:
    """What belongs to an account, in an order in which what is referred to comes first."""
    others = (Account.__table__, LoginSession.__table__)
    return [table for table in Base.metadata.sorted_tables if "account_id" in table.c or table in others]


def columns(table: Table) -> list[str]:
    """What is exported of a table."""
    return [column.name for column in table.columns if column.name not in LEFT_OUT]


def described(table: Table) -> dict[str, Any]:
    """What a table holds, and what each of its fields means."""
    fields = {name: COLUMNS.get(name, name) for name in columns(table)}
    return {"what": TABLES.get(table.name, table.name), "fields": fields}


def line(row: object) -> str:
    """A row as JSON, in a line of its own."""
    return json.dumps(row, default=_plain, ensure_ascii=False) + "\n"


def description() -> dict[str, Any]:
    """What each file and field means."""
    return {
        "registry": {table.name: described(table) for table in tables()},
        "readings": {
            "what": "Every reading that is kept, a file a day. Numbers that a machine did not give are absent.",
            "fields": {"site": "the site's id"}
            | {name: field.description for name, field in Reading.model_fields.items()},
            "boards": {name: field.description for name, field in Board.model_fields.items()},
            "pools": {name: field.description for name, field in Pool.model_fields.items()},
        },
        "totals": {
            "what": "What sites told in place of readings, a file a day: totals and percentiles of groups of machines.",
            "fields": {"site": "the site's id"}
            | {name: field.description for name, field in Aggregate.model_fields.items()},
            "of each number": {name: field.description for name, field in Spread.model_fields.items()},
        },
        "hourly": {
            "what": "Hourly means of days of which readings are no longer kept.",
            "fields": dict(ROLLUP),
            "metrics": {name: f"{metric.meaning}, {metric.unit}" for name, metric in METRICS.items()},
        },
        "left out": dict(LEFT_OUT),
    }


async def _write_table(archive: ZipFile, name: str, database: Database, table: Table, account: AccountId) -> int:
    count = 0
    with archive.open(ZipInfo(name), "w", force_zip64=True) as entry:
        async for page in pages(database, table, _is_of(table, account)):
            await asyncio.to_thread(entry.write, "".join(map(line, page)).encode())
            count += len(page)
    return count


async def pages(
    database: Database, table: Table, where: ColumnElement[bool]
) -> AsyncIterator[Sequence[dict[str, Any]]]:
    """Rows as they are exported, a page a transaction: nobody waits for a long one."""
    names = columns(table)
    keys = list(table.primary_key.columns)
    last: tuple[Any, ...] | None = None
    while True:
        query = select(table).where(where).order_by(*keys).limit(_PAGE)
        if last is not None:
            query = query.where(tuple_(*keys) > tuple_(*last))
        async with database.read() as session:
            found = (await session.execute(query)).mappings().all()
        if not found:
            return
        last = tuple(found[-1][key.name] for key in keys)
        yield [{name: row[name] for name in names if row[name] is not None} for row in found]


def _is_of(table: Table, account: AccountId) -> ColumnElement[bool]:
    if table.name == Account.__tablename__:
        return Account.id == account
    if table.name == LoginSession.__tablename__:
        return LoginSession.login_id.in_(select(Login.id).where(Login.account_id == account))
    is_of: ColumnElement[bool] = table.c.account_id == account
    return is_of


async def _write_chunks(archive: ZipFile, name: str, chunks: AsyncIterator[bytes], *, is_packed: bool) -> int:
    """Bytes, of what is not counted by rows; 0, and no such file, when there are none."""
    info = ZipInfo(name)
    info.compress_type = ZIP_STORED if is_packed else ZIP_DEFLATED
    size = 0
    chunk = await anext(chunks, b"")
    if not chunk:
        return 0
    with archive.open(info, "w", force_zip64=True) as entry:
        while chunk:
            await asyncio.to_thread(entry.write, chunk)
            size += len(chunk)
            chunk = await anext(chunks, b"")
    return size


async def _days_of_rollups(store: Store, account: AccountId, end: datetime) -> AsyncIterator[datetime]:
    oldest = (await store.oldest(account))["telemetry_rollup"]
    day = _day_of(oldest) if oldest is not None else end
    while day < end:
        yield day
        day += _DAY


async def _hourly(store: Store, account: AccountId, day: datetime) -> AsyncIterator[bytes]:
    head = ",".join(ROLLUP) + "\n"
    for metric in METRICS:
        query = SeriesQuery(metric=metric, start=day, end=day + _DAY, step=_HOUR, max_points=_MOST_POINTS)
        lines = [
            f"{at.isoformat()},{one.machine},{metric},{value!r}\n"
            for one in await store.series(account, query)
            for at, value in one.points
        ]
        if lines:
            yield "".join((head, *lines)).encode()
            head = ""


def _day_of(time: datetime) -> datetime:
    return time.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def _plain(value: object) -> str:
    if isinstance(value, datetime | date):
        return value.isoformat()
    raise TypeError(f"a {type(value).__name__} is no JSON")
