"""`/healthz` and `/metrics`: for the people and programs that run the service."""

from __future__ import annotations

import asyncio
from typing import Final

import structlog
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel
from sqlalchemy import func, select

from backend.api.problems import Problem
from backend.api.route import Call, Query
from backend.registry.notify_tables import OutboxMessage

log = structlog.get_logger()

_PATIENCE_S: Final = 5.0


class HealthReply(BaseModel):
    """All that the service rests on works."""

    status: str
    registry: str
    store: str


async def healthz(call: Call[Query]) -> HealthReply:
    """Ask the registry and the store whether they work; 503 names the one that does not."""
    checks = {"registry": call.services.database.check, "store": call.services.store.check}
    for name, check in checks.items():
        try:
            async with asyncio.timeout(_PATIENCE_S):
                await check()
        except Exception as error:
            log.exception("health.failed", part=name)
            raise Problem(503, f"the {name} does not work", kind="unhealthy", retry_after_s=5, part=name) from error
    return HealthReply(status="ok", registry="ok", store="ok")


async def metrics(call: Call[Query]) -> web.Response:
    """The service's own numbers, in Prometheus' format: of all accounts, so not for who comes through the proxy."""
    if "X-Forwarded-For" in call.request.headers:
        raise Problem(404, "there is no such address here")
    meters = call.services.meters
    waiting = select(func.count()).where(
        OutboxMessage.sent_at.is_(None), OutboxMessage.failed_at.is_(None), OutboxMessage.due_at <= call.now
    )
    async with call.services.database.read() as session:
        meters.outbox.set(await session.scalar(waiting) or 0)
    return web.Response(body=generate_latest(meters.registry), headers={"Content-Type": CONTENT_TYPE_LATEST})
