"""What read tokens read: machines, series, sites, warnings, metrics."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from agent.wire import Reading
from backend.api.series import nice_step
from backend.registry import sites
from backend.registry.warning_tables import Warning
from backend.store.metrics import METRICS
from tests.backend.api.conftest import Farm, Served
from tests.backend.readings import NOW, at, batch, full_reading, machine, reading


async def store(served: Served, *readings: Reading, farm: Farm | None = None) -> None:
    """Store readings of a farm, ours unless told otherwise."""
    farm = farm or served.ours
    assert (await served.send(batch(readings, site=farm.site), farm.agent)).status == 200


async def second_site(served: Served) -> str:
    """Another site of ours, with one machine."""
    async with served.services.database.begin() as session:
        site = (await sites.add(session, served.ours.account, "South", now=NOW)).id
    await served.services.store.write(served.ours.account, batch([reading(9, hashrate_ths=9.0)], site=site), now=NOW)
    return site


def ms(time: datetime) -> int:
    return round(time.timestamp() * 1000)


async def test_each_machine_is_shown_as_it_was_last_seen(served: Served) -> None:
    await store(served, full_reading(2, at(-5)), reading(1, at(-3)), reading(1, at(-4)))
    served.now = at(1)
    found = (await served.get("/v1/machines", served.ours.read)).json["machines"]
    assert [(one["machine"], one["state"], one["age_s"]) for one in found] == [
        (machine(1), "hashing", 240.0),
        (machine(2), "hashing", 360.0),
    ]
    assert (found[1]["site"], found[1]["site_name"]) == (served.ours.site, "North")
    assert (found[1]["chip_temp_c"], found[1]["board_temp_c"]) == (80.9, 63.2)
    assert Reading.model_validate(found[1]["reading"]) == full_reading(2, at(-5))
    assert "chip_temp_c" not in found[0], "missing is absent"


async def test_machines_can_be_narrowed_to_a_site_by_id_or_name(served: Served) -> None:
    await store(served, reading(1))
    south = await second_site(served)
    for site in (south, "South"):
        found = (await served.get("/v1/machines", served.ours.read, site=site)).json["machines"]
        assert [one["machine"] for one in found] == [machine(9)]
    assert len((await served.get("/v1/machines", served.ours.read, site="")).json["machines"]) == 2


async def test_a_clock_that_is_ahead_makes_no_negative_age(served: Served) -> None:
    await store(served, reading(1, at(5)))
    assert (await served.get("/v1/machines", served.ours.read)).json["machines"][0]["age_s"] == 0.0


async def test_a_series_has_its_unit_its_step_and_points_in_milliseconds(served: Served) -> None:
    await store(served, reading(1, at(-10), power_w=3000.0), reading(1, at(-5), power_w=3100.5))
    answer = await served.get("/v1/series", served.ours.read, metric="power_w", step="5m")
    assert answer.json == {
        "metric": "power_w",
        "unit": "W",
        "step_s": 300.0,
        "series": [{"machine": machine(1), "points": [[ms(at(-10)), 3000.0], [ms(at(-5)), 3100.5]]}],
    }


async def test_rows_are_flat(served: Served) -> None:
    await store(served, reading(1, at(-10), power_w=3000.0), reading(2, at(-10), power_w=3100.5))
    answer = await served.get("/v1/series", served.ours.read, metric="power_w", step="600", format="rows")
    time = at(-10).isoformat().replace("+00:00", "Z")
    assert answer.json == [
        {"time": time, "machine": machine(1), "value": 3000.0},
        {"time": time, "machine": machine(2), "value": 3100.5},
    ]
    answer = await served.get("/v1/series", served.ours.read, metric="power_w", step="600", format="rows", across="sum")
    assert answer.json == [{"time": time, "value": 6100.5}]


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("2026-01-01T11:00:00Z", "2026-01-01T13:00:00+00:00"),
        ("2026-01-01T12:00:00+01:00", "2026-01-01T14:00:00+01:00"),
        (str(ms(at(-60))), str(ms(at(60)))),
        ("2026-01-01T12:00:00 01:00", str(ms(at(60)))),
    ],
)
async def test_times_are_taken_as_people_and_grafana_write_them(served: Served, start: str, end: str) -> None:
    await store(served, *(reading(1, at(minutes), power_w=minutes) for minutes in (0, 5)))
    await served.services.store.write(
        served.ours.account, batch([reading(1, at(m), power_w=1.0) for m in (-61, 60)]), now=NOW
    )
    span = {"from": start, "to": end}
    answer = await served.get("/v1/series", served.ours.read, metric="power_w", step="1m", **span)
    assert [value for _, value in answer.json["series"][0]["points"]] == [0.0, 5.0]


async def test_machines_and_sites_are_chosen_and_summed_as_asked(served: Served) -> None:
    await store(served, *(reading(number, at(-1), hashrate_ths=number) for number in (1, 2, 3)))
    await second_site(served)
    end = {"to": at(1).isoformat()}

    async def told(**params: Any) -> dict[str | None, list[float]]:
        answer = await served.get("/v1/series", served.ours.read, metric="hashrate_ths", step="1h", **(end | params))
        return {one.get("machine"): [point[1] for point in one["points"]] for one in answer.json["series"]}

    one, two = machine(1), machine(2)
    assert await told(machine=f"{one},{two}") == {one: [1.0], two: [2.0]}
    assert await told(machine=[one, two]) == {one: [1.0], two: [2.0]}
    assert await told(across="sum", site="North") == {None: [6.0]}
    assert await told(across="max") == {None: [3.0, 9.0]}
    assert await told(machine=machine(7)) == {}


WRONG: list[tuple[dict[str, Any], str]] = [
    ({}, "metric: Field required"),
    ({"metric": "nonsense"}, "hashrate_ths"),
    ({"metric": "power_w", "from": "yesterday"}, "from: "),
    ({"metric": "power_w", "from": "2026-01-01T00:00:00"}, "from: "),
    ({"metric": "power_w", "from": "999999999999999"}, "from: "),
    ({"metric": "power_w", "to": "0001-01-01T00:00:00Z"}, "to: "),
    ({"metric": "power_w", "from": str(ms(at(0))), "to": str(ms(at(0)))}, "from: it has to be before to"),
    ({"metric": "power_w", "step": "soon"}, "step: "),
    ({"metric": "power_w", "step": "0"}, "step: "),
    ({"metric": "power_w", "step": "500ms"}, "step: "),
    ({"metric": "power_w", "step": "9999999d"}, "step: "),
    ({"metric": "power_w", "step": "999999999d"}, "step: "),
    ({"metric": "power_w", "step": ["1m", "2m"]}, "step: "),
    ({"metric": "power_w", "to": ["0", "1"]}, "to: "),
    ({"metric": "power_w", "aggregate": "median"}, "aggregate: "),
    ({"metric": "power_w", "across": "median"}, "across: "),
    ({"metric": "power_w", "machine": "mnr-1,mnr-2"}, "machine"),
    ({"metric": "power_w", "format": "csv"}, "format: "),
    ({"metric": ["power_w", "power_w"]}, "metric: "),
    ({"metric": "power_w", "metrics": "power_w"}, "metrics: "),
]


async def test_a_question_that_cannot_be_is_refused_by_parameter(served: Served) -> None:
    for params, said in WRONG:
        answer = await served.get("/v1/series", served.ours.read, **params)
        assert (answer.status, answer.json["type"]) == (400, "urn:itsminer:problem:query"), params
        assert said in answer.json["detail"]


async def test_an_answer_that_would_be_too_large_is_refused_with_its_limit(served: Served) -> None:
    for across in ("", "sum"):
        answer = await served.get("/v1/series", served.ours.read, metric="power_w", step="1s", across=across)
        assert (answer.status, answer.json["max_points"], answer.json["step_s"]) == (422, 1000, 1.0)
    await store(served, *(reader(n, m) for n in range(60) for m in range(1, 31)))
    answer = await served.get("/v1/series", served.ours.read, metric="power_w", step="2m")
    assert answer.status == 200, "60 machines with 15 points each"
    answer = await served.get("/v1/series", served.ours.read, metric="power_w", step="90s")
    assert (answer.status, answer.json["type"]) == (422, "urn:itsminer:problem:too-many-points")


def reader(number: int, minutes_ago: int) -> Reading:
    return reading(number, at(-minutes_ago), power_w=1.0)


@pytest.mark.parametrize(
    ("span", "step"),
    [
        (timedelta(minutes=5), timedelta(seconds=5)),
        (timedelta(hours=1), timedelta(seconds=10)),
        (timedelta(hours=6), timedelta(minutes=1)),
        (timedelta(hours=24), timedelta(minutes=5)),
        (timedelta(days=30), timedelta(hours=2)),
        (timedelta(days=365), timedelta(days=1)),
        (timedelta(days=3650), timedelta(days=8)),
    ],
)
def test_without_a_step_a_round_one_gives_at_most_500_points(span: timedelta, step: timedelta) -> None:
    assert nice_step(span) == step
    assert span / step <= 500


async def test_the_catalogue_of_metrics_can_be_read(served: Served) -> None:
    catalogue = (await served.get("/v1/metrics", served.ours.read)).json
    found, boards = catalogue["metrics"], catalogue["boards"]
    assert [one["name"] for one in found] == list(METRICS)
    assert {one["name"]: one["unit"] for one in boards}["frequency_mhz"] == "MHz"
    assert found[0] == {
        "name": "hashrate_ths",
        "unit": "TH/s",
        "meaning": "what the machine makes",
        "type": "float",
        "low": 0.0,
        "high": 1e6,
        "decimals": 3,
    }


async def test_sites_are_listed_with_their_last_sign_of_life(served: Served) -> None:
    async with served.services.database.begin() as session:
        site = await sites.add(session, served.ours.account, "A shed", now=NOW)
        site.last_batch_at, site.paused_at = at(-1), at(-2)
    assert (await served.get("/v1/sites", served.ours.read)).json == {
        "sites": [
            {
                "site": site.id,
                "name": "A shed",
                "last_batch_at": "2026-01-01T11:59:00Z",
                "paused": True,
                "time_zone": "UTC",
            },
            {"site": served.ours.site, "name": "North", "paused": False, "time_zone": "UTC"},
        ]
    }


async def warn(served: Served, farm: Farm, rule: str, started: datetime, resolved: datetime | None = None) -> None:
    async with served.services.database.begin() as session:
        session.add(
            Warning(
                id=f"wrn_{rule}_{farm.account}",
                account_id=farm.account,
                site_id=farm.site,
                machine="" if rule == "agent_silent" else machine(1),
                rule=rule,
                severity="critical",
                value=101.5,
                threshold=100.0,
                since=started - timedelta(minutes=1),
                started_at=started,
                resolved_at=resolved,
            )
        )


async def test_warnings_are_chosen_by_state_time_and_site(served: Served) -> None:
    await warn(served, served.ours, "chip_hot", at(-60), resolved=at(-30))
    await warn(served, served.ours, "agent_silent", at(-20))
    await warn(served, served.ours, "fan_stopped", at(-10))
    await warn(served, served.theirs, "chip_hot", at(-10))
    await second_site(served)

    async def rules(**params: str) -> list[str]:
        answer = await served.get("/v1/warnings", served.ours.read, **params)
        return [one["rule"] for one in answer.json["warnings"]]

    assert await rules() == ["fan_stopped", "agent_silent"]
    assert await rules(state="resolved") == ["chip_hot"]
    assert await rules(state="all") == ["fan_stopped", "agent_silent", "chip_hot"]
    assert await rules(state="all", since=at(-40).isoformat()) == ["fan_stopped", "agent_silent", "chip_hot"]
    assert await rules(state="all", since=at(-15).isoformat()) == ["fan_stopped"]
    assert await rules(state="all", limit="1") == ["fan_stopped"]
    assert await rules(site="North") == ["fan_stopped", "agent_silent"]
    assert await rules(site="South") == []
    assert (await served.get("/v1/warnings", served.ours.read, state="old")).status == 400


async def test_a_warning_says_what_where_since_when_and_by_how_much(served: Served) -> None:
    await warn(served, served.ours, "chip_hot", at(-10), resolved=at(-5))
    [one] = (await served.get("/v1/warnings", served.ours.read, state="all")).json["warnings"]
    assert one == {
        "id": f"wrn_chip_hot_{served.ours.account}",
        "rule": "chip_hot",
        "severity": "critical",
        "site": served.ours.site,
        "machine": machine(1),
        "value": 101.5,
        "threshold": 100.0,
        "since": "2026-01-01T11:49:00Z",
        "started_at": "2026-01-01T11:50:00Z",
        "resolved_at": "2026-01-01T11:55:00Z",
    }


PATHS = ("/v1/machines", "/v1/series?metric=power_w", "/v1/series?metric=power_w&across=sum", "/v1/warnings?state=all")


async def test_an_account_reads_nothing_of_another(served: Served) -> None:
    await store(served, reading(1, at(-1), power_w=1.0))
    await warn(served, served.ours, "chip_hot", at(-10))
    for path in (*PATHS, "/v1/sites"):
        ours = await served.ask("GET", path, served.ours.read)
        theirs = await served.ask("GET", path, served.theirs.read)
        assert ours.status == theirs.status == 200
        for ours_only in (machine(1), served.ours.site, served.ours.account, "chip_hot"):
            assert ours_only.encode() not in theirs.body
        assert ours.body != theirs.body


@pytest.mark.parametrize("path", PATHS)
async def test_what_is_anothers_and_what_is_nobodys_get_the_same_answer(served: Served, path: str) -> None:
    await store(served, reading(1, at(-1), power_w=1.0))
    join = "&" if "?" in path else "?"
    foreign = await served.ask("GET", f"{path}{join}site={served.ours.site}", served.theirs.read)
    unknown = await served.ask("GET", f"{path}{join}site=sit_0000000000000000", served.theirs.read)
    assert (foreign.status, unknown.status) == (404, 404)
    assert foreign.body.replace(served.ours.site.encode(), b"") == unknown.body.replace(b"sit_0000000000000000", b"")
    by_machine = [
        await served.ask("GET", f"/v1/series?metric=power_w&machine={name}", served.theirs.read)
        for name in (machine(1), machine(2))
    ]
    assert by_machine[0].body == by_machine[1].body


@pytest.mark.parametrize("path", [*PATHS, "/v1/sites", "/v1/metrics"])
async def test_only_a_valid_read_token_reads(served: Served, path: str) -> None:
    for token, status in ((None, 401), ("imt_" + "A" * 43, 401), ("", 401), (served.ours.agent, 403)):
        answer = await served.ask("GET", path, token)
        assert (answer.status, answer.headers["Content-Type"]) == (status, "application/problem+json")
        assert ("WWW-Authenticate" in answer.headers) == (status == 401)
    basic = await served.ask("GET", path, headers={"Authorization": "Basic eDp4"})
    assert basic.status == 401


async def test_an_account_without_data_gets_empty_answers(served: Served) -> None:
    assert (await served.get("/v1/machines", served.ours.read)).json == {"machines": []}
    assert (await served.get("/v1/series", served.ours.read, metric="power_w")).json["series"] == []
    assert (await served.get("/v1/warnings", served.ours.read)).json == {"warnings": []}
