"""A backend that listens: real registry, real store, the API and the pages, a clock that stands still."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from uuid import uuid4

from aiohttp import ClientSession, web

from agent.wire import Batch, Reading
from backend import ids
from backend.api.meters import Meters
from backend.api.routes import routes
from backend.api.server import application, runner
from backend.api.services import Services
from backend.config import BackendSettings, Contact
from backend.console import pages
from backend.ids import AccountId, SiteId
from backend.registry import accounts, sites, tokens
from backend.registry.database import Database
from backend.registry.warning_tables import Warning
from backend.store.embedded import EmbeddedStore
from tests import registry_file
from tests.backend.console.farms import NOW


class _Nobody:
    async def judge(self, account: AccountId, site: SiteId, batch: Batch, *, now: datetime) -> None:
        """Nothing is judged here: tests say what fires."""


@dataclass
class Tenant:
    """One account with one site and its tokens."""

    account: AccountId
    site: SiteId
    token: str
    agent_token: str


@dataclass
class Served:
    """A listening backend and what tests put into it."""

    url: str
    database: Database
    store: EmbeddedStore
    now: datetime = NOW

    async def tenant(self, name: str = "North", site: str = "North hall") -> Tenant:
        """A new account."""
        async with self.database.begin() as session:
            account = AccountId((await accounts.add(session, name, region="eu", now=self.now)).id)
            farm = SiteId((await sites.add(session, account, site, now=self.now)).id)
            _, token = await tokens.issue(session, account, kind="read", label="page", now=self.now)
            _, agent = await tokens.issue(session, account, kind="agent", label="agent", site=farm, now=self.now)
        return Tenant(account, farm, token, agent)

    async def store_readings(self, tenant: Tenant, readings: Iterable[Reading]) -> None:
        """Put readings into the store."""
        batch = Batch(id=uuid4(), site=tenant.site, agent="0.1.0", sent_at=self.now, readings=tuple(readings))
        assert await self.store.write(tenant.account, batch, now=self.now)

    async def fire(
        self, tenant: Tenant, machine: str = "", rule: str = "chip_hot", *, resolved: bool = False, value: float = 103
    ) -> None:
        """A warning that began ten minutes ago."""
        async with self.database.begin() as session:
            session.add(
                Warning(
                    id=ids.new("wrn"),
                    account_id=tenant.account,
                    site_id=tenant.site,
                    machine=machine,
                    rule=rule,
                    severity="critical",
                    model="S19 Pro",
                    value=value,
                    threshold=100.0,
                    since=self.now - timedelta(minutes=10),
                    started_at=self.now - timedelta(minutes=9),
                    resolved_at=self.now - timedelta(minutes=1) if resolved else None,
                )
            )


@asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[Served]:
    """Start it on a free port; stopped at the end."""
    settings = BackendSettings(data_dir=folder, contact=Contact(email="ops@example.com", name="Ops"))
    registry_file.put(settings.data_dir)
    database = Database(settings.registry_url)
    store = EmbeddedStore(folder / "series", clock=lambda: served.now)
    served = Served("", database, store)
    services = Services(
        settings=settings, database=database, store=store, judge=_Nobody(), meters=Meters(), clock=lambda: served.now
    )
    server = runner(application(services, [*routes(settings.limits), *pages.ROUTES]), shutdown_s=0.1)
    try:
        await server.setup()
        listener = web.TCPSite(server, "127.0.0.1", 0)
        await listener.start()
        served.url = f"http://127.0.0.1:{server.addresses[0][1]}"
        yield served
    finally:
        await server.cleanup()
        await store.close()
        await database.close()


async def fetched(url: str, token: str | None = None, **headers: str) -> tuple[int, Mapping[str, str], str]:
    """Status, headers and text of an address."""
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    async with ClientSession() as session, session.get(url, headers=headers) as answer:
        return answer.status, answer.headers, await answer.text()
