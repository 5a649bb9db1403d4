"""How long the account's data is kept, and how old the oldest of it is."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Final

from aiohttp import web
from pydantic import BaseModel, Field, StringConstraints

from backend.api.registering import Body, body, done
from backend.api.route import Call, Query
from backend.privacy import windows
from backend.store.protocol import DataClass

_DAY: Final = timedelta(days=1)
_STORED: Final[tuple[DataClass, ...]] = ("telemetry_raw", "telemetry_rollup")


class Kept(BaseModel):
    """One class of data."""

    data_class: str
    window_days: float
    oldest: datetime | None


class RetentionReply(BaseModel):
    """All classes that an account may choose for, and `access_log`: visits of pages, which are no account's."""

    classes: list[Kept]


class WindowRequest(Body):
    """Keep this class so long from now on."""

    data_class: Annotated[str, StringConstraints(max_length=32)]
    days: Annotated[int, Field(ge=1, le=3_650)]


async def listed(call: Call[Query]) -> RetentionReply:
    """Each class: its window, and the age of its oldest record."""
    async with call.services.database.read() as session:
        kept = await windows.of(session, call.account)
        oldest = await windows.oldest(session, call.account)
    stored = await call.services.store.windows(call.account)
    oldest_stored = await call.services.store.oldest(call.account)
    return RetentionReply(
        classes=[
            *(Kept(data_class=c, window_days=stored[c] / _DAY, oldest=oldest_stored[c]) for c in _STORED),
            *(Kept(data_class=name, window_days=kept[name] / _DAY, oldest=oldest[name]) for name in kept),
            Kept(data_class="access_log", window_days=windows.ACCESS_LOG / _DAY, oldest=None),
        ]
    )


async def choose(call: Call[Query]) -> web.Response:
    """Another window."""
    sent = await body(call, WindowRequest)
    stored = next((name for name in _STORED if name == sent.data_class), None)
    if stored is not None:
        await call.services.store.set_window(call.account, stored, timedelta(days=sent.days))
        return done()
    async with call.services.database.begin() as session:
        await windows.choose(session, call.account, sent.data_class, sent.days)
    return done()
