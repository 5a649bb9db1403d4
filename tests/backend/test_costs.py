"""Yesterday's energy and money, over real HTTP, registry and store."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from backend.registry import tokens
from tests.backend.console.farms import NOW, latest
from tests.backend.console.served import Served, Tenant, serving

_MINUTES = 5


@pytest.fixture
async def backend(tmp_path: Path) -> AsyncIterator[Served]:
    async with serving(tmp_path) as served:
        yield served


async def run(backend: Served, tenant: Tenant, number: int, since: datetime, hours: float, **fields: Any) -> None:
    """A machine's readings at 3 kW, one every five minutes, from `since` on, both ends."""
    ages = [(NOW - since).total_seconds() - 60 * _MINUTES * n for n in range(round(hours * 60 / _MINUTES) + 1)]
    await backend.store_readings(tenant, [latest(number, age_s=age, **fields).reading for age in ages])


async def asked(backend: Served, token: str, **query: str) -> Any:
    async with (
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as session,
        session.get(f"{backend.url}/v1/costs", params=query) as answer,
    ):
        return await answer.json() | {"status": answer.status}


async def changed(backend: Served, tenant: Tenant, **body: Any) -> tuple[int, Any]:
    async with backend.database.begin() as session:
        _, secret = await tokens.issue(session, tenant.account, kind="manage", label="tests", now=NOW)
    async with (
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {secret}"}) as client,
        client.post(f"{backend.url}/v1/sites/change", json={"site": tenant.site, **body}) as answer,
    ):
        return answer.status, await answer.json(content_type=None)


async def test_yesterday_is_that_of_the_site_and_costs_what_its_tariff_says(backend: Served) -> None:
    """12:00 UTC on 1 January is 20:00 in Shanghai, where 31 December ended at 16:00 UTC."""
    tenant = await backend.tenant()
    midnight = datetime(2025, 12, 31, 16, tzinfo=UTC)
    await run(backend, tenant, 1, midnight - timedelta(hours=3), 4)
    assert (await changed(backend, tenant, time_zone="Asia/Shanghai", tariff_per_kwh=0.5, currency="CNY"))[0] == 204
    found = await asked(backend, tenant.token)
    (cost,) = found["costs"]
    assert (cost["first_day"], cost["last_day"], cost["time_zone"]) == ("2025-12-31", "2025-12-31", "Asia/Shanghai")
    # The reading at midnight is today's, and so are the five minutes that it tells of.
    assert cost["energy_kwh"] == pytest.approx(3 * (3 - _MINUTES / 60))
    assert cost["cost"] == pytest.approx(cost["energy_kwh"] * 0.5)
    assert found["totals"] == [{"currency": "CNY", "energy_kwh": cost["energy_kwh"], "cost": cost["cost"]}]
    today = await asked(backend, tenant.token, day="2026-01-01")
    assert today["costs"][0]["energy_kwh"] == pytest.approx(3 * (1 + _MINUTES / 60))
    both = await asked(backend, tenant.token, day="2026-01-01", days="2", site="North hall")
    assert both["costs"][0]["energy_kwh"] == pytest.approx(12)


async def test_days_that_begin_between_two_hours_of_utc_are_cut_there(backend: Served) -> None:
    tenant = await backend.tenant()
    midnight = datetime(2025, 12, 31, 18, 15, tzinfo=UTC)  # of Kathmandu
    await changed(backend, tenant, time_zone="Asia/Kathmandu")
    await run(backend, tenant, 1, midnight - timedelta(minutes=60), 2)
    (cost,) = (await asked(backend, tenant.token))["costs"]
    assert cost["energy_kwh"] == pytest.approx(3 * 55 / 60)
    assert (cost.get("cost"), cost.get("currency")) == (None, None)


async def test_what_is_not_known_is_absent_and_not_nothing(backend: Served) -> None:
    tenant = await backend.tenant()
    found = await asked(backend, tenant.token)
    assert (found["costs"][0].get("energy_kwh"), found["totals"]) == (None, [])
    yesterday = NOW - timedelta(hours=20)
    await run(backend, tenant, 1, yesterday, 2)
    await run(backend, tenant, 2, yesterday, 2, power_w=None)
    (cost,) = (await asked(backend, tenant.token))["costs"]
    assert (cost["machines"], cost["machines_unmetered"]) == (2, 1)
    assert cost["energy_kwh"] == pytest.approx(6)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"tariff_per_kwh": 0.07}, "currency"),
        ({"currency": "dollars"}, "such as USD"),
        ({"time_zone": "Mars/Olympus"}, "Asia/Shanghai"),
        ({"lan_url": "javascript:alert(1)"}, "http://192.168.1.5:8700"),
        ({"name": "  "}, "1 to 200"),
    ],
)
async def test_what_a_site_cannot_be_told_says_what_to_write(backend: Served, body: Any, words: str) -> None:
    status, told = await changed(backend, await backend.tenant(), **body)
    assert status == 422
    assert words in told["detail"]


async def test_another_accounts_site_is_neither_told_nor_changed(backend: Served) -> None:
    ours, theirs = await backend.tenant(), await backend.tenant("Other", "Elsewhere")
    assert (await asked(backend, ours.token, site=theirs.site))["status"] == 404
    assert (await changed(backend, Tenant(ours.account, theirs.site, "", ""), currency="USD"))[0] == 404


@pytest.mark.parametrize("day", ["2026-01-02", "1999-01-01"])
async def test_a_day_that_cannot_be_is_refused(backend: Served, day: str) -> None:
    tenant = await backend.tenant()
    assert (await asked(backend, tenant.token, day=day))["status"] == 400


async def test_today_is_a_day_that_has_begun_at_the_site(backend: Served) -> None:
    tenant = await backend.tenant()
    assert (await changed(backend, tenant, time_zone="Pacific/Kiritimati"))[0] == 204  # 14 h ahead of UTC
    assert (await asked(backend, tenant.token, day="2026-01-02"))["status"] == 200
    assert (await asked(backend, tenant.token, day="2026-01-03"))["status"] == 400
