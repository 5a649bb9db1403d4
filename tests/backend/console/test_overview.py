"""Totals and order of the first page."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from agent.wire import Aggregate, Board, Spread, State
from backend.console.overview import SILENT, farm
from backend.ids import SiteId
from backend.store.protocol import Told
from tests.backend.console.farms import NAMES, NOW, SITE, alarm, latest, machine

SOUTH = SiteId("sit_south")


def test_totals_add_what_machines_gave_and_leave_out_what_they_did_not() -> None:
    shown = farm(
        [latest(1), latest(2, power_w=None, efficiency_j_per_th=None), latest(3, State.UNREACHABLE)], [], NAMES, now=NOW
    )
    totals = shown.totals
    assert totals.machines == 3
    assert totals.hashrate_ths == 200
    assert totals.power_w == 3000
    assert totals.efficiency_j_per_th == pytest.approx(30)  # not 15: machine 2 does not say what it takes
    assert totals.hottest_chip_c == 74
    assert totals.states["hashing"] == totals.hashing == 2
    assert totals.states["unreachable"] == 1


def test_a_farm_that_gives_nothing_has_no_totals_instead_of_zeros() -> None:
    totals = farm([latest(1, State.UNREACHABLE)], [], NAMES, now=NOW).totals
    assert totals.hashrate_ths is None
    assert totals.power_w is None
    assert totals.efficiency_j_per_th is None
    assert totals.hottest_chip_c is None
    assert farm([], [], NAMES, now=NOW).totals.newest is None


def test_a_machine_not_heard_of_for_five_minutes_is_silent_and_in_no_total_but_expected() -> None:
    shown = farm([latest(1), latest(2, age_s=299), latest(3, age_s=301)], [], NAMES, now=NOW)
    assert [m.state for m in shown.machines] == [SILENT, "hashing", "hashing"]
    assert shown.totals.hashrate_ths == 200
    assert shown.totals.expected_ths == 330


def test_nothing_is_expected_of_a_paused_machine() -> None:
    totals = farm([latest(1), latest(2, State.PAUSED, hashrate_ths=0)], [], NAMES, now=NOW).totals
    assert totals.expected_ths == 110
    assert totals.efficiency_j_per_th == pytest.approx(60)  # what it takes while paused is taken all the same


def test_the_worst_come_first_warnings_then_states_then_the_slowest() -> None:
    shown = farm(
        [
            latest(1),
            latest(2, hashrate_ths=60),
            latest(3, State.IDLE, hashrate_ths=0),
            latest(4, State.UNREACHABLE),
            latest(5),
            latest(6),
            latest(7, State.FAULT, hashrate_ths=0),
            latest(8, State.PAUSED, hashrate_ths=0),
        ],
        [alarm(5, severity="warning"), alarm(6, severity="critical"), alarm(6, rule="fan_stopped", severity="info")],
        NAMES,
        now=NOW,
    )
    assert [m.id for m in shown.machines] == [machine(n) for n in (6, 5, 7, 4, 3, 8, 2, 1)]
    assert [m.severity for m in shown.machines][:3] == ["critical", "warning", None]


def test_warnings_with_one_cause_are_told_together_worst_first() -> None:
    shown = farm(
        [latest(1), latest(2)],
        [
            alarm(1, "machine_offline", "warning"),
            alarm(2, "machine_offline", "warning"),
            alarm(None, "agent_silent", "critical"),
            alarm(2, "chip_hot", "warning"),
        ],
        NAMES,
        now=NOW,
    )
    assert [(t.title, len(t.alarms)) for t in shown.troubles] == [
        ("agent silent", 1),
        ("machine offline", 2),
        ("chip hot", 1),
    ]
    assert shown.alarms == 4
    assert shown.totals.severities == {"critical": 1, "warning": 3, "info": 0}


def test_a_sites_own_warning_belongs_to_no_machine() -> None:
    shown = farm([latest(1)], [alarm(None, "agent_silent")], NAMES, now=NOW)
    assert shown.machines[0].alarms == ()


def test_what_a_row_derives_is_missing_when_its_parts_are() -> None:
    whole, part = farm(
        [latest(1), latest(2, expected_ths=None, fans_rpm=(), shares_accepted=None)], [], NAMES, now=NOW
    ).machines
    assert whole.of_expected == pytest.approx(100 / 110)
    assert whole.slowest_fan_rpm == 5700
    assert whole.rejected == pytest.approx(0.01)
    assert (part.of_expected, part.slowest_fan_rpm, part.rejected) == (None, None, None)
    fresh = farm([latest(1, shares_accepted=0, shares_rejected=0)], [], NAMES, now=NOW).machines[0]
    assert fresh.rejected is None


def test_the_hottest_machine_is_named() -> None:
    hot = latest(2, boards=(Board(index=0, chip_temp_c=101),))
    totals = farm([latest(1), hot], [], NAMES, now=NOW).totals
    assert (totals.hottest_chip_c, totals.hottest_machine) == (101, machine(2))


def told(machines: int = 7, *, age_s: float = 30, site: SiteId = SOUTH, **fields: Any) -> Told:
    """A total of a site: all but one of its machines hash at 100 TH/s and take 3 kW."""
    of_hashing = machines - 1
    spreads = {
        "hashrate_ths": Spread(machines=of_hashing, total=100.0 * of_hashing, p10=99, p50=100, p90=101),
        "power_w": Spread(machines=of_hashing, total=3_000.0 * of_hashing, p10=2_990, p50=3_000, p90=3_010),
    }
    counts = {"machines": machines, "hashing": of_hashing, "idle": 0, "paused": 0, "unreachable": 1, "fault": 0}
    return Told(site, Aggregate(**({"time": NOW - timedelta(seconds=age_s)} | counts | spreads | fields)))


def test_a_site_that_tells_totals_counts_once_with_the_newest_of_them() -> None:
    site = [told(8, age_s=90), told(), told(6, model="M50S++"), told(9, age_s=150)]
    totals = farm([latest(1)], [], NAMES, site, now=NOW).totals
    assert (totals.machines, totals.told) == (8, 7)
    assert (totals.hashing, totals.states["unreachable"]) == (7, 1)
    assert (totals.hashrate_ths, totals.power_w) == (700, 21_000)
    assert totals.efficiency_j_per_th == pytest.approx(30)
    assert totals.expected_ths is None, "nobody says what the others should make"
    few = Spread(machines=5, total=15_000, p10=1, p50=2, p90=3)
    assert farm([], [], NAMES, [told(power_w=few)], now=NOW).totals.efficiency_j_per_th is None, "one does not say"


def test_a_site_that_sends_readings_again_counts_by_its_machines() -> None:
    totals = farm([latest(1, age_s=10)], [], NAMES, [told(site=SITE)], now=NOW).totals
    assert (totals.machines, totals.told, totals.hashrate_ths) == (1, 0, 100)
