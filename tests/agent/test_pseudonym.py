"""What a machine said, made into what may leave: its state, numbers, names and pools."""

from __future__ import annotations

import math
from typing import Any

import pytest

from agent.keyring import Keyring
from agent.pools import PublicPools
from agent.pseudonym import pseudonymize
from agent.reading import RawBoard, RawPool, RawReading
from agent.wire import Reading, State
from tests.agent.raw import LIVE, NOON, POOL, raw

KEY = Keyring(bytes(range(32)))
POOLS = PublicPools()


def sent(reading: RawReading, pools: PublicPools = POOLS) -> Reading:
    return pseudonymize(reading, KEY, pools)


class TestState:
    @pytest.mark.parametrize(
        ("changes", "state"),
        [
            ({}, State.HASHING),
            ({"hashrate_ths": 0.0, "is_meant_to_mine": False}, State.PAUSED),
            ({"hashrate_ths": 0.0, "is_meant_to_mine": False, "fault_codes": ("antminer:1",)}, State.PAUSED),
            ({"hashrate_ths": 5.0, "is_meant_to_mine": False}, State.HASHING),
            ({"hashrate_ths": 5.0, "fault_codes": ("antminer:1",)}, State.HASHING),
            ({"hashrate_ths": 0.0, "fault_codes": ("antminer:1",)}, State.FAULT),
            ({"hashrate_ths": 0.0}, State.IDLE),
            ({"hashrate_ths": 0.0, "is_meant_to_mine": None}, State.IDLE),
            ({"hashrate_ths": None}, State.HASHING),  # its boards hash
            ({"hashrate_ths": None, "boards": (RawBoard(index=0, hashrate_ths=0.0),)}, State.IDLE),
            ({"hashrate_ths": None, "boards": None}, State.HASHING),  # only its word: nothing says that it does not
            ({"hashrate_ths": None, "boards": None, "is_meant_to_mine": None}, State.IDLE),
            ({"hashrate_ths": None, "boards": None, "is_meant_to_mine": False}, State.PAUSED),
            ({"hashrate_ths": math.nan, "boards": None, "fault_codes": ("antminer:1",)}, State.FAULT),
        ],
    )
    def test_follows_from_what_the_machine_says(self, changes: dict[str, Any], state: State) -> None:
        assert sent(raw(**changes)).state is state

    def test_of_a_machine_without_answer_is_unreachable_and_nothing_is_zero(self) -> None:
        reading = sent(raw(live=None))
        assert reading.state is State.UNREACHABLE
        assert reading.model_dump(exclude_none=True).keys() == {
            "time", "machine", "make", "model", "firmware", "driver", "read_ms", "state", "expected_ths",
        }  # fmt: skip


class TestValues:
    def test_pass_through_with_their_units(self) -> None:
        reading = sent(raw())
        assert (reading.hashrate_ths, reading.power_w, reading.expected_ths) == (110.0, 3300.0, 110.0)
        assert reading.fans_rpm == (6000, 5880)
        assert reading.boards is not None
        assert reading.boards[0].chips_working == 114
        assert (reading.make, reading.model, reading.firmware) == ("Antminer", "S19 Pro", "20221226")
        assert (reading.time, reading.read_ms, reading.driver) == (NOON, 12.5, "pyasic-rs 0.8.6")

    @pytest.mark.parametrize("absurd", [math.nan, math.inf, -1.0, 1e300, "110", True, None])
    def test_that_are_absurd_are_missing(self, absurd: Any) -> None:
        fields = ("hashrate_ths", "power_w", "uptime_s", "shares_accepted", "shares_rejected", "last_share_age_s")
        reading = sent(raw(live=LIVE, boards=(RawBoard(index=0, hashrate_ths=absurd, chips_working=absurd),),
                           **dict.fromkeys(fields, absurd)))  # fmt: skip
        assert all(getattr(reading, field) is None for field in fields)
        assert reading.boards is not None
        assert reading.boards[0].model_dump(exclude_none=True) == {"index": 0}

    def test_below_zero_are_fine_for_the_cold(self) -> None:
        assert sent(raw(inlet_temp_c=-20.5)).inlet_temp_c == -20.5

    def test_zero_is_a_value(self) -> None:
        reading = sent(raw(hashrate_ths=0.0, fans_rpm=(0, 0), power_w=0.0))
        assert (reading.hashrate_ths, reading.fans_rpm, reading.power_w) == (0.0, (0, 0), 0.0)

    def test_efficiency_needs_power_and_hashrate(self) -> None:
        assert sent(raw()).efficiency_j_per_th == 30.0
        assert sent(raw(hashrate_ths=0.0)).efficiency_j_per_th is None
        assert sent(raw(power_w=0.0)).efficiency_j_per_th is None
        assert sent(raw(power_w=None)).efficiency_j_per_th is None
        assert sent(raw(hashrate_ths=1e-6, power_w=1e6)).efficiency_j_per_th is None

    def test_expected_hashrate_is_the_live_one_where_there_is_one(self) -> None:
        assert sent(raw(expected_ths=95.0)).expected_ths == 95.0

    def test_too_many_of_anything_are_cut(self) -> None:
        pools = tuple(RawPool(url=f"p{n}.acme.example") for n in range(40))
        reading = sent(
            raw(
                fans_rpm=tuple(range(100, 150)),
                boards=tuple(RawBoard(index=n) for n in range(-3, 90)),
                pools=pools,
                fault_codes=tuple(f"antminer:{n}" for n in range(200)),
            )
        )
        sizes = [len(getattr(reading, name) or ()) for name in ("fans_rpm", "boards", "pools", "fault_codes")]
        assert sizes == [16, 64, 16, 64]

    def test_of_two_boards_with_one_index_the_first_counts(self) -> None:
        boards = (RawBoard(index=1, hashrate_ths=1.0), RawBoard(index=1, hashrate_ths=2.0))
        made = sent(raw(boards=boards)).boards
        assert made is not None
        assert [board.hashrate_ths for board in made] == [1.0]

    def test_fault_codes_are_codes_and_no_prose(self) -> None:
        codes = (
            "whatsminer:110",
            "whatsminer:110",
            "Fan error on board 3",
            "antminer:the fan has failed",
            "x:" + "9" * 40,
        )
        assert sent(raw(fault_codes=codes)).fault_codes == ("whatsminer:110",)

    @pytest.mark.parametrize(
        ("given_text", "name"),
        [
            ("S19j Pro+ Hyd.", "S19j Pro+ Hyd."),
            ("  M50S++ (VK20)  ", "M50S++ (VK20)"),
            ("Tue Dec 06 10:11:12 CST 2022", "Tue Dec 06 10.11.12 CST 2022"),
            ("Ünïcode ⚡ Miner", "Unicode Miner"),
            ("<script>alert</script>", "script alert /script"),
            ("\x00\n\t", None),
            ("…", None),
            ("x" * 65, None),
            ("", None),
        ],
    )
    def test_text_is_a_plain_name_or_missing(self, given_text: str, name: str | None) -> None:
        assert sent(raw(model=given_text)).model == name


class TestPools:
    def test_are_public_names_or_pseudonyms_and_accounts_and_workers_always_pseudonyms(self) -> None:
        pools = (
            RawPool(url="stratum+tcp://btc.F2Pool.com.:1314", user="acme.hall3x42", alive=True, active=True),
            RawPool(url="stratum+tcp://10.0.0.5:3333", user="bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq.hall3x42"),
            POOL,
            RawPool(url="", user="acme.hall3x42"),
        )
        made = sent(raw(pools=pools)).pools
        assert made is not None
        assert [pool.host for pool in made] == [
            "btc.f2pool.com", KEY.pseudonym("pol", "10.0.0.5"), KEY.pseudonym("pol", "pool.acme-mining.example"),
        ]  # fmt: skip
        assert made[0].account == made[2].account == KEY.pseudonym("act", "acme")
        assert made[1].account == KEY.pseudonym("act", "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq")
        assert {pool.worker for pool in made} == {KEY.pseudonym("wrk", "hall3x42")}
        assert (made[0].alive, made[0].active) == (True, True)

    def test_without_a_worker_have_none(self) -> None:
        made = sent(raw(pools=(RawPool(url="ocean.xyz", user="acme"), RawPool(url="ocean.xyz")))).pools
        assert made is not None
        assert [(bool(pool.account), pool.worker) for pool in made] == [(True, None), (False, None)]

    def test_that_are_unknown_are_missing_and_that_are_none_are_an_empty_list(self) -> None:
        assert sent(raw(pools=None)).pools is None
        assert sent(raw(pools=())).pools == ()

    def test_are_compared_with_those_that_the_operator_expects(self) -> None:
        pools = PublicPools(expected=["acme@pool.acme-mining.example"])
        assert sent(raw(), pools).pool_expected is True
        assert sent(raw(pools=(RawPool(url="ocean.xyz", user="thief.x"),)), pools).pool_expected is False
        assert sent(raw()).pool_expected is None
