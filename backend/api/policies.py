"""The privacy policy: the current one and all before it, for everybody."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel

from backend.api.problems import Problem
from backend.api.route import Call, Query
from backend.privacy import policies


class Version(BaseModel):
    """What changed, and when."""

    version: int
    published_at: datetime
    changes: str


class PolicyReply(BaseModel):
    """The current policy, and its history, newest first."""

    text: str
    versions: list[Version]


async def current(call: Call[Query]) -> PolicyReply:
    """The policy as it is now."""
    async with call.services.database.read() as session:
        found = await policies.listed(session)
    if not found:
        raise Problem(404, "no policy was published here yet")
    return PolicyReply(
        text=found[0].text,
        versions=[Version(version=v.version, published_at=v.published_at, changes=v.changes) for v in found],
    )
