"""Whose numbers count."""

from __future__ import annotations

from datetime import timedelta

import pytest

from backend.ids import SiteId
from backend.warnings.catalogue import BadRule, Catalogue, Rule
from backend.warnings.overrides import Numbers, Override, Rulebook, changed, check

CATALOGUE = Catalogue.load()
SITE = SiteId("sit_north")


def chip_hot(
    overrides: list[Override], settings: dict[str, Numbers] | None = None, machine: str = "m1", model: str = "S19 Pro"
) -> Rule:
    rules = Rulebook(CATALOGUE, settings or {}, overrides, SITE).of_machine(machine, "Antminer", model).rules
    return next(rule for rule in rules if rule.name == "chip_hot")


def limits(rule: Rule) -> list[float]:
    return [limit.at for limit in rule.limits]


def override(warning: float, site: str | None = None, model: str | None = None, machine: str | None = None) -> Override:
    return Override(
        rule="chip_hot",
        numbers={"warning": warning},
        site=SiteId(site) if site else None,
        model=model,
        machine=machine,
    )


def test_each_source_goes_before_the_weaker_ones_in_whatever_order_they_come() -> None:
    settings: dict[str, Numbers] = {"chip_hot": {"warning": 81}}
    strongest_first = [
        override(86, machine="m1"),
        override(85, site="sit_north", model="*S19*"),
        override(84, model="*S19*"),
        override(83, site="sit_north"),
        override(82),
    ]
    found = []
    while strongest_first:
        found.append(limits(chip_hot(strongest_first, settings))[0])
        assert chip_hot(list(reversed(strongest_first)), settings).limits[0].at == found[-1]
        strongest_first.pop(0)
    found += [limits(chip_hot([], settings))[0], limits(chip_hot([]))[0]]
    assert found == [86, 85, 84, 83, 82, 81, 90]


def test_an_override_holds_where_it_says_and_nowhere_else() -> None:
    elsewhere = [
        override(50, site="sit_south"),
        override(50, model="*S21*"),
        override(50, machine="m2"),
        Override(rule="no_such_rule", numbers={"warning": 50}),
    ]
    assert limits(chip_hot(elsewhere)) == [90, 100]


def test_settings_go_before_a_makes_own_limits() -> None:
    rules = Rulebook(CATALOGUE, {"chip_hot": {"warning": 80}}, [], SITE).of_machine("m1", "Avalon", "1566").rules
    assert limits(next(rule for rule in rules if rule.name == "chip_hot")) == [80, 115]


@pytest.mark.parametrize(("numbers", "found"), [({"warning": 105}, [105, 105]), ({"critical": 88}, [88, 88])])
def test_a_limit_that_is_not_named_gives_way(numbers: Numbers, found: list[float]) -> None:
    assert limits(changed(CATALOGUE["chip_hot"], numbers)) == found


def test_a_limit_below_gives_way_where_low_values_are_bad() -> None:
    cold = changed(CATALOGUE["machine_not_hashing"], {"critical": 3})
    assert limits(cold) == [3]


def test_durations_and_margins_can_be_changed() -> None:
    rule = changed(CATALOGUE["chip_hot"], {"for_s": 7, "critical_for_s": 3, "clear_for_s": 9, "clear_margin": 2})
    assert [limit.duration for limit in rule.limits] == [timedelta(seconds=7), timedelta(seconds=3)]
    assert rule.clear_for == timedelta(seconds=9)
    assert rule.is_clear(88, rule.limits[0])
    assert not rule.is_clear(88.1, rule.limits[0])


def test_a_rule_can_be_switched_off_and_on_again() -> None:
    off: dict[str, Numbers] = {"chip_hot": {"enabled": 0}, "agent_silent": {"enabled": 0}}
    book = Rulebook(CATALOGUE, off, [Override(rule="chip_hot", numbers={"enabled": 1}, machine="m2")], SITE)
    assert "chip_hot" not in {rule.name for rule in book.of_machine("m1", None, None).rules}
    assert "chip_hot" in {rule.name for rule in book.of_machine("m2", None, None).rules}
    assert "agent_silent" not in {rule.name for rule in book.of_site()}


@pytest.mark.parametrize(
    ("rule", "numbers", "word"),
    [
        ("chip_warm", {"warning": 80}, "no rule chip_warm"),
        ("chip_hot", {"warn": 80}, "there is no warn"),
        ("chip_hot", {"info": 80}, "no limit for info"),
        ("chip_hot", {"info_for_s": 80}, "no limit for info"),
        ("chip_hot", {"warning": float("nan")}, "cannot be nan"),
        ("chip_hot", {"for_s": -1}, "for_s cannot be -1"),
        ("chip_hot", {"for_s": 1e12}, "for_s cannot be"),
        ("chip_hot", {"clear_margin": -1}, "clear_margin"),
        ("chip_hot", {"warning": 100, "critical": 90}, "harder to reach"),
    ],
)
def test_numbers_that_a_rule_cannot_have_are_refused(rule: str, numbers: Numbers, word: str) -> None:
    with pytest.raises(BadRule, match=word):
        check(CATALOGUE, {rule: numbers})


def test_a_stored_override_that_an_update_made_impossible_is_left_out() -> None:
    stale = [Override(rule="chip_hot", numbers={"info": 60}), override(84)]
    assert limits(chip_hot(stale)) == [84, 100]
