"""The dashboard *Site*: a file that Grafana can load, whose every query the real API answers."""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from itertools import combinations
from pathlib import Path
from typing import Any, Final

import pytest

from agent.aggregate import totals
from agent.wire import Board, State
from backend.registry import sites
from backend.warnings.catalogue import Catalogue
from tests.backend.console.farms import NOW, latest, machine
from tests.backend.console.served import Served, Tenant, serving
from tests.backend.readings import batch
from tests.dashboards.checked import faults, parameters
from tests.dashboards.infinity import DATA_SOURCE, asked, panels, queries

FOLDER: Final = Path(__file__).parents[2] / "dashboards"
SITE: Final[dict[str, Any]] = json.loads((FOLDER / "site.json").read_text(encoding="utf-8"))
QUERIES: Final = list(queries(SITE))
GIVEN_BY_GRAFANA: Final = {"__from", "__to", "__interval_ms", "__value", "__url_time_range"}


@pytest.fixture
async def backend(tmp_path: Path) -> AsyncIterator[Served]:
    async with serving(tmp_path) as served:
        yield served


@pytest.fixture
async def tenant(backend: Served) -> Tenant:
    """Half an hour of two machines that give everything, one unreachable, with warnings."""
    tenant = await backend.tenant(site="North hall, west {1}")
    gives: dict[str, Any] = {"inlet_temp_c": 25.0, "outlet_temp_c": 45.0, "is_meant_to_mine": True}
    boards = (Board(index=0, chip_temp_c=71.0, board_temp_c=60.0),)
    ages_s = [60 * minute for minute in range(30)]
    await backend.store_readings(
        tenant,
        [
            *(latest(n, age_s=age_s, boards=boards, **gives).reading for n in (1, 2) for age_s in ages_s),
            *(latest(3, State.UNREACHABLE, age_s=age_s).reading for age_s in ages_s),
        ],
    )
    yesterday_s = 30 * 3_600  # before what charts of a day show
    await backend.store_readings(tenant, [latest(1, age_s=yesterday_s + age_s).reading for age_s in ages_s])
    async with backend.database.begin() as session:
        await sites.change(session, tenant.account, tenant.site, {"tariff_per_kwh": 0.06, "currency": "USD"})
    await backend.fire(tenant, machine(1))
    await backend.fire(tenant, machine(2), "fan_stopped", resolved=True)
    return tenant


def variables(site: str) -> dict[str, str]:
    to_ms = int(NOW.timestamp() * 1000) + 1
    return {
        "site": site,
        "machine": machine(1),
        "__from": str(to_ms - 86_400_000),
        "__to": str(to_ms),
        "__interval_ms": "120000",
    }


# --- the file ---


def test_it_names_itself_for_good_and_has_time_picker_tags_and_variables() -> None:
    assert SITE["uid"] == "itsminer-site"
    assert SITE["schemaVersion"] in range(39, 43)  # Grafana 11 and 12
    assert SITE["tags"] == ["itsminer"]
    assert SITE["time"] == {"from": "now-24h", "to": "now"}
    assert SITE["timepicker"]["refresh_intervals"]
    assert [v["name"] for v in SITE["templating"]["list"]] == ["site", "machine"]
    assert "id" not in SITE  # Grafana gives it


def test_each_panel_has_an_id_of_its_own_and_says_what_it_shows() -> None:
    every = [*SITE["panels"], *(inner for panel in SITE["panels"] for inner in panel.get("panels", ()))]
    ids = [panel["id"] for panel in every]
    assert len(ids) == len(set(ids))
    for panel in panels(SITE):
        assert panel["title"]
        assert panel["description"].endswith(".")


def test_no_two_panels_lie_over_each_other() -> None:
    shown = [(p["title"], p["gridPos"]) for p in [*SITE["panels"], *panels(SITE)]]
    boxes = {(title, g["x"], g["y"], g["w"], g["h"]) for title, g in shown}
    for _, x, _, w, h in boxes:
        assert 0 <= x < x + w <= 24
        assert h > 0
    for (one, x1, y1, w1, h1), (other, x2, y2, w2, h2) in combinations(boxes, 2):
        apart = x1 + w1 <= x2 or x2 + w2 <= x1 or y1 + h1 <= y2 or y2 + h2 <= y1
        assert apart, f"{one} and {other}"


def test_a_panel_that_shares_an_answer_shares_one_that_is_there() -> None:
    by_id = {panel["id"]: panel for panel in panels(SITE)}
    for panel in panels(SITE):
        for target in panel["targets"]:
            if "panelId" in target:
                assert target["datasource"]["uid"] == panel["datasource"]["uid"] == "-- Dashboard --"
                shared = by_id[target["panelId"]]["targets"][0]
                field = panel["options"]["reduceOptions"]["fields"].strip("/^$").replace("\\", "")
                assert field in [column["text"] for column in shared["columns"]]


def test_every_variable_that_is_used_is_there() -> None:
    used = set(re.findall(r"\$\{?(\w+)", json.dumps(SITE)))
    assert used - GIVEN_BY_GRAFANA == {v["name"] for v in SITE["templating"]["list"]}


@pytest.mark.parametrize(("where", "query"), QUERIES, ids=[where for where, _ in QUERIES])
def test_a_query_asks_our_own_api_and_nobody_else(where: str, query: dict[str, Any]) -> None:
    assert query["datasource"] == DATA_SOURCE
    assert (query["source"], query["type"], query["parser"]) == ("url", "json", "backend")
    # An address of its own would leave our host; an empty one makes the plug-in load its author's example.
    assert re.fullmatch(r"/v1/[a-z]+", query["url"])
    assert query["url_options"]["method"] == "GET"
    for column in query["columns"]:
        assert column["text"] == column["selector"]  # versions of the plug-in differ in what a new name does
    assert not re.search(r"https?:|//", json.dumps(query))


def test_nothing_in_the_file_leads_to_another_host() -> None:
    text = json.dumps(SITE)
    assert not re.search(r"https?://", text)
    assert {panel["type"] for panel in panels(SITE)} <= {"stat", "timeseries", "table"}  # Grafana's own


def test_it_asks_for_what_there_is_and_shows_it_in_its_unit() -> None:
    assert faults(SITE) == []


@pytest.mark.parametrize(
    ("written", "instead", "fault"),
    [
        ('"chip_temp_c"', '"chip_temp_f"', "no metric chip_temp_f"),
        ('"/v1/series"', '"/v1/curves"', "no route /v1/curves"),
        ('"across"', '"along"', "/v1/series takes no along"),
        ('"watt"', '"kwatt"', "power_w in kwatt, and it is watt"),
        ('"reading.power_w"', '"reading.power_kw"', "no number power_kw in a reading"),
    ],
)
def test_a_panel_that_names_what_there_is_not_is_found_out(written: str, instead: str, fault: str) -> None:
    text = json.dumps(SITE)
    assert written in text
    assert any(found.endswith(fault) for found in faults(json.loads(text.replace(written, instead))))


def test_temperature_lines_are_where_the_rules_warn() -> None:
    limits = {limit.severity.value: limit.at for limit in Catalogue.load()["chip_hot"].limits}
    lines = [
        {step["color"]: step["value"] for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"]}
        for panel in panels(SITE)
        if "chip" in panel["title"].lower()
    ]
    assert lines
    assert all((line["orange"], line["red"]) == (limits["warning"], limits["critical"]) for line in lines)


def test_charts_never_ask_for_steps_shorter_than_a_poll() -> None:
    for panel in panels(SITE):
        if panel["type"] == "timeseries":
            assert panel["interval"] == "1m"
            assert all(parameters(t)["step"] == "${__interval_ms}ms" for t in panel["targets"])


def test_what_a_table_orders_renames_or_sorts_by_is_there() -> None:
    for panel in panels(SITE):
        if panel["type"] != "table":
            continue
        columns = {column["text"] for column in panel["targets"][0]["columns"]}
        columns |= {t["options"]["alias"] for t in panel["transformations"] if t["id"] == "calculateField"}
        overrides = panel["fieldConfig"]["overrides"]
        organize = next(t["options"] for t in panel["transformations"] if t["id"] == "organize")
        assert set(organize["indexByName"]) | set(organize["excludeByName"]) == columns
        assert {o["matcher"]["options"] for o in overrides} <= columns
        names = columns | {p["value"] for o in overrides for p in o["properties"] if p["id"] == "displayName"}
        assert panel["options"]["sortBy"][0]["displayName"] in names


# --- the answers ---


@pytest.mark.parametrize(("where", "query"), QUERIES, ids=[where for where, _ in QUERIES])
async def test_the_api_answers_with_every_column_and_charts_in_times_order(
    where: str, query: dict[str, Any], backend: Served, tenant: Tenant
) -> None:
    answer = await asked(backend.url, tenant.token, query, variables("North hall, west {1}"))
    assert answer.status == 200, answer.body
    assert answer.rows or parameters(query).get("metric") == "is_fault", "nothing came back"
    for column in query["columns"]:
        values = [row[column["text"]] for row in answer.rows if row[column["text"]] is not None]
        assert values, f"no row has {column['selector']}"
        for value in values:
            if column["type"] == "number":
                assert isinstance(value, int | float)
            elif column["type"] == "timestamp":
                assert datetime.fromisoformat(value).tzinfo is not None
            else:
                assert isinstance(value, str)
    if query["format"] == "timeseries":  # Grafana turns rows into a line only when their times rise
        times = [row["time"] for row in answer.rows]
        assert times == sorted(set(times))
        assert len(times) >= 14


async def test_the_site_and_the_machine_to_choose_are_what_the_other_queries_take(
    backend: Served, tenant: Tenant
) -> None:
    site, of_machine = (query for where, query in QUERIES if where.startswith("variable"))
    (row,) = (await asked(backend.url, tenant.token, site, {})).rows
    answer = await asked(backend.url, tenant.token, of_machine, {"site": row["name"]})
    assert [r["machine"] for r in answer.rows] == [machine(n) for n in (1, 2, 3)]


async def test_the_totals_are_those_of_the_farm(backend: Served, tenant: Tenant) -> None:
    for title in ("Hashrate", "Hashrate and what is expected"):
        query = next(q for w, q in QUERIES if w.endswith(f" {title} A"))
        answer = await asked(backend.url, tenant.token, query, variables(tenant.site))
        assert {row["value"] for row in answer.rows} == {200}


async def test_a_site_that_tells_totals_only_has_its_hashrate_and_power_shown(backend: Served) -> None:
    tenant = await backend.tenant()
    machines = [latest(number).reading for number in range(7)]
    told = tuple(totals(NOW - timedelta(minutes=minute), machines) for minute in range(20))
    sent = batch(site=tenant.site, sent_at=NOW, aggregates=[one for of_poll in told for one in of_poll])
    assert await backend.store.write(tenant.account, sent, now=NOW)
    shown = {}
    for title in ("Hashrate", "Power"):
        query = next(q for w, q in QUERIES if re.fullmatch(rf"panel \d {title} A", w))
        answer = await asked(backend.url, tenant.token, query, variables(tenant.site))
        shown[title] = answer.rows[-1]["value"]
    assert shown == {"Hashrate": 700, "Power": 21_000}


async def test_another_accounts_token_sees_none_of_it(backend: Served, tenant: Tenant) -> None:
    other = await backend.tenant("Other", "Elsewhere")
    for where, query in QUERIES:
        answer = await asked(backend.url, other.token, query, variables(tenant.site))
        assert machine(1) not in json.dumps(answer.body), where
        assert answer.rows == [] or where == "variable site"


# --- provisioning ---


def yaml_file(path: str) -> Any:
    yaml: Any = importlib.import_module("yaml")
    return yaml.safe_load((FOLDER / "provisioning" / path).read_text(encoding="utf-8"))


def test_the_data_source_is_the_one_that_queries_name_and_its_token_goes_to_one_address() -> None:
    (source,) = yaml_file("datasources/itsminer.yaml")["datasources"]
    assert {"type": source["type"], "uid": source["uid"]} == DATA_SOURCE
    assert source["jsonData"]["auth_method"] == "bearerToken"
    assert source["secureJsonData"] == {"bearerToken": "$ITSMINER_READ_TOKEN"}
    assert source["jsonData"]["allowedHosts"] == [source["url"]] == ["$ITSMINER_API_URL"]


def test_the_dashboards_provider_reads_files_that_people_cannot_change_by_accident() -> None:
    (provider,) = yaml_file("dashboards/itsminer.yaml")["providers"]
    assert provider["type"] == "file"
    assert provider["allowUiUpdates"] is False
    assert provider["options"]["path"] == "/var/lib/grafana/dashboards/itsminer"
