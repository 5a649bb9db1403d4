"""`POST /v1/enroll`: a code becomes an agent's token."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Final

import structlog
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from agent import wire
from backend.api import bodies
from backend.api.problems import Problem
from backend.api.rates import Rate
from backend.api.registering import limit
from backend.api.route import Call, Query
from backend.registry import enrolment
from backend.registry.errors import Missing

log = structlog.get_logger()

_WINDOW: Final = timedelta(minutes=1)


class EnrolRequest(BaseModel):
    """What an agent sends once in its life."""

    model_config = ConfigDict(extra="forbid")
    code: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    agent: wire.Name  # its version
    contract: Annotated[int, Field(ge=0)]  # the wire contract that it speaks


class EnrolReply(BaseModel):
    """Who the agent is from now on; the token is shown this once."""

    account: str
    site: str
    site_name: str
    token: str
    contract: int


class Enrolment:
    """The handler, with the tries of each address."""

    def __init__(self, tries_per_min: int) -> None:
        self._rate = Rate(tries_per_min, _WINDOW, counted_as="enrolment")

    async def post(self, call: Call[Query]) -> EnrolReply:
        """Use the code up. Right and wrong tries count alike."""
        await limit(self._rate, call)
        sent = await bodies.model(call.request, EnrolRequest, call.services.settings.limits.body_s)
        if sent.contract != wire.CONTRACT:
            raise Problem(
                422,
                f"contract version {sent.contract} is not known here; this side speaks {wire.CONTRACT}",
                kind="unknown-contract",
                contracts=[wire.CONTRACT],
            )
        try:
            async with call.services.database.begin() as session:
                enrolled = await enrolment.redeem(session, sent.code, now=call.now)
        except Missing as error:
            raise Problem(403, str(error), kind="code") from error
        log.info("agent.enrolled", account=enrolled.account, site=enrolled.site, agent=sent.agent)
        return EnrolReply(
            account=enrolled.account,
            site=enrolled.site,
            site_name=enrolled.site_name,
            token=enrolled.token,
            contract=wire.CONTRACT,
        )
