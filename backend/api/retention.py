"""How long the account's data is kept, and how old the oldest of it is."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Final

from aiohttp import web
from pydantic import BaseModel, Field, StringConstraints

from backend.api.registering import Body, body, done
from backend.api.route import Call, Query
from backend.privacy import keeping, windows
from backend.registry.errors import Invalid
from backend.store.protocol import DEFAULT_WINDOWS

_DAY: Final = timedelta(days=1)


class Kept(BaseModel):
    """One class of data."""

    data_class: str
    window_days: float
    oldest: datetime | None
    bytes: int | None  # on disk, where it is known


class RetentionReply(BaseModel):
    """All classes that an account may choose for, and `access_log`: visits of pages, which are no account's."""

    classes: list[Kept]


class WindowRequest(Body):
    """Keep this class so long from now on."""

    data_class: Annotated[str, StringConstraints(max_length=32)]
    days: Annotated[int, Field(ge=1, le=3_650)]


async def listed(call: Call[Query]) -> RetentionReply:
    """Each class: its window, and the age of its oldest record."""
    return reply(await keeping.report(call.services.database, call.services.store, call.account))


def reply(kept: Sequence[keeping.Kept]) -> RetentionReply:
    """A report as it is sent."""
    return RetentionReply(
        classes=[
            Kept(data_class=one.data_class, window_days=one.window / _DAY, oldest=one.oldest, bytes=one.bytes)
            for one in kept
        ]
    )


async def choose(call: Call[Query]) -> web.Response:
    """Another window. Raises `Invalid` for one that the class cannot have."""
    sent = await body(call, WindowRequest)
    stored = next((name for name in DEFAULT_WINDOWS if name == sent.data_class), None)
    if stored is not None:
        try:
            await call.services.store.set_window(call.account, stored, timedelta(days=sent.days))
        except ValueError as error:
            raise Invalid(str(error)) from error
        return done()
    async with call.services.database.begin() as session:
        await windows.choose(session, call.account, sent.data_class, sent.days)
    return done()
