"""`POST /v1/batches`: from bytes to durable rows and judged rules.

In this order: limits, decoding, whose site it is, times, store (durable, once by its id), judge (once by its
id), answer. A batch that is sent again goes through all of it again, and each step keeps it once; so an
agent that hears nothing just sends again, whatever it was that failed.
"""

from __future__ import annotations

import asyncio
import time
from datetime import datetime, timedelta
from typing import Final

from pydantic import BaseModel

from agent import wire
from backend.api import bodies
from backend.api.problems import Problem
from backend.api.route import Call, Query
from backend.api.services import Services
from backend.privacy import erasing, purposes
from backend.registry.errors import Missing

OLDEST: Final = timedelta(days=30)
"""Backlog beyond it is refused. Who remembers batch ids remembers them for longer than this."""
NEWEST: Final = timedelta(minutes=10)
"""How far an agent's clock may be ahead."""


class BatchReply(BaseModel):
    """The batch is safe here."""

    stored: bool  # false: it was here already
    readings: int
    aggregates: int


class Ingest:
    """The handler, with the number of batches that are being worked on."""

    def __init__(self) -> None:
        self._busy = 0

    async def post(self, call: Call[Query]) -> BatchReply:
        """Take a batch of the token's site."""
        limits = call.services.settings.limits
        if self._busy >= limits.batches_at_once:
            raise Problem(503, "too many batches at once: send it again", kind="busy", retry_after_s=1)
        self._busy += 1
        try:
            return await _take(call, limit=int(limits.batch_mb * 1_000_000), patience_s=limits.body_s)
        except Problem:
            call.services.meters.batches.labels("refused").inc()
            raise
        finally:
            self._busy -= 1


async def _take(call: Call[Query], limit: int, patience_s: float) -> BatchReply:
    encoding = bodies.encoding(call.request)
    bodies.require_json(call.request)
    data = await bodies.received(call.request, limit, patience_s)
    started_s = time.perf_counter()
    batch = await asyncio.to_thread(_decode, data, encoding, limit)
    now = call.services.clock()
    if batch.site != call.site:
        raise Problem(422, "the batch is not of the site that this token is for", kind="wrong-site")
    await _check_region(call, batch)
    _check_times(batch, now)
    stored = await call.services.store.write(call.account, batch, now=now)
    try:
        await call.services.judge.judge(call.account, call.site, batch, now=now)
    except Missing:  # erased meanwhile: nothing may come after that
        await erasing.take_back(call.services.database, call.services.store, call.account, call.site)
        raise
    _count(call.services, batch, stored=stored, took_s=time.perf_counter() - started_s)
    return BatchReply(stored=stored, readings=len(batch.readings), aggregates=len(batch.aggregates or ()))


async def _check_region(call: Call[Query], batch: wire.Batch) -> None:
    """Readings of single machines stay in the account's region, unless its owner agreed that they leave it."""
    if not batch.readings or call.bearer_known.region == call.services.settings.region:
        return
    async with call.services.database.read() as session:
        if await purposes.account_agrees(session, call.account, purposes.CROSS_BORDER):
            return
    raise Problem(403, "the account's data stays in its region: send totals of the site only", kind="aggregates-only")


def _decode(data: bytes, encoding: str, limit: int) -> wire.Batch:
    try:
        return wire.decode(bodies.decompressed(data, encoding, limit))
    except wire.UnknownContract as error:
        raise Problem(422, str(error), kind="unknown-contract", contracts=[wire.CONTRACT]) from error
    except wire.ContractError as error:
        raise Problem(422, str(error), kind="contract") from error


def _check_times(batch: wire.Batch, now: datetime) -> None:
    times = {
        "readings": [reading.time for reading in batch.readings],
        "aggregates": [total.time for total in batch.aggregates or ()],
    }
    for name, of_name in times.items():
        for number, time_ in enumerate(of_name):
            if time_ < now - OLDEST:
                raise Problem(422, f"{name}.{number}.time: older than {OLDEST.days} days", kind="time")
            if time_ > now + NEWEST:
                minutes = NEWEST // timedelta(minutes=1)
                raise Problem(422, f"{name}.{number}.time: more than {minutes} min ahead of our clock", kind="time")


def _count(services: Services, batch: wire.Batch, *, stored: bool, took_s: float) -> None:
    services.meters.batches.labels("stored" if stored else "repeated").inc()
    if stored:
        services.meters.readings.inc(len(batch.readings))
    services.meters.ingest_s.observe(took_s)
