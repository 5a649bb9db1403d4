"""The whole service, wired: registry, store, rules, messages, API, pages; started and stopped in order.

Stopping: no new connection is taken, requests under way are answered, messages under way get a moment, then
files and connections are closed. Killing it instead loses nothing that was acknowledged.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final
from urllib.parse import urlsplit

import structlog
import uvloop
from aiohttp import web

from backend.accounts import challenges, devices, registration, throttle, tries
from backend.api.meters import Meters
from backend.api.retention import RetentionReply, reply
from backend.api.routes import routes
from backend.api.server import application, runner
from backend.api.services import Clock, Services
from backend.config import BackendSettings, Misconfigured
from backend.console.pages import ROUTES as PAGES
from backend.ids import AccountId
from backend.jobs import Pace, every
from backend.notify import digests
from backend.notify.bills import Bills
from backend.notify.dispatcher import Dispatcher
from backend.notify.email import Email
from backend.notify.outbox import Outbox
from backend.notify.pictures import Pictures
from backend.notify.protocol import NotConfigured, Notifier
from backend.notify.routing import Channel
from backend.notify.sms import providers
from backend.notify.webhook import Webhook
from backend.operator_socket import answering
from backend.privacy import ceasing, erasing, keeping, processors
from backend.privacy.duties import Duties
from backend.privacy.letters import Post
from backend.privacy.processors import Registered
from backend.privacy.sweeping import Sweeper
from backend.registry import enrolment
from backend.registry.database import Database
from backend.registry.sealing import NoKey
from backend.registry.wiring import registry
from backend.serving_lock import Busy, serving_lock
from backend.store.keys import BadKey
from backend.store.protocol import Store
from backend.store.wiring import SHARED, STORES
from backend.warnings.catalogue import BadRule, Catalogue
from backend.warnings.engine import Engine

log = structlog.get_logger()

_PACE: Final = Pace()
_ERASING: Final = timedelta(minutes=10)
"""Whoever erases a part for longer is taken for dead: another backend finishes it."""
COLLECT_EVERY: Final = 50_000
"""Objects that are new and still there, after which Python looks for cycles among them."""


def run(settings: BackendSettings) -> None:
    """Serve until SIGTERM or SIGINT. Raises `Misconfigured` for what the operator has to change."""

    async def main() -> None:
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        await serve(settings, stop=stop, clock=_utc_now)

    # Batches are tens of thousands of objects that no cycle holds: to look for cycles every 700 of them was a quarter
    # of what a poll costs.
    gc.set_threshold(COLLECT_EVERY)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop:
        loop.run(main())


async def serve(settings: BackendSettings, *, stop: asyncio.Event, clock: Clock, pace: Pace = _PACE) -> None:
    """Serve until `stop` is set. The event `backend.listening` says when and where it does."""
    settings.make_data_dir()
    async with AsyncExitStack() as closing:
        _lock(closing, settings)
        listening = closing.enter_context(_listening(settings))
        url = _url(listening)
        database = registry(settings)
        closing.push_async_callback(database.close)
        await _prepare(database, settings, now=clock())
        store = _store(settings, clock)
        closing.push_async_callback(store.close)
        await _resume(database, store, settings, now=clock())
        meters = Meters()
        public_url = settings.public_url or url
        notifiers = _notifiers(settings, database, clock, public_url)
        for channel, notifier in notifiers.items():
            if not await notifier.is_registered():
                log.warning("notify.no_processor", channel=channel.value, advice="itsminer-backend processor add")
        dispatcher, engine = _warnings(settings, database, notifiers, meters, store, clock, public_url=public_url)
        closing.push_async_callback(dispatcher.close)
        services = Services(
            settings=settings,
            database=database,
            store=store,
            judge=engine,
            meters=meters,
            clock=clock,
            public_url=public_url,
            wake=dispatcher.wake,
        )
        duties = Duties(database, settings, Post(database, notifiers, settings.contact, public_url))
        sweeper = Sweeper(database, store)
        alone = partial(_alone, database, settings, clock)
        serving = runner(application(services, (*routes(settings.limits, settings.accounts), *PAGES)))
        answers = {"retention": partial(_retention, services)}
        async with answering(settings.data_dir, answers), asyncio.TaskGroup() as tasks:

            def job(period_s: float, name: str, work: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
                return tasks.create_task(every(period_s, name, work), name=name)

            jobs = [
                job(pace.tick_s, "tick", lambda: engine.tick(now=clock())),
                job(pace.tidy_s, "tidy", lambda: _tidy(services, clock())),
                job(pace.tend_s, "tend", alone("tend", store.tend)),
                job(pace.sweep_s, "retention", alone("retention", sweeper.do)),
                job(pace.duties_s, "duties", lambda: duties.do(now=clock())),
                job(pace.duties_s, "exports", lambda: _exports(services, clock())),
                job(pace.duties_s, "ceasing", lambda: _cease(services, clock())),
                job(pace.digests_s, "digests", lambda: _digests(services, clock())),
                tasks.create_task(dispatcher.run(), name="dispatcher"),
            ]
            await _answer(serving, listening, url, settings, stop)
            for one in jobs:
                one.cancel()
    log.info("backend.stopped")


async def _answer(
    serving: web.AppRunner, listening: socket.socket, url: str, settings: BackendSettings, stop: asyncio.Event
) -> None:
    """Answer requests until `stop`, then those that are under way."""
    await serving.setup()
    try:
        await web.SockSite(serving, listening, backlog=512).start()
        log.info("backend.listening", url=url, region=settings.region, store=settings.store.engine)
        await stop.wait()
        log.info("backend.stopping")
    finally:
        await serving.cleanup()


def _lock(closing: AsyncExitStack, settings: BackendSettings) -> None:
    try:
        closing.enter_context(serving_lock(settings.data_dir))
    except Busy as error:
        raise Misconfigured(str(error)) from error


def _alone(
    database: Database, settings: BackendSettings, clock: Clock, name: str, job: Callable[..., Awaitable[None]]
) -> Callable[[], Awaitable[None]]:
    """A job that one backend at a time does where several share the store, and each where each has its own."""

    async def now_and_alone() -> None:
        if settings.store.engine not in SHARED:
            await job(now=clock())
            return
        async with database.lease(name) as is_ours:
            if is_ours:
                await job(now=clock())

    return now_and_alone


async def _retention(services: Services, account: str) -> RetentionReply:
    return reply(await keeping.report(services.database, services.store, AccountId(account)))


async def _exports(services: Services, now: datetime) -> None:
    """One backend at a time: they share the folder."""
    async with services.database.lease("exports") as is_ours:
        if is_ours:
            await services.exports.do(now=now)


async def _cease(services: Services, now: datetime) -> None:
    await ceasing.go_on(services.database, services.store, erased_file=services.settings.erased_file, now=now)


async def _digests(services: Services, now: datetime) -> None:
    if await digests.open_due(services.database, now=now):
        services.wake()


async def _tidy(services: Services, now: datetime) -> None:
    async with services.database.begin() as session:
        await enrolment.forget_expired(session, now=now)
        await registration.forget_old(session, now=now)
        await challenges.forget_old(session, now=now)
        await throttle.forget_old(session, now=now)
        await tries.forget_old(session, now=now)
        await devices.forget_old(session, now=now)
        await services.sessions.forget_expired(session, now=now)
    await erasing.finish_parts(services.database, services.store, begun_before=now - _ERASING, now=now)


async def _resume(database: Database, store: Store, settings: BackendSettings, *, now: datetime) -> None:
    """Erase what somebody was killed over, or brought back from a backup. Raises `Misconfigured`: keys are missing."""
    for account in await erasing.erase_again(database, store, erased_file=settings.erased_file, now=now):
        log.warning("account.erased_again", account=account)
    for receipt in await erasing.finish_parts(database, store, begun_before=now, now=now):
        log.warning("erasure.finished", receipt=receipt)
    if lost := await erasing.unreadable(database):
        raise Misconfigured(
            f"seal: {len(lost)} accounts ({lost[0]}, …) have no key in {settings.account_keys_dir}: is it the folder "
            f"that belongs to this registry (seal.accounts_dir)? Those that were erased belong into "
            f"{settings.erased_file}, which is not to be restored from a backup"
        )


async def _prepare(database: Database, settings: BackendSettings, *, now: datetime) -> None:
    """Tables and keys as they have to be. Raises `Misconfigured`."""
    try:
        log.info("keys.loaded", newest=database.keys.newest)
    except NoKey as error:
        raise Misconfigured(f"seal: {error}") from error
    if settings.seal_keys is None:
        log.warning("keys.beside_the_registry", advice="seal.keys_file on another disk")
    await database.migrate()
    async with database.begin() as session:
        await processors.register_own(session, now=now)


def _store(settings: BackendSettings, clock: Clock) -> Store:
    if settings.store.master_key is None:
        log.warning("store.master_key_beside_the_data", advice="store.master_key_file on another disk")
    try:
        return STORES[settings.store.engine](settings, clock)
    except (BadKey, OSError) as error:
        raise Misconfigured(f"store: {error}") from error


def _warnings(
    settings: BackendSettings,
    database: Database,
    notifiers: Mapping[Channel, Notifier],
    meters: Meters,
    store: Store,
    clock: Clock,
    *,
    public_url: str,
) -> tuple[Dispatcher, Engine]:
    catalogue = Catalogue.load()
    dispatcher = Dispatcher(
        database,
        notifiers,
        settings.notify,
        catalogue=catalogue,
        public_url=public_url,
        contact=settings.contact,
        clock=clock,
        pictures=Pictures(store, catalogue),
        bills=Bills(store),
        registry=meters.registry,
    )
    try:
        engine = Engine(database, catalogue, Outbox(settings.notify), settings.rules, on_announced=dispatcher.wake)
    except BadRule as error:
        raise Misconfigured(f"rules: {error}") from error
    return dispatcher, engine


def _notifiers(
    settings: BackendSettings, database: Database, clock: Clock, public_url: str
) -> dict[Channel, Registered]:
    """The channels that are configured; the messages of the others wait."""
    notifiers: dict[Channel, Registered] = {}
    try:
        if settings.smtp.host is not None:
            notifiers[Channel.EMAIL] = Registered(
                Email(settings.smtp, name=settings.contact.name), settings.smtp.host, database, clock
            )
        if (texts := providers.notifier(settings.sms, public_url, settings.data_dir)) is not None:
            host = urlsplit(settings.sms.url or "//localhost").hostname or ""
            notifiers[Channel.SMS] = Registered(texts, host, database, clock)
    except NotConfigured as error:
        raise Misconfigured(str(error)) from error
    webhook = Webhook(settings.webhook, clock)
    notifiers[Channel.WEBHOOK] = Registered(webhook, processors.WEBHOOKS, database, clock)
    for channel in Channel:
        if channel not in notifiers:
            log.warning("notify.not_configured", channel=channel.value)
    return notifiers


@contextmanager
def _listening(settings: BackendSettings) -> Iterator[socket.socket]:
    host, port = settings.listen.host, settings.listen.port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno is not None else str(error)  # strerror's own has more
        raise Misconfigured(f"listen: {host} port {port} cannot be used ({reason})") from error
    with listening:
        yield listening


def _url(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _utc_now() -> datetime:
    return datetime.now(UTC)
