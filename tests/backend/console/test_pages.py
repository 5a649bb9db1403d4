"""The first page over HTTP, from a real store and registry."""

from __future__ import annotations

import html
import re
from datetime import timedelta

import pytest

from agent.aggregate import totals
from agent.wire import Reading, State
from backend.api.route import Route
from backend.console import files, pages
from backend.registry import warnings
from tests.backend.console.farms import NOW, latest, machine
from tests.backend.console.served import Served, Tenant, fetched
from tests.backend.readings import batch


def hour_of(number: int, hashrate_ths: float = 100.0) -> list[Reading]:
    """A machine's readings of the last hour, one a minute, the newest of them now."""
    return [latest(number, age_s=60 * minute, hashrate_ths=hashrate_ths).reading for minute in range(60)]


async def shown(backend: Served, tenant: Tenant, query: str = "") -> str:
    status, _, text = await fetched(f"{backend.url}/console/farm{query}", tenant.token)
    assert status == 200
    return text.replace("\u202f", " ")


async def test_the_frame_needs_no_token_and_sets_no_cookie(backend: Served) -> None:
    status, headers, text = await fetched(f"{backend.url}/?state=idle&utm=whatever")
    assert status == 200
    assert headers["Content-Type"].startswith("text/html")
    assert "ops@example.com" in text
    assert "Set-Cookie" not in headers


@pytest.mark.parametrize("route", [r for r in pages.ROUTES if r.access in ("public", "read")], ids=lambda r: r.path)
async def test_every_answer_has_the_strict_policy_and_no_cookie(backend: Served, route: Route[pages.Choice]) -> None:
    tenant = await backend.tenant()
    await backend.store_readings(tenant, [latest(1).reading])
    await backend.fire(tenant, machine(1))
    async with backend.database.read() as session:
        [warning] = await warnings.listed(session, tenant.account)
    query = f"?machine={machine(1)}&warning={warning.id}"
    status, headers, _ = await fetched(backend.url + route.path + query, tenant.token)
    assert status == 200
    assert headers["Content-Security-Policy"] == files.CONTENT_POLICY
    assert "unsafe" not in files.CONTENT_POLICY
    assert headers["Content-Type"].partition(";")[0] == route.media_type
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert "Set-Cookie" not in headers


async def test_every_file_that_the_frame_names_is_there_and_may_be_kept(backend: Served) -> None:
    _, _, text = await fetched(backend.url + "/")
    named = re.findall(r'(?:href|src)="(/static/[^"]+)"', text)
    assert len(named) == 5
    for address in named:
        status, headers, _ = await fetched(backend.url + address)
        assert status == 200
        assert "immutable" in headers["Cache-Control"]


@pytest.mark.parametrize("token", [None, "", "imt_nobody", "nonsense"])
async def test_the_farm_is_not_shown_without_a_valid_token(backend: Served, token: str | None) -> None:
    status, headers, text = await fetched(f"{backend.url}/console/farm", token)
    assert status == 401
    assert "mnr-" not in text
    assert "basic" not in headers.get("WWW-Authenticate", "").lower()  # a browser would ask by itself


async def test_an_agents_token_does_not_open_the_farm(backend: Served) -> None:
    tenant = await backend.tenant()
    status, _, _ = await fetched(f"{backend.url}/console/farm", tenant.agent_token)
    assert status == 403


async def test_a_new_account_is_told_how_to_begin(backend: Served) -> None:
    text = await shown(backend, await backend.tenant())
    assert "No machine has reported yet" in text
    assert f"--backend {backend.url}" in text


async def test_the_farm_shows_totals_machines_warnings_and_charts(backend: Served) -> None:
    tenant = await backend.tenant()
    await backend.store_readings(
        tenant, [*hour_of(1), *hour_of(2, 50.0), latest(3, State.UNREACHABLE, age_s=0).reading]
    )
    await backend.fire(tenant, machine(2))
    await backend.fire(tenant, "", "agent_silent")
    await backend.fire(tenant, machine(1), "fan_stopped", resolved=True)
    text = await shown(backend, tenant)
    assert "150 TH/s" in text
    assert "6.00 kW" in text
    assert all(machine(n) in text for n in (1, 2, 3))
    assert "Chip too hot" in text
    assert "103 °C" in text
    assert "limit 100 °C" in text
    assert "Site silent" in text
    firing, _, over = text.partition('class="over"')
    assert "Fan stopped" not in firing
    assert "Ended in the last 24 hours: 1" in over
    assert "Fan stopped" in over
    assert text.count("<svg") >= 6
    line = re.search(r'aria-label="Hashrate, [^"]*">.*?spark-line" d="M([^"]+)"', text)
    assert line is not None
    assert line[1].count("L") == 30  # two minutes a step


async def test_a_farm_that_tells_totals_only_is_shown_by_them(backend: Served) -> None:
    tenant = await backend.tenant()
    machines = [latest(number, age_s=30).reading for number in range(7)]
    for age_s in (600, 90, 30):
        time = backend.now - timedelta(seconds=age_s)
        told = batch(site=tenant.site, sent_at=backend.now, aggregates=tuple(totals(time, machines)))
        assert await backend.store.write(tenant.account, told, now=backend.now)
    text = await shown(backend, tenant)
    assert "700 TH/s" in text
    assert "21.0 kW" in text
    assert "of 7 machines" in text
    assert "Of 7 machines only their site's totals are known" in html.unescape(text)
    assert "mnr-" not in text.partition("reveal")[0]


async def test_a_rule_that_is_no_more_keeps_its_warnings_readable(backend: Served) -> None:
    tenant = await backend.tenant()
    await backend.store_readings(tenant, [latest(1).reading])
    await backend.fire(tenant, machine(1), "lost_rule")
    assert "Lost rule" in await shown(backend, tenant)


async def test_a_warning_is_told_of_for_a_day_after_it_ended(backend: Served) -> None:
    tenant = await backend.tenant()
    await backend.store_readings(tenant, [latest(1).reading])
    await backend.fire(tenant, machine(1), resolved=True)
    backend.now = NOW + timedelta(hours=23)
    assert "Chip too hot" in await shown(backend, tenant)
    backend.now = NOW + timedelta(hours=25)
    assert "Chip too hot" not in await shown(backend, tenant)


async def test_a_machine_that_misses_a_poll_makes_no_dent_in_the_total(backend: Served) -> None:
    tenant = await backend.tenant()
    polls = hour_of(2)
    await backend.store_readings(tenant, [*hour_of(1), *polls[:20], *polls[21:]])
    line = re.search(r'aria-label="Hashrate, [^"]*">.*?spark-line" d="M([^"]+)"', await shown(backend, tenant))
    assert line is not None
    assert len({point.split()[1] for point in line[1].split("L")}) == 1


async def test_nobody_sees_anothers_farm(backend: Served) -> None:
    mine, theirs = await backend.tenant("Mine", "Here"), await backend.tenant("Theirs", "There")
    await backend.store_readings(mine, [latest(1).reading])
    await backend.store_readings(theirs, [latest(2).reading])
    await backend.fire(theirs, machine(2))
    text = await shown(backend, mine)
    assert machine(1) in text
    assert machine(2) not in text
    assert "Chip too hot" not in text


async def test_an_unchanged_farm_is_not_sent_again_and_a_changed_one_is(backend: Served) -> None:
    tenant = await backend.tenant()
    await backend.store_readings(tenant, [latest(1, age_s=60).reading])
    address = f"{backend.url}/console/farm"
    _, headers, _ = await fetched(address, tenant.token)
    tag = headers["ETag"]
    assert "no-store" in headers["Cache-Control"]
    backend.now = NOW + timedelta(seconds=5)
    status, _, text = await fetched(address, tenant.token, **{"If-None-Match": tag})
    assert (status, text) == (304, "")
    status, headers, _ = await fetched(f"{address}?state=idle", tenant.token, **{"If-None-Match": tag})
    assert status == 200
    await backend.store_readings(tenant, [latest(1, age_s=0).reading])
    status, headers, _ = await fetched(address, tenant.token, **{"If-None-Match": tag})
    assert status == 200
    tag = headers["ETag"]
    await backend.fire(tenant, machine(1))
    status, headers, _ = await fetched(address, tenant.token, **{"If-None-Match": tag})
    assert status == 200
    tag = headers["ETag"]
    backend.now = NOW + timedelta(minutes=6)  # silence changes it too, though nothing arrived
    status, _, text = await fetched(address, tenant.token, **{"If-None-Match": tag})
    assert status == 200
    assert "silent" in text


async def test_a_link_chooses_state_order_and_number_of_rows(backend: Served) -> None:
    tenant = await backend.tenant()
    await backend.store_readings(tenant, [latest(n).reading for n in range(120)])
    await backend.store_readings(tenant, [latest(200, State.IDLE, hashrate_ths=0).reading])

    def rows(text: str) -> list[str]:
        return re.findall(r'scope="row"><a class="machine" href="/machine.machine=(mnr-\d+)"', text)

    assert len(rows(await shown(backend, tenant))) == 100
    assert len(rows(await shown(backend, tenant, "?page=2"))) == 21
    assert len(rows(await shown(backend, tenant, "?page=99"))) == 21  # the last one there is
    assert "101 to 121 of 121" in await shown(backend, tenant, "?page=2")
    assert rows(await shown(backend, tenant, f"?q={machine(117)[-4:]}")) == [machine(117)]
    assert rows(await shown(backend, tenant, "?state=idle")) == [machine(200)]
    assert rows(await shown(backend, tenant, "?sort=-machine"))[:2] == [machine(200), machine(119)]
    assert len(rows(await shown(backend, tenant, "?sort=nonsense&state=nonsense"))) == 100


async def test_a_young_farm_has_a_short_chart_of_fine_steps(backend: Served) -> None:
    tenant = await backend.tenant()
    await backend.store_readings(tenant, [latest(1, age_s=5 * n).reading for n in range(12)])
    text = await shown(backend, tenant)
    assert "Last 1 min" in text
    line = re.search(r'aria-label="Hashrate, [^"]*">.*?spark-line" d="M([^"]+)"', text)
    assert line is not None
    assert line[1].count("L") == 6


async def test_a_chart_ends_where_every_machine_has_reported(backend: Served) -> None:
    """The newest poll is still arriving: counting it would show a farm that halved."""
    tenant = await backend.tenant()
    backend.now = NOW + timedelta(seconds=30)
    await backend.store_readings(tenant, [*hour_of(1), *hour_of(2)[1:]])
    text = await shown(backend, tenant)
    line = re.search(r'aria-label="Hashrate, [^"]*">.*?spark-line" d="M([^"]+)"', text)
    assert line is not None
    heights = {point.split()[1] for point in line[1].split("L")}
    assert len(heights) == 1
