"""`GET /v1/machines`: each machine as it was last seen."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel

from agent.wire import Reading, State
from backend.api.route import Call, Query
from backend.ids import SiteId
from backend.registry import sites


class MachinesQuery(Query):
    """All machines of the account, or of one site."""

    site: str | None = None  # id or name


class Machine(BaseModel):
    """One machine, with what is most asked for at hand and its newest reading whole."""

    machine: str
    site: str
    site_name: str
    state: State
    time: datetime
    age_s: float  # since that reading, by our clock: a state can be as old as this
    chip_temp_c: float | None  # its hottest
    board_temp_c: float | None
    reading: Reading


class MachinesReply(BaseModel):
    """Ordered by machine."""

    machines: list[Machine]


async def listed(call: Call[MachinesQuery]) -> MachinesReply:
    """The newest reading of each machine."""
    async with call.services.database.read() as session:
        names = {SiteId(site.id): site.name for site in await sites.listed(session, call.account)}
        wanted = call.query.site
        site = None if wanted is None else SiteId((await sites.find(session, call.account, wanted)).id)
    found = await call.services.store.latest(call.account, site=site)
    return MachinesReply(
        machines=[
            Machine(
                machine=latest.reading.machine,
                site=latest.site,
                site_name=names.get(latest.site, latest.site),
                state=latest.reading.state,
                time=latest.reading.time,
                age_s=max(0.0, (call.now - latest.reading.time).total_seconds()),
                chip_temp_c=latest.reading.chip_temp_c,
                board_temp_c=latest.reading.board_temp_c,
                reading=latest.reading,
            )
            for latest in found
        ]
    )
