"""Sends what the spool holds to the backend, in the spool's order, until the backend says that it has it.

What an answer means:
- 200 with the contract's answer: acknowledged. Any other 2xx or 3xx, or a 200 that says something else, comes from
  something that is not the backend (a captive portal, a wrong URL): nothing is acknowledged, try again later.
- 400, 422: this batch will never be taken: quarantine. 413: it is too big: halve it; a single reading: quarantine.
- 422 for the contract's version, or for totals that the backend does not keep: one side has to be updated, wait for
  that. 422 for its times while the two clocks differ: wait until this computer's clock is right.
- 403 that asks for totals: obeyed from the next request on, and after every restart; readings stay at the site.
- 401, other 403: our token is not valid: pause, say so, look again every few minutes (a fixed token goes on by itself).
- 408, 429, 5xx, no answer: full-jitter exponential back-off; Retry-After is honoured up to a bound.
- Everything else, 415 too, is about the way and not about this batch: nothing is lost, retry as slowly as when paused.

A batch keeps its id over all tries, so an answer that got lost on its way costs nothing: the backend stores an id once.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final, Literal, NamedTuple
from uuid import UUID

import aiohttp
import structlog
import zstandard
from pydantic import BaseModel, ConfigDict, StrictBool, StrictInt, ValidationError

from agent import transit
from agent.enrolment import Enrolment
from agent.errors import DiskTrouble, Misconfigured, NotAllowed, Rejected, RetryLater
from agent.privacy import Privacy
from agent.spool import Spool, Spooled

log = structlog.get_logger()

Word = Literal["idle", "sending", "waiting", "paused"]


@dataclass(frozen=True)
class Pacing:
    """How long to wait between tries, in seconds."""

    base_s: float = 1.0
    cap_s: float = 60.0  # a backend that is back is noticed within the minute, well before `agent_silent`
    paused_s: float = 300.0
    retry_after_cap_s: float = 3_600.0


USUAL: Final = Pacing()


class Condition(NamedTuple):
    """How the uplink does, for the status page. `why` names nothing of the site."""

    word: Word
    why: str
    since: datetime
    acknowledged_at: datetime | None
    acknowledged_batches: int
    acknowledged_readings: int


class TooBig(Rejected):
    """The backend takes no batch of this size (413): halve it."""


class TotalsOnly(Exception):
    """The backend may not be sent readings of single machines."""


_CLOCKS_DIFFER_S: Final = 300.0
_UPDATE: Final = frozenset({"unknown-contract", "aggregates-not-stored"})
_TOTALS_ONLY: Final = "aggregates-only"


class _Stored(BaseModel):
    """The contract's answer to a batch; fields that later versions add are left alone."""

    model_config = ConfigDict(frozen=True)

    stored: StrictBool
    readings: StrictInt


class Uplink:
    """One sender of one spool. `run` never ends by itself."""

    def __init__(
        self,
        client: aiohttp.ClientSession,
        enrolment: Callable[[], Enrolment],
        spool: Spool,
        clock: Callable[[], datetime],
        pacing: Pacing = USUAL,
        leaving: Callable[[UUID, bytes], None] = lambda batch, body: None,
        privacy: Privacy | None = None,
    ) -> None:
        """Without `privacy` a demand for totals stands until the process ends.

        `enrolment` is asked again after each refusal of the token, so that a new one is used without a restart.

        `leaving` is called before each try with the batch's id and the request's body, to the letter.
        """
        self._client = client
        self._ask_enrolment = enrolment
        self._enrolment = enrolment()
        self._spool = spool
        self._clock = clock
        self._pacing = pacing
        self._leaving = leaving
        self._privacy = privacy or Privacy.open_mind()
        self._news = asyncio.Event()
        self._renewed = asyncio.Event()
        self._failures = 0
        self._condition = Condition("idle", "", clock(), None, 0, 0)

    @property
    def condition(self) -> Condition:
        return self._condition

    def wake(self) -> None:
        """A batch was spooled: send it at once, unless the backend is being waited for."""
        self._news.set()

    def renewed(self) -> None:
        """There is another token: use it from the next request on, and do not wait any more if one was refused."""
        self._renew()
        self._renewed.set()

    async def run(self) -> None:
        """Send until cancelled. Raises nothing of its own: every failure has its wait."""
        while True:
            self._news.clear()
            try:
                await self.drain()
                await self._news.wait()
            except NotAllowed as error:
                self._enter("paused", str(error))
                self._renewed.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._pacing.paused_s):
                        await self._renewed.wait()
                self._renew()
            except (RetryLater, DiskTrouble) as error:
                self._enter("waiting", str(error))
                await asyncio.sleep(self._delay_s(error))
                self._failures += 1

    async def drain(self) -> None:
        """Send all there is; at the first batch that cannot go, raises `RetryLater`, `NotAllowed` or `DiskTrouble`."""
        while (spooled := await asyncio.to_thread(self._next_up)) is not None:
            await self._deliver(spooled)
            self._failures = 0
        self._enter("idle", "")

    def _next_up(self) -> Spooled | None:
        return self._spool.next_up(totals_only=self._privacy.is_totals_only)

    async def _deliver(self, spooled: Spooled) -> None:
        if self._condition.word == "idle":
            self._enter("sending", "")
        try:
            await self._send(spooled)
        except TotalsOnly as error:
            if not spooled.envelope.readings:  # then there is nothing that could be left out
                raise RetryLater(str(error), self._pacing.paused_s) from error
            await asyncio.to_thread(self._privacy.demand_totals)
            return
        except TooBig as error:
            if await asyncio.to_thread(self._spool.split, spooled.sequence):
                log.info("uplink.halved", sequence=spooled.sequence, readings=spooled.envelope.readings)
            else:
                await asyncio.to_thread(self._spool.quarantine, spooled.sequence, str(error))
            return
        except Rejected as error:
            await asyncio.to_thread(self._spool.quarantine, spooled.sequence, str(error))
            return
        await asyncio.to_thread(self._spool.acknowledge, spooled.sequence)
        self._condition = self._condition._replace(
            acknowledged_at=self._clock(),
            acknowledged_batches=self._condition.acknowledged_batches + 1,
            acknowledged_readings=self._condition.acknowledged_readings + spooled.envelope.readings,
        )
        self._enter("sending", "")

    async def _send(self, spooled: Spooled) -> None:
        """One try. Returns when the backend has the batch; raises by what its answer means."""
        body = await asyncio.to_thread(_body, spooled, self._clock())
        self._leaving(spooled.envelope.id, body)
        answer = await transit.post(
            self._client,
            f"{self._enrolment.url}/v1/batches",
            body,
            {
                "Authorization": f"Bearer {self._enrolment.token.get_secret_value()}",
                "Content-Type": "application/json",
                "Content-Encoding": "zstd",
                "Accept": "application/json",
            },
        )
        self._judge(answer)

    def _judge(self, answer: transit.Answer) -> None:
        said = transit.said(answer)
        kind = transit.problem_kind(answer)
        match answer.status:
            case 200:
                if not _is_acknowledgement(answer):
                    raise RetryLater(
                        "what answers at the backend's URL is not the backend (a sign-in page of the network?)"
                    )
            case 413:
                raise TooBig(said)
            case 422 if kind in _UPDATE:
                raise RetryLater(f"{said}; update the older one of the two: nothing is lost", self._pacing.paused_s)
            case 422 if kind == "time" and (ahead_s := self._ahead_s(answer)):
                raise RetryLater(
                    f"this computer's clock is {abs(ahead_s):.0f} s {'ahead of' if ahead_s > 0 else 'behind'} the "
                    "backend's; set it right",
                    self._pacing.paused_s,
                )
            case 403 if kind == _TOTALS_ONLY:
                raise TotalsOnly(said)
            case 400 | 422:
                raise Rejected(said)
            case 401 | 403:
                raise NotAllowed(f"{said}; the token is not valid, enrol this site again with --again")
            case status if status in (408, 429) or status >= 500:
                raise RetryLater(said, _retry_after_s(answer.headers.get("Retry-After"), self._clock()))
            case _:
                raise RetryLater(f"{said}; is its URL right, and its version?", self._pacing.paused_s)

    def _ahead_s(self, answer: transit.Answer) -> float:
        """How far our clock is ahead of the backend's; 0 when they agree, or the backend does not say."""
        try:
            theirs = parsedate_to_datetime(answer.headers.get("Date", ""))
        except ValueError:
            return 0.0
        ahead_s = (self._clock() - (theirs if theirs.tzinfo else theirs.replace(tzinfo=UTC))).total_seconds()
        return ahead_s if abs(ahead_s) > _CLOCKS_DIFFER_S else 0.0

    def _renew(self) -> None:
        """Take a token that was enrolled meanwhile; one of another site needs a restart, readings carry the site."""
        try:
            enrolment = self._ask_enrolment()
        except Misconfigured:
            return  # being written, or gone: the old token is refused again, and that is said
        if enrolment.site == self._enrolment.site:
            self._enrolment = enrolment

    def _delay_s(self, error: RetryLater | DiskTrouble) -> float:
        """Full jitter, so that a farm of agents does not come back in step; never less than the backend asked for."""
        most_s = min(self._pacing.cap_s, self._pacing.base_s * 2 ** min(self._failures, 30))
        jitter_s = random.uniform(0, most_s)  # noqa: S311 - spreads load, guards nothing
        asked_s = error.after_s if isinstance(error, RetryLater) and error.after_s else 0.0
        return max(jitter_s, min(asked_s, self._pacing.retry_after_cap_s))

    def _enter(self, word: Word, why: str) -> None:
        """Change the condition; a failure is logged once, and so is its recovery."""
        before = self._condition
        if (word, why) == (before.word, before.why):
            return
        self._condition = before._replace(word=word, why=why, since=self._clock())
        if word in ("waiting", "paused") and (before.word != word or before.why != why):
            log.warning(f"uplink.{word}", why=why)
        elif before.word in ("waiting", "paused") and word in ("sending", "idle"):
            log.info("uplink.recovered", after_s=round((self._clock() - before.since).total_seconds(), 1))


def _body(spooled: Spooled, now: datetime) -> bytes:
    return zstandard.ZstdCompressor(level=3).compress(spooled.envelope.stamped(now, spooled.unsent_since))


def _is_acknowledgement(answer: transit.Answer) -> bool:
    if not answer.headers.get("Content-Type", "").startswith("application/json"):
        return False
    try:
        _Stored.model_validate_json(answer.body)
    except ValidationError:
        return False
    return True


def _retry_after_s(value: str | None, now: datetime) -> float | None:
    """Seconds of a Retry-After header, which is a number of seconds or a date; None when it is neither."""
    if not value:
        return None
    if value.strip().isdecimal():
        return float(value)
    try:
        when = parsedate_to_datetime(value)
    except ValueError:
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return max(0.0, (when - now).total_seconds())
