"""What a machine's own answers mean, in all the ways that firmware writes them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.drivers.answers import last_share_age_s, understand
from agent.drivers.own_read import complete, said_nothing
from agent.drivers.rpc import Answer
from agent.reading import Live, RawBoard, RawPool


def stats(**values: Any) -> dict[str, Answer]:
    return {"stats": {"STATS": [{"Type": "Antminer S9"}, values]}}


@pytest.mark.parametrize(
    ("said", "fans"),
    [
        ({"fan_num": 4, "fan1": 6000, "fan2": 0, "fan3": 5040, "fan4": 5040}, (6000, 0, 5040, 5040)),
        ({"fan_num": 2, "fan1": 0, "fan2": 0, "fan3": 5880, "fan6": 6000}, (5880, 6000)),
        ({"fan_num": 2, "fan1": 0, "fan2": 0, "fan3": 5880, "fan6": 0}, (5880, 0)),
        ({"fan_num": 4, "fan1": 0, "fan2": 0, "fan3": 0, "fan4": 0}, (0, 0, 0, 0)),
        ({"fan_num": 0, "fan1": 0}, None),  # immersion: none, and none stands still
        ({"fan_num": 4}, None),
        ({"fan1": 6000}, None),
    ],
    ids=[
        "one stands still",
        "places of an S9",
        "one of an S9 stands still",
        "all stand",
        "immersed",
        "none",
        "no number",
    ],
)
def test_an_antminer_s_fans_are_as_many_as_it_says_it_has(said: dict[str, Any], fans: tuple[int, ...] | None) -> None:
    assert understand(stats(**said), "Antminer").fans_rpm == fans


def test_an_antminer_s_missing_sensors_are_missing_and_not_0_degrees() -> None:
    extra = understand(stats(chain_rate1="37000.5", chain_acn1=114, temp_chip1="0-0-0-0", temp_pcb1="-"), "Antminer")

    assert extra.boards == (RawBoard(index=0, hashrate_ths=37.0005, chips_working=114),)


@pytest.mark.parametrize(
    ("when", "written", "age_s"),
    [
        (1755615295, "0:00:03", 3),
        (1755615295, "26:00:03", 93603),
        (1755615295, "2 days, 1:00:00", 176400),
        (1761061371, 1761061364, 7),
        (986, 975, 11),
        (986, 0, None),
        (986, "0", None),
        (986, 990, None),  # a share from the future: two clocks
        (1761061371, 975, None),  # uptime against the epoch
        (None, 975, None),
        (986, "never", None),
    ],
)
def test_the_age_of_the_last_share_is_by_the_machine_s_clock(when: int | None, written: object, age_s: float) -> None:
    pools: Answer = {"STATUS": [{"When": when}], "POOLS": [{"Last Share Time": written}, {"Last Share Time": 0}]}

    assert last_share_age_s(pools) == age_s


@pytest.mark.parametrize(
    ("answer", "codes"),
    [
        ({"Msg": {"error_code": []}}, ()),
        (
            {"Msg": {"error_code": [{"530": "2021-01-01 01:02:03"}, {"2010": "x"}]}},
            ("whatsminer:530", "whatsminer:2010"),
        ),
        ({"Msg": {"error_code": ["110", 111]}}, ("whatsminer:110", "whatsminer:111")),
        ({"Msg": {"error_code": {"530": "2021-01-01"}}}, ("whatsminer:530",)),
        ({"Msg": "API command error"}, None),
    ],
)
def test_a_whatsminer_s_fault_codes_are_taken_from_each_of_its_forms(answer: Answer, codes: object) -> None:
    assert understand({"get_error_code": answer}, "Whatsminer").fault_codes == codes


def test_old_whatsminer_firmware_counts_its_faults_in_the_summary() -> None:
    summary: Answer = {"SUMMARY": [{"Error Code Count": 1, "Error Code 0": 530, "Error Code 1": 0}]}

    assert understand({"summary": summary}, "Whatsminer").fault_codes == ("whatsminer:530",)


@pytest.mark.parametrize(
    ("message", "is_paused"),
    [
        ({"mineroff": "false", "btmineroff": "false"}, False),
        ({"mineroff": "true"}, True),
        ({"btmineroff": "true"}, True),
        ({}, None),
        ("down", None),
    ],
)
def test_a_whatsminer_says_that_it_was_paused(message: object, is_paused: bool | None) -> None:
    assert understand({"status": {"Msg": message}}, "Whatsminer").is_paused is is_paused


def test_a_pause_counts_unless_the_machine_hashes() -> None:
    extra = understand({"status": {"Msg": {"mineroff": "true"}}}, "Whatsminer")

    assert complete(Live(hashrate_ths=0.0, is_meant_to_mine=True), extra).is_meant_to_mine is False
    assert complete(Live(hashrate_ths=60.0, is_meant_to_mine=True), extra).is_meant_to_mine is True


@pytest.mark.parametrize(
    ("summary", "rate"),
    [
        ({"HS RT": 67394800.97, "MHS av": 1}, 67.39480097),
        ({"GHS 5s": "110566.89"}, 110.56689),
        ({"MHS 5s": 197497926.49}, 197.49792649),
        ({"GHS 5s": 0.0, "GHS av": 100}, 0),
        ({}, None),
    ],
)
def test_the_hashrate_of_a_summary_is_in_the_unit_of_its_name(summary: dict[str, Any], rate: float | None) -> None:
    assert understand({"summary": {"SUMMARY": [summary]}}, None).hashrate_ths == (rate and pytest.approx(rate))


def test_an_avalon_tells_the_air_s_temperature_in_the_middle_of_a_text() -> None:
    text = "Ver[15] DH[1.299%] MTmax[77 78] ITemp[99] Temp[31] TMax[78]"

    assert understand({"stats": {"STATS": [{"MM ID0": text}]}}, "Avalon").inlet_temp_c == 31


def test_a_board_more_than_the_library_has_is_not_made_up() -> None:
    extra = understand(stats(chain_rate1="1000", chain_rate2="2000", chain_acn1=1, chain_acn2=1), "Antminer")

    live = complete(Live(boards=(RawBoard(index=0, hashrate_ths=1.0),)), extra)

    assert [board.index for board in live.boards or ()] == [0]


def test_boards_that_say_nothing_are_none() -> None:
    live = complete(Live(boards=(RawBoard(index=0, chips_expected=114),)), understand({}, None))

    assert live.boards is None


@pytest.mark.parametrize(
    ("live", "nothing"),
    [
        (Live(), True),
        (Live(is_meant_to_mine=True, fault_codes=()), True),
        (Live(hashrate_ths=0.0), True),  # what pyasic makes of a dead Whatsminer v3
        (Live(hashrate_ths=0.0, fans_rpm=(0, 0)), False),
        (Live(hashrate_ths=0.0, pools=(RawPool(url="x"),)), False),
        (Live(hashrate_ths=0.0, uptime_s=5), False),
        (Live(uptime_s=5), False),
        (Live(fans_rpm=(100,)), True),
    ],
)
def test_an_empty_answer_is_no_reading_and_a_hashrate_of_0_is_one(live: Live, nothing: bool) -> None:
    assert said_nothing(live) is nothing


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(["0-0", "0:00:01"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["STATS", "SUMMARY", "POOLS", "DEVS", "STATUS", "Msg", "error_code", "fan1", "fan_num", "ASC"]
            )
            | st.sampled_from(
                ["chain_rate1", "temp_chip1", "When", "Last Share Time", "Elapsed", "MM ID0", "mineroff"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
ANSWERS = st.dictionaries(
    st.sampled_from(["summary", "pools", "stats", "devs", "status", "get_error_code"]),
    st.dictionaries(st.sampled_from(["STATS", "SUMMARY", "POOLS", "DEVS", "STATUS", "Msg"]), JSON),
)


@given(ANSWERS, st.sampled_from(["Antminer", "Avalon", "Whatsminer", None]))
def test_no_answer_makes_understanding_fail(answers: dict[str, Answer], make: str | None) -> None:
    again = json.loads(json.dumps(answers))

    complete(Live(), understand(again, make))
