"""What everybody may read: announcements, and whether the service ends. What staff see of incidents."""

from __future__ import annotations

from datetime import datetime

from aiohttp import web
from pydantic import BaseModel

from backend.api import asking
from backend.api.route import Call, Query
from backend.privacy import announcing, ceasing, incidents


class Announcement(BaseModel):
    """One of them."""

    announcement: str
    title: str
    text: str
    published_at: datetime


class AnnouncementsReply(BaseModel):
    """Newest first."""

    announcements: list[Announcement]


class CessationReply(BaseModel):
    """Whether the service ends: since when, and when all personal data is (or was) erased."""

    is_ending: bool
    begun_at: datetime | None = None
    erases_at: datetime | None = None
    erased_at: datetime | None = None


class Incident(BaseModel):
    """What is known of one."""

    incident: str
    title: str
    recorded_at: datetime
    told_at: datetime | None
    members: int
    deliveries: dict[str, dict[str, int]]  # channel → sent, failed, under way


class IncidentsReply(BaseModel):
    """Newest first."""

    incidents: list[Incident]


async def listed(call: Call[Query]) -> AnnouncementsReply:
    """All of them."""
    async with call.services.database.read() as session:
        found = await announcing.listed(session)
    return AnnouncementsReply(
        announcements=[
            Announcement(announcement=one.id, title=one.title, text=one.text, published_at=one.published_at)
            for one in found
        ]
    )


async def page(call: Call[Query]) -> web.Response:
    """The same, to read."""
    async with call.services.database.read() as session:
        found = await announcing.listed(session)
    tongue = asking.tongue(call)
    told = [(one.title, tongue.moment(one.published_at), one.text) for one in found]
    return asking.filled(call, tongue, "announcements.html", title=tongue.say("Announcements"), announcements=told)


async def cessation(call: Call[Query]) -> CessationReply:
    """Whether the service ends."""
    async with call.services.database.read() as session:
        found = await ceasing.state(session)
    if found is None:
        return CessationReply(is_ending=False)
    return CessationReply(is_ending=True, begun_at=found.begun_at, erases_at=found.erases_at, erased_at=found.erased_at)


async def incidents_listed(call: Call[Query]) -> IncidentsReply:
    """What was recorded, and how telling those affected goes on."""
    async with call.services.database.read() as session:
        return IncidentsReply(
            incidents=[
                Incident(
                    incident=one.id,
                    title=one.title,
                    recorded_at=one.recorded_at,
                    told_at=one.told_at,
                    members=members,
                    deliveries=await incidents.deliveries(session, one.id),
                )
                for one, members in await incidents.listed(session)
            ]
        )
