"""Sends what the outbox has, at least once each.

Guarantees: a message is claimed in the database before it is sent and marked after; who dies in between lets it be sent
again under the same id, and never is one message sent by two at once. A server that hangs holds up its own messages
only, each for no longer than `DEADLINE_S`; other channels do not wait for it. What cannot be sent is tried again with
growing pauses until it is given up, visibly: in the outbox (`failed_at`, `last_error`), in the log, in the metrics.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Final

import structlog
from prometheus_client import CollectorRegistry
from sqlalchemy.exc import SQLAlchemyError

from backend.config import Contact, Notify
from backend.notify.agenda import Planner
from backend.notify.bills import Bills
from backend.notify.claim import Claim
from backend.notify.claims import Claims
from backend.notify.links import Links
from backend.notify.meters import MessageMeters
from backend.notify.pictures import Pictures
from backend.notify.protocol import Message, NeverDeliverable, Notifier, TryLater
from backend.notify.render import Renderer
from backend.notify.routing import Channel
from backend.registry.database import Database
from backend.warnings.catalogue import Catalogue

DEADLINE_S: Final = 30.0
AT_ONCE: Final = 8
"""Messages of one channel that are on their way at the same time."""

POLL_S: Final = 5.0
"""How long a message that another process wrote may go unseen."""

PICTURE_S: Final = 3.0
"""For the chart in a mail; without it the mail leaves, too."""

BILLS_S: Final = 30.0
"""For the costs in a digest; without them it leaves, too."""

GRACE_S: Final = 5.0
"""For messages that are on their way when the program ends; what takes longer is sent again by the next one."""

_FIRST_PAUSE_S: Final = 15.0
_LONGEST_PAUSE_S: Final = 1_800.0
_LONGEST_WISH_S: Final = 3_600.0  # a server may ask for longer than we would wait, but not for ever

_log = structlog.get_logger()


class Dispatcher:
    """Takes from the outbox, gives to the notifiers. A channel without a notifier keeps its messages waiting."""

    def __init__(
        self,
        database: Database,
        notifiers: Mapping[Channel, Notifier],
        settings: Notify,
        *,
        catalogue: Catalogue,
        public_url: str,
        contact: Contact,
        clock: Callable[[], datetime],
        pictures: Pictures | None = None,
        bills: Bills | None = None,
        registry: CollectorRegistry | None = None,
        deadline_s: float = DEADLINE_S,
    ) -> None:
        self._claims = Claims(database, Planner(catalogue, settings), settings)
        self._renderer = Renderer(catalogue, Links(public_url, database.keys), contact)
        self._pictures = pictures
        self._bills = bills
        self._notifiers = dict(notifiers)
        self._clock = clock
        self._deadline_s = deadline_s
        self._meters = MessageMeters(registry or CollectorRegistry())
        self._news = {channel: asyncio.Event() for channel in self._notifiers}

    def wake(self) -> None:
        """Something was written to the outbox: look again."""
        for news in self._news.values():
            news.set()

    async def dispatch(self, *, now: datetime) -> int:
        """Send all that is due at `now`; how many were tried. Each channel at its own pace."""
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._drain(channel, now), name=f"drain {channel}") for channel in self._news]
        return sum(task.result() for task in tasks)

    async def next_due(self) -> datetime | None:
        """When the next message that this dispatcher can send is due; None when none waits."""
        return await self._claims.next_due(self._notifiers)

    async def run(self) -> None:
        """Send what becomes due, until cancelled. What is on its way then has `GRACE_S` to arrive and be marked."""
        async with asyncio.TaskGroup() as group:
            for channel in self._news:
                group.create_task(self._serve(channel), name=f"notify {channel}")

    async def close(self) -> None:
        """Let go of the notifiers' connections."""
        for notifier in self._notifiers.values():
            await notifier.close()

    async def _drain(self, channel: Channel, now: datetime) -> int:
        tried = 0
        slots = asyncio.Semaphore(AT_ONCE)
        async with asyncio.TaskGroup() as group:
            while claim := await self._claims.claim(channel, now=now):
                tried += 1
                await slots.acquire()
                group.create_task(self._deliver(claim, lambda: now, slots), name=f"send {claim.id}")
        return tried

    async def _serve(self, channel: Channel) -> None:
        slots = asyncio.Semaphore(AT_ONCE)
        under_way: set[asyncio.Task[None]] = set()
        async with asyncio.TaskGroup() as group:
            try:
                while True:
                    await slots.acquire()
                    claim = await self._next(channel)
                    task = group.create_task(self._deliver(claim, self._clock, slots), name=f"send {claim.id}")
                    under_way.add(task)
                    task.add_done_callback(under_way.discard)
            except asyncio.CancelledError:
                if under_way:
                    await asyncio.wait(under_way, timeout=GRACE_S)
                raise

    async def _next(self, channel: Channel) -> Claim:
        """Wait for a message that is due."""
        while True:
            self._news[channel].clear()
            pause_s = POLL_S
            try:
                due_at = await self._claims.next_due([channel])
                now = self._clock()
                if due_at is not None and due_at <= now and (claim := await self._claims.claim(channel, now=now)):
                    return claim
                if due_at is not None and due_at > now:
                    pause_s = min(pause_s, (due_at - now).total_seconds())
            except SQLAlchemyError as error:
                _log.error("outbox.unreadable", channel=channel.value, error=type(error).__name__)
            try:
                async with asyncio.timeout(pause_s):
                    await self._news[channel].wait()
            except TimeoutError:
                continue

    async def _deliver(self, claim: Claim, clock: Callable[[], datetime], slots: asyncio.Semaphore) -> None:
        try:
            await self._send(claim, clock)
        except SQLAlchemyError as error:
            # What became of it is not written down: its lease ends, and it is sent again under the same id.
            _log.error("message.unmarked", message=claim.id, error=type(error).__name__)
        except Exception:  # noqa: BLE001 (nor may one in marking it; its lease ends, too)
            _log.exception("message.unmarked", message=claim.id)
        finally:
            slots.release()

    async def _send(self, claim: Claim, clock: Callable[[], datetime]) -> None:
        log = _log.bind(message=claim.id, channel=claim.channel.value, account=claim.member.account_id)
        try:
            with self._meters.send_s.labels(claim.channel.value).time():
                message = await self._message(claim, clock())
                async with asyncio.timeout(self._deadline_s):
                    await self._notifiers[claim.channel].send(message)
            await self._claims.sent(claim, now=clock())
        except NeverDeliverable as error:
            await self._claims.fail(claim, str(error), is_contact_bad=error.is_contact_bad, now=clock())
            self._count(claim, "failed")
            log.error("message.failed", reason=str(error))
        except TryLater as error:
            await self._put_off(claim, error, clock())
        except TimeoutError:
            await self._put_off(claim, TryLater("no answer within the deadline", may_have_arrived=True), clock())
        except SQLAlchemyError:
            raise
        except Exception as error:  # a fault of ours in one message must not stop all others
            log.exception("message.fault")
            await self._put_off(claim, TryLater(f"fault: {type(error).__name__}", may_have_arrived=True), clock())
        else:
            self._count(claim, "sent")
            log.info("message.sent", attempt=claim.attempt)

    async def _message(self, claim: Claim, now: datetime) -> Message:
        """In its final words; with a picture, if there is one in time: nobody waits for it."""
        image = None
        if self._bills is not None:
            try:
                async with asyncio.timeout(BILLS_S):
                    claim = await self._bills.of(claim)
            except Exception:  # noqa: BLE001 (whatever is wrong with the costs, the warnings have to leave)
                _log.exception("message.no_costs", message=claim.id)
        if self._pictures is not None and claim.channel is Channel.EMAIL:
            try:
                async with asyncio.timeout(PICTURE_S):
                    image = await self._pictures.of(claim, now=now)
            except Exception:  # noqa: BLE001 (whatever is wrong with a picture, the words have to leave)
                _log.exception("message.no_picture", message=claim.id)
        return self._renderer.message(claim, now=now, image=image)

    async def _put_off(self, claim: Claim, reason: TryLater, now: datetime) -> None:
        due_at = now + timedelta(seconds=pause_s(claim.attempt, reason.after_s, random.random()))  # noqa: S311 (jitter)
        goes_on = await self._claims.retry(
            claim, str(reason), due_at=due_at, may_have_arrived=reason.may_have_arrived, now=now
        )
        self._count(claim, "put_off" if goes_on else "given_up")
        log = _log.bind(message=claim.id, channel=claim.channel.value, reason=str(reason), attempt=claim.attempt)
        if goes_on:
            log.warning("message.put_off", until=due_at.isoformat())
        else:
            log.error("message.given_up")

    def _count(self, claim: Claim, outcome: str) -> None:
        self._meters.messages.labels(claim.channel.value, outcome).inc()


def pause_s(attempt: int, wish_s: float | None, chance: float) -> float:
    """Before the next try, seconds: doubling, half of it by chance (0…1), and not less than the server asked for."""
    longest = min(_FIRST_PAUSE_S * 2.0 ** min(attempt - 1, 20), _LONGEST_PAUSE_S)
    return max(longest * (0.5 + chance / 2), min(wish_s or 0.0, _LONGEST_WISH_S))
