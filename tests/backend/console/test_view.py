"""Links of the first page and what they choose."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

import pytest

from agent.wire import State
from backend.console.overview import farm
from backend.console.view import ORDERS, View
from tests.backend.console.farms import NAMES, NOW, SITE, alarm, latest, machine

MACHINES = farm(
    [
        latest(1, hashrate_ths=90),
        latest(2, hashrate_ths=120),
        latest(3, State.UNREACHABLE),
        latest(4, State.IDLE, hashrate_ths=0),
    ],
    [alarm(2)],
    NAMES,
    now=NOW,
).machines


def ids(view: View) -> list[str]:
    return [m.id for m in view.pick(MACHINES)]


def followed(link: str) -> View:
    return View.parse(dict(parse_qsl(urlsplit(link).query)))


def test_without_a_choice_it_is_everything_worst_first() -> None:
    assert ids(View()) == [machine(n) for n in (2, 3, 4, 1)]
    assert View().link == "/"


def test_a_state_chooses_its_machines_and_warned_those_with_a_warning() -> None:
    assert ids(View(state="idle")) == [machine(4)]
    assert ids(View(state="warned")) == [machine(2)]
    assert ids(View(state="fault")) == []


def test_sorting_puts_machines_without_the_value_last_both_ways() -> None:
    assert ids(View(sort="hashrate")) == [machine(n) for n in (4, 1, 2, 3)]
    assert ids(View(sort="hashrate", falling=True)) == [machine(n) for n in (2, 1, 4, 3)]


@pytest.mark.parametrize("column", ORDERS)
def test_every_column_sorts_and_turns_round_and_back_to_worst_first(column: str) -> None:
    rising = followed(View(state="hashing").by(column))
    assert (rising.sort, rising.falling, rising.state) == (column, False, "hashing")
    assert sorted(ids(rising)) == sorted(ids(View(state="hashing")))
    falling = followed(rising.by(column))
    assert (falling.sort, falling.falling) == (column, True)
    assert followed(falling.by(column)).sort is None


def test_a_link_says_the_same_view_again() -> None:
    view = View(state="idle", sort="chip", falling=True, site="sit_north", search="S19 & co", page=7)
    assert followed(view.link) == view
    assert followed(view.only(None)) == View(sort="chip", falling=True, site="sit_north", search="S19 & co")
    assert followed(View(state="idle").turned(3)) == View(state="idle", page=3)
    assert followed(View(page=3).by("chip")) == View(sort="chip")


def test_a_search_finds_every_word_in_what_names_a_machine_and_a_site_has_its_own() -> None:
    assert ids(View(search="antminer s19")) == [machine(n) for n in (2, 4, 1)]  # the third never said what it is
    assert ids(View(search="S19 Whatsminer")) == []
    assert ids(View(search=machine(3)[-4:])) == [machine(3)]
    assert ids(View(site=SITE)) == ids(View())
    assert ids(View(site="sit_elsewhere")) == []


def test_what_a_link_says_that_is_not_known_is_the_default() -> None:
    assert View.parse({"state": "<script>", "sort": "-nothing", "page": "-1", "q": "   "}) == View()
