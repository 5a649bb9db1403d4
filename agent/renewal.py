"""A new token for the agent every 30 days, so that one that was stolen unnoticed is no good for long.

The agent makes it, writes it down beside the one in use, and has the backend take its hash; then the new one takes the
old one's place. The backend takes the same hash any number of times, and the old token is good for minutes still.
Whenever the process dies or an answer gets lost, one of the two tokens that are written down opens the door.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

import aiohttp
import structlog
from pydantic import SecretStr

from agent import enrolment, transit
from agent.enrolment import Enrolment, State
from agent.errors import AgentError, NotAllowed, Rejected, RetryLater

EVERY: Final = timedelta(days=30)
_AGAIN_S: Final = 3_600.0
_PREFIX: Final = "imt_"
"""As the backend's own: whoever scans for leaked tokens knows it."""

log = structlog.get_logger()


class Renewal:
    """Renews the token of one site. `enrolled` is asked where the backend is; `renewed` is called after each change."""

    def __init__(
        self,
        client: aiohttp.ClientSession,
        state: State,
        enrolled: Callable[[], Enrolment],
        clock: Callable[[], datetime],
        renewed: Callable[[], None],
    ) -> None:
        self._client = client
        self._state = state
        self._enrolled = enrolled
        self._clock = clock
        self._renewed = renewed
        self._said = ""

    async def run(self) -> None:
        """Renew whenever it is time, until cancelled. A failure is said once and tried again within the hour."""
        while True:
            try:
                await asyncio.sleep(await asyncio.to_thread(self._due_in_s))
                await self.renew()
                self._said = ""
            except AgentError as error:
                if str(error) != self._said:
                    log.warning("token.not_renewed", why=str(error), hint="the one in use stays in use")
                self._said = str(error)
                await asyncio.sleep(_AGAIN_S)

    async def renew(self) -> None:
        """Change the token, or finish a change that was broken off.

        Raises `RetryLater`, `DiskTrouble`, `Misconfigured`, `NotAllowed` (neither token opens) or `Rejected` (the
        backend does not change tokens like that); the old token is in use then.
        """
        enrolled = await asyncio.to_thread(self._enrolled)
        following = enrolled.next_token or SecretStr(_PREFIX + secrets.token_urlsafe(32))
        if enrolled.next_token is None and not await self._keep(enrolled, {"next_token": following}):
            return
        try:
            try:
                await self._register(enrolled.url, enrolled.token, following)
            except NotAllowed:  # it was changed, long ago, and the answer got lost
                await self._register(enrolled.url, following, following)
        except Rejected:
            await self._keep(enrolled, {"next_token": None})
            raise
        if await self._keep(enrolled, {"token": following, "next_token": None}):
            log.info("token.renewed")
            self._renewed()

    def _due_in_s(self) -> float:
        """The file is written when the token changes and at no other time."""
        if self._enrolled().next_token is not None:
            return 0.0
        written_at = datetime.fromtimestamp(self._state.enrolment.stat().st_mtime, UTC)
        return min(EVERY, max(timedelta(), written_at + EVERY - self._clock())).total_seconds()

    async def _keep(self, before: Enrolment, changes: dict[str, SecretStr | None]) -> bool:
        """False when the site was enrolled anew meanwhile: that has a token of its own."""
        return await asyncio.to_thread(enrolment.change, self._state, before.token, changes)

    async def _register(self, url: str, bearer: SecretStr, following: SecretStr) -> None:
        digest = hashlib.sha256(following.get_secret_value().encode()).hexdigest()
        answer = await transit.post(
            self._client,
            f"{url}/v1/agent/token",
            json.dumps({"token_sha256": digest}).encode(),
            {"Authorization": f"Bearer {bearer.get_secret_value()}", "Content-Type": "application/json"},
        )
        said = transit.said(answer)
        match answer.status:
            case 201:
                return
            case 401 | 403:
                raise NotAllowed(said)
            case status if status in (408, 429) or status >= 500:
                raise RetryLater(said)
            case _:
                raise Rejected(said)
