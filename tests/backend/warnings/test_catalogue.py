"""The catalogue is data, and data that cannot work is refused when it is read."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.wire import State
from backend.warnings.catalogue import BadRule, Catalogue
from backend.warnings.ledger import Ledger
from backend.warnings.overrides import Rulebook
from backend.warnings.severity import Severity
from tests.backend.readings import SITE, at, machine, reading

RULE = """
[hot]
scope = "machine"
field = "chip_temp_c"
compare = ">="
warning = { at = 90, for_s = 60 }
clear_for_s = 60
title = "Hot"
plural = "hot ones"
says = "is at {value}, limit {limit}"
first = "Cool it."
"""


def load(tmp_path: Path, text: str) -> Catalogue:
    file = tmp_path / "catalogue.toml"
    file.write_text(text)
    return Catalogue.load(file)


def test_the_shipped_catalogue_has_the_numbers_of_the_specification() -> None:
    catalogue = Catalogue.load()
    assert {
        rule.name: [
            (limit.severity.value, limit.at, limit.duration.total_seconds(), rule.clear_for.total_seconds())
            for limit in rule.limits
        ]
        for rule in catalogue
    } == {
        "machine_offline": [("warning", 1, 300, 120)],
        "machine_not_hashing": [("critical", 0, 300, 180)],
        "hashrate_low": [("warning", 75, 600, 300)],
        "board_missing": [("warning", 0, 300, 0)],
        "chips_missing": [("info", 98, 900, 0)],
        "chip_hot": [("warning", 90, 180, 300), ("critical", 100, 30, 300)],
        "board_hot": [("warning", 75, 300, 0), ("critical", 80, 300, 0)],
        "inlet_hot": [("warning", 40, 300, 0), ("critical", 45, 300, 0)],
        "inlet_cold": [("warning", 5, 300, 0), ("critical", 0, 300, 0)],
        "fan_stopped": [("critical", 0, 120, 60)],
        "pool_down": [("critical", 0, 180, 0)],
        "shares_stale": [("warning", 1800, 0, 0)],
        "pool_changed": [("critical", 0, 0, 0)],
        "efficiency_low": [("info", 115, 1800, 0)],
        "power_high": [("warning", 115, 600, 0)],
        "firmware_fault": [("info", 1, 60, 300), ("warning", 2, 60, 300), ("critical", 3, 60, 300)],
        "rejects_high": [("warning", 5, 600, 0)],
        "restarting": [("warning", 3, 0, 0)],
        "machine_missing": [("info", 24, 0, 0)],
        "machines_undiscovered": [("info", 0, 86_400, 0)],
        "machine_unknown": [("info", 0, 0, 0)],
        "site_degraded": [("critical", 30, 120, 0)],
        "agent_silent": [("critical", 0, 300, 0)],
        "agent_backlog": [("warning", 900, 300, 0)],
        "clock_skew": [("warning", 60, 300, 0)],
    }
    assert catalogue.holders_of("machine_offline") == {"agent_silent", "site_degraded"}


def test_a_degraded_site_holds_back_all_that_makes_its_machines_ill() -> None:
    catalogue = Catalogue.load()
    bookkeeping = {"machine_missing", "machine_unknown"}  # what somebody declared makes no machine ill
    of_machines = {rule.name for rule in catalogue if rule.scope == "machine"}
    assert set(catalogue["site_degraded"].holds_back) == of_machines - bookkeeping
    assert Rulebook(catalogue, {}, (), SITE).of_ill_machines() == of_machines - bookkeeping


@pytest.mark.parametrize(
    ("make", "model", "limits"),
    [
        ("Antminer", "S19 Pro", [90, 100]),
        (None, "Antminer S19 Pro", [90, 100]),
        ("Whatsminer", "M20S V10", [85, 95]),
        ("WhatsMiner", "M50S++", [85, 95]),
        (None, "M30S", [85, 95]),
        ("Avalon", "1566", [100, 115]),
        ("AvalonMiner", "A1166 Pro", [100, 115]),
        (None, "A1366", [100, 115]),
        (None, None, [90, 100]),
    ],
)
def test_a_make_has_its_own_chip_temperatures(make: str | None, model: str | None, limits: list[float]) -> None:
    assert [limit.at for limit in Catalogue.load()["chip_hot"].for_model(make, model).limits] == limits


def test_every_rule_says_what_and_what_to_do_first() -> None:
    for rule in Catalogue.load():
        said = rule.says.format(value="VALUE", limit="LIMIT")
        assert said
        assert ("VALUE" not in said) or rule.unit, f"{rule.name} names a value without a unit"
        assert len(rule.first) <= 160, f"{rule.name}: what to do first has to fit into a text message"
        assert rule.first.endswith(".")


def test_a_new_threshold_rule_is_an_entry_and_no_code(tmp_path: Path) -> None:
    catalogue = load(
        tmp_path,
        RULE.replace("[hot]", "[inlet_cold]")
        .replace("chip_temp_c", "inlet_temp_c")
        .replace('">="', '"<="')
        .replace("at = 90", "at = 5"),
    )
    ledger = Ledger(
        Rulebook(catalogue, {}, (), SITE), version=0, judged_to=None, interval=None, states={}, paused=frozenset()
    )
    cold = [reading(time=at(minute), state=State.HASHING, inlet_temp_c=3.0) for minute in range(3)]
    assert [(event.machine, event.rule, event.severity) for event in ledger.judge(cold).events] == [
        (machine(1), "inlet_cold", Severity.WARNING)
    ]


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (('field = "chip_temp_c"', 'field = "chip_temp"'), "no field chip_temp"),
        (('field = "chip_temp_c"', 'field = "silent_s"'), "no field silent_s"),
        (('scope = "machine"', 'scope = "site"'), "no field chip_temp_c"),
        (("warning = { at = 90, for_s = 60 }", ""), "no limit"),
        (("for_s = 60 }", "for_s = -1 }"), "for_s"),
        (("clear_for_s = 60", "clear_for_s = 60\nclear_margin = -5"), "clear_margin"),
        (("clear_for_s = 60", "clear_for_s = 60\ncritical = { at = 80, for_s = 0 }"), "harder to reach"),
        (("clear_for_s = 60", "clear_for_s = 60\nholds_back = ['warm']"), "holds back warm"),
        (("clear_for_s = 60", "clear_for_s = 60\nduration_s = 3"), "duration_s"),
        (("clear_for_s = 60", "clear_for_s = 60\nmodels = [{ match = ['x*'], critical = 3 }]"), "critical"),
        (("clear_for_s = 60", "clear_for_s = 60\nneeds = [{ field = 'x', is = true, else = 'clear' }]"), "no field x"),
        (("{limit}", "{threshold}"), "says may use"),
        (('">="', '"=="'), "compare"),
    ],
)
def test_a_rule_that_cannot_work_is_refused(tmp_path: Path, change: tuple[str, str], word: str) -> None:
    assert change[0] in RULE
    with pytest.raises(BadRule, match=word):
        load(tmp_path, RULE.replace(*change))


def test_a_sites_rule_has_one_limit(tmp_path: Path) -> None:
    text = RULE.replace('"machine"', '"site"').replace("chip_temp_c", "silent_s")
    assert load(tmp_path, text)["hot"].scope == "site"
    with pytest.raises(BadRule, match="one limit"):
        load(tmp_path, text + "critical = { at = 100, for_s = 0 }")
