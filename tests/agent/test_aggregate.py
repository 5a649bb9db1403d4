"""Totals tell of the site and never of so few machines that one could be meant."""

from __future__ import annotations

import statistics
from datetime import timedelta
from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from agent.aggregate import SITE, Aggregator, Group, tellable, totals
from agent.wire import FEWEST, Aggregate, Reading, State
from tests.agent.raw import NOON, reading

A, B, C = Group("Antminer", "S19"), Group("Whatsminer", "M50"), Group("Avalon", "1246")


def machines(group: Group, count: int, first: int = 0, **fields: object) -> list[Reading]:
    return [reading(first + n, make=group.make, model=group.model, **fields) for n in range(count)]


def group(one: Aggregate) -> Group:
    return Group(one.make, one.model)


def test_the_site_is_told_first_and_then_its_models() -> None:
    told = totals(NOON, machines(A, 5, 0) + machines(B, 7, 10))
    assert [(group(one), one.machines) for one in told] == [(SITE, 12), (B, 7), (A, 5)]


def test_totals_and_percentiles_are_those_of_the_machines() -> None:
    rates = [90.0, 95.5, 100.0, 101.0, 110.0, 80.0]
    readings = [reading(n, hashrate_ths=rate, power_w=3_000 + n) for n, rate in enumerate(rates)]
    (site,) = totals(NOON, readings)
    assert site.hashrate_ths
    assert site.power_w
    cuts = statistics.quantiles(rates, n=10, method="inclusive")
    assert site.hashrate_ths.total == sum(rates)
    assert [site.hashrate_ths.p10, site.hashrate_ths.p50, site.hashrate_ths.p90] == [cuts[0], cuts[4], cuts[8]]
    assert site.power_w.total == 18_015
    assert site.chip_temp_c is None


def test_states_are_counted() -> None:
    states = [State.HASHING] * 4 + [State.UNREACHABLE] * 2 + [State.IDLE, State.PAUSED, State.FAULT]
    (site,) = totals(NOON, [reading(n, state=state) for n, state in enumerate(states)])
    assert (site.hashing, site.unreachable, site.idle, site.paused, site.fault) == (4, 2, 1, 1, 1)


def test_of_a_site_of_four_machines_nothing_is_told() -> None:
    assert totals(NOON, machines(A, 4, hashrate_ths=100.0)) == []


def test_a_group_of_four_is_told_neither_itself_nor_as_what_is_left() -> None:
    told = totals(NOON, machines(A, 4, 0) + machines(B, 9, 10) + machines(C, 6, 20))
    assert [group(one) for one in told] == [SITE, B]  # with C told too, 4 of A would be what is left


def test_a_number_that_few_machines_gave_is_not_told() -> None:
    told = totals(NOON, machines(A, 4, 0, power_w=3_000.0) + machines(A, 10, 10) + machines(B, 9, 30, power_w=1.0))
    by_group = {group(one): one for one in told}
    assert by_group[A].power_w is None
    assert by_group[B].power_w is None  # the site's less B's would be that of 4 machines
    of_site = by_group[SITE].power_w
    assert of_site
    assert of_site.machines == 13


SIZES = st.dictionaries(st.sampled_from([Group("m", str(n)) for n in range(8)]), st.integers(1, 12), max_size=8)


@given(SIZES, st.integers(0, 9))
def test_no_sum_or_difference_of_what_is_told_is_of_one_to_four_machines(sizes: dict[Group, int], more: int) -> None:
    whole = sum(sizes.values()) + more
    told = tellable(sizes, whole)
    assert all(sizes[one] >= FEWEST for one in told)
    for count in range(1, len(told) + 1):
        for some in combinations(told, count):
            rest = whole - sum(sizes[one] for one in some)
            assert rest == 0 or rest >= FEWEST


@given(SIZES, st.randoms(use_true_random=False))
def test_nothing_told_names_a_machine_or_counts_fewer_than_five(sizes: dict[Group, int], random: object) -> None:
    readings = [one for n, (name, size) in enumerate(sizes.items()) for one in machines(name, size, 100 * n)]
    for one in totals(NOON, readings):
        assert one.machines >= FEWEST
        assert "mnr-" not in one.model_dump_json()


def test_a_round_is_told_once_and_when_it_is_over() -> None:
    gathering = Aggregator(60)
    for one in machines(A, 6):
        gathering.add(one)
    assert gathering.over(NOON + timedelta(seconds=89)) == []
    assert [one.machines for one in gathering.over(NOON + timedelta(seconds=90))] == [6, 6]
    assert gathering.over(NOON + timedelta(seconds=500)) == []


def test_a_machine_that_is_told_twice_counts_once() -> None:
    gathering = Aggregator(60)
    for one in machines(A, 6) * 2:
        gathering.add(one)
    assert gathering.over(NOON + timedelta(hours=1))[0].machines == 6


def test_a_clock_that_jumps_does_not_fill_the_memory() -> None:
    gathering = Aggregator(60)
    for number in range(100):
        gathering.add(reading(1, time=NOON + timedelta(days=number)))
    assert len(gathering._rounds) == 16
