"""A copy of everything: ask for it, see whether it is ready, fetch it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from typing import Annotated

from aiohttp import web
from pydantic import BaseModel, ConfigDict, StringConstraints

from backend.api.route import Call, Query
from backend.privacy import copies, exports
from backend.registry.rights_tables import Export as Row


class ExportQuery(Query):
    """Which one."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    export: Annotated[str, StringConstraints(min_length=1, max_length=64)]


class Export(BaseModel):
    """An archive: waiting, ready until `expires_at`, or failed."""

    export: str
    asked_by: str
    asked_at: datetime
    ready_at: datetime | None
    expires_at: datetime | None
    bytes: int | None
    failed_at: datetime | None


class ExportsReply(BaseModel):
    """Newest first."""

    exports: list[Export]


async def ask(call: Call[Query]) -> Export:
    """Make one; it takes a while."""
    async with call.services.database.begin() as session:
        return shown(await exports.ask(session, call.account, call.member, now=call.now))


async def listed(call: Call[Query]) -> ExportsReply:
    """What is being made and what can be fetched."""
    async with call.services.database.read() as session:
        return ExportsReply(exports=[shown(one) for one in await exports.listed(session, call.account)])


async def fetched(call: Call[ExportQuery]) -> web.Response:
    """The archive itself."""
    async with call.services.database.read() as session:
        found = await exports.find(session, call.account, call.query.export, now=call.now)
    return sent(call.services.exports.content(found), f"{found.id}.zip")


async def own(call: Call[Query]) -> web.Response:
    """What is held about the member who asks, whatever their role; at once."""
    return web.Response(
        body=copies.of_member(call.services.database, call.member),
        content_type="application/x-ndjson",
        headers={"Content-Disposition": f'attachment; filename="{call.member}.jsonl"'},
    )


def sent(content: Iterator[bytes], name: str) -> web.Response:
    """A file to keep, sent as it is read."""
    return web.Response(
        body=_pieces(content),
        content_type="application/zip",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


def shown(row: Row) -> Export:
    """As the API says it."""
    return Export(
        export=row.id,
        asked_by=row.asked_by,
        asked_at=row.asked_at,
        ready_at=row.ready_at,
        expires_at=row.expires_at,
        bytes=row.bytes,
        failed_at=row.failed_at,
    )


async def _pieces(content: Iterator[bytes]) -> AsyncIterator[bytes]:
    while (piece := await asyncio.to_thread(next, content, None)) is not None:
        yield piece
