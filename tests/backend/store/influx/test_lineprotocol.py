"""What is written of a reading."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.wire import Board, Pool, Reading, State
from backend.ids import AccountId
from backend.store.influx import facts, lineprotocol, schema
from backend.store.influx.engine import InfluxStore
from backend.store.metrics import METRICS
from tests.backend.readings import NOW, batch, full_reading, machine, reading

A = AccountId("acc_a")

_LINE = re.compile(r"([a-z]+),(\S+) (\S+) (\d+)")


def points(*readings: Reading) -> list[tuple[str, dict[str, str], dict[str, int], int]]:
    """Measurement, tags, fields and time of each line."""
    found = []
    for line in lineprotocol.render(A, batch(readings), readings)[0]:
        match = _LINE.fullmatch(line)
        assert match is not None, line
        measurement, tags, fields, time = match.groups()
        values = dict(pair.split("=") for pair in fields.split(","))
        assert all(value.endswith("i") for value in values.values()), "every number is a whole one"
        numbers = {name: int(value[:-1]) for name, value in values.items()}
        found.append((measurement, dict(pair.split("=") for pair in tags.split(",")), numbers, int(time)))
    return found


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_each_metric_is_a_field_of_its_name_in_whole_numbers(metric: Any) -> None:
    for one in (full_reading(), *(reading(state=state) for state in State)):
        ((_, _, fields, _), *_boards) = points(one)
        value = metric.of(one)
        scale = 10 ** schema.METRIC_DECIMALS[metric.name]
        assert fields.get(metric.name) == (None if value is None else round(value * scale))


def test_the_schema_has_the_metrics_of_the_catalogue_and_no_others() -> None:
    assert set(schema.METRIC_DECIMALS) == set(METRICS)


def test_a_missing_number_is_no_field() -> None:
    [(_, _, fields, _)] = points(reading(power_w=0.0))
    assert fields["power_w"] == 0
    assert "hashrate_ths" not in fields


def test_account_site_and_machine_are_tags_in_the_servers_order() -> None:
    one = full_reading()
    lines, _ = lineprotocol.render(A, batch([one]), [one])
    for line in lines:
        tags = [pair.split("=")[0] for pair in line.split(" ")[0].split(",")[1:]]
        assert tags == sorted(tags)
        assert {"account", "machine", "site"} <= set(tags)


def test_the_time_is_whole_microseconds() -> None:
    [(_, _, _, time_us)] = points(reading(time=NOW + timedelta(microseconds=1)))
    assert time_us == int(NOW.timestamp()) * 1_000_000 + 1


def test_facts_are_one_point_for_each_machine_and_day_however_many_readings() -> None:
    several = [full_reading(1, NOW + timedelta(minutes=minute)) for minute in range(5)]
    tomorrow = full_reading(1, NOW + timedelta(days=1))
    _, referred = lineprotocol.render(A, batch([*several, tomorrow, full_reading(2)]), [*several, tomorrow])
    assert len(referred) == 2
    assert {key.day_us for key in referred} == {
        int((NOW.replace(hour=0) + timedelta(days=day)).timestamp()) * 1_000_000 for day in (0, 1)
    }


def test_facts_that_differ_have_other_digests_and_living_pools_do_not_make_them_differ() -> None:
    one = full_reading()
    assert one.pools is not None
    other_pool = one.model_copy(update={"pools": (Pool(host="other.example.com"),)})
    dead_pool = one.model_copy(update={"pools": (one.pools[0].model_copy(update={"alive": False}), one.pools[1])})
    digests = [facts.of(each)[0] for each in (one, other_pool, dead_pool)]
    assert digests[0] != digests[1]
    assert digests[0] == digests[2]


_decimals = schema.MACHINE_DECIMALS | schema.BOARD_DECIMALS


def _rounded(low: float, high: float, name: str) -> st.SearchStrategy[float | None]:
    digits = _decimals[name]
    whole = st.integers(round(low * 10**digits), round(high * 10**digits))
    return st.none() | whole.map(lambda value: value / 10**digits)


_COUNT = st.none() | st.integers(0, 2**53)
_NAME = st.none() | st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9 .,_+/()-]{0,20}\Z")
_FLAG = st.none() | st.booleans()
_CODE = st.from_regex(r"\A[0-9a-hjkmnp-tv-z]{16}\Z")
_BOARD = st.fixed_dictionaries(
    {
        "index": st.integers(0, 63),
        **{name: _rounded(0, 1e6, name) for name in ("hashrate_ths", "expected_ths")},
        **{name: _rounded(-60, 250, name) for name in ("board_temp_c", "chip_temp_c")},
        "chips_working": _COUNT,
        "chips_expected": _COUNT,
        "frequency_mhz": _rounded(0, 10_000, "frequency_mhz"),
        "voltage_v": _rounded(0, 1_000, "voltage_v"),
    }
).map(lambda fields: Board(**fields))
_POOL = st.builds(
    Pool,
    host=_CODE.map(lambda code: f"pol-{code}") | st.just("pool.example.com"),
    account=st.none() | _CODE.map(lambda code: f"act-{code}"),
    worker=st.none() | _CODE.map(lambda code: f"wrk-{code}"),
    alive=_FLAG,
    active=_FLAG,
)
_READING = st.fixed_dictionaries(
    {
        "time": st.integers(0, 3_600_000_000).map(lambda late_us: NOW - timedelta(microseconds=late_us)),
        "state": st.sampled_from(State),
        **dict.fromkeys(("make", "model", "firmware", "driver", "power_mode"), _NAME),
        **dict.fromkeys(("is_meant_to_mine", "pool_expected"), _FLAG),
        **dict.fromkeys(("shares_accepted", "shares_rejected", "shares_stale"), _COUNT),
        **{name: _rounded(0, 1e6, name) for name in ("hashrate_ths", "expected_ths", "power_w", "read_ms")},
        **{name: _rounded(0, 4e9, name) for name in ("uptime_s", "last_share_age_s")},
        **{name: _rounded(-60, 250, name) for name in ("inlet_temp_c", "outlet_temp_c")},
        "efficiency_j_per_th": _rounded(0, 1e6, "efficiency_j_per_th"),
        "fans_rpm": st.none() | st.lists(st.integers(0, 100_000), max_size=16).map(tuple),
        "boards": st.none()
        | st.lists(_BOARD, max_size=5, unique_by=lambda board: board.index).map(
            lambda boards: tuple(sorted(boards, key=lambda board: board.index))
        ),
        "pools": st.none() | st.lists(_POOL, max_size=4).map(tuple),
        "fault_codes": st.none()
        | st.lists(st.from_regex(r"\A[a-z0-9_]{1,9}:[A-Z0-9_.-]{1,9}\Z"), max_size=3).map(tuple),
    }
)


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(described=st.lists(_READING, min_size=5, max_size=12))
async def test_whatever_the_contract_allows_comes_back_as_it_was(store: InfluxStore, described: list[Any]) -> None:
    account = AccountId(f"acc_{abs(hash(str(described)))}")
    sent = [Reading(machine=machine(number), **fields) for number, fields in enumerate(described)]
    await store.write(account, batch(sent), now=NOW)
    store._newest.forget(account)  # what the server has, and not what we remember
    assert [one.reading for one in await store.latest(account)] == sent


async def test_a_reading_written_over_another_of_its_time_leaves_nothing_of_it(store: InfluxStore) -> None:
    sparse = reading(power_w=5.0, boards=(Board(index=1, chip_temp_c=60.0),), fans_rpm=(100,))
    await store.write(A, batch([full_reading()]), now=NOW)
    await store.write(A, batch([sparse]), now=NOW)
    store._newest.forget(A)
    assert [one.reading for one in await store.latest(A)] == [sparse]
