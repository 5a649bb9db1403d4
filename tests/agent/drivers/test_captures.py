"""Every recorded firmware, read by each engine, says what its manifest expects."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agent.drivers.registry import engine
from agent.reading import Facts, Live
from tests.conftest import Simulated

ENGINES = ("auto", "asic-rs", "pyasic")
RECORDINGS = (
    "antminer_s19pro_stock-2022-12",
    "avalon_1566_24102401",
    "bitaxe_supra_2.0",
    "whatsminer_m20s_20210322",
)
MISSING = {("pyasic", "bitaxe_supra_2.0"): {"pools"}}
"""What an engine alone does not give: pyasic reads no pools of a BitAxe."""


def as_expected(found: object, expected: Any) -> bool:
    """The rule of the recordings' README: a pair is a span, null is not given by the machine; to half a per cent."""
    if expected is None:
        return True
    if isinstance(expected, list):
        low, high = expected
        return isinstance(found, int | float) and low * 0.995 <= found <= high * 1.005
    return isinstance(found, int | float) and found == pytest.approx(expected, rel=0.005)


async def read(simulated: Simulated, folder: Path, name: str, *, vendor_passwords: bool = True) -> tuple[Facts, Live]:
    farm = await simulated(folder)
    miner = await engine(name, vendor_passwords=vendor_passwords).find(farm.machines[0].address)
    assert miner is not None
    return miner.facts, await miner.read()


def check(live: Live, expected: dict[str, Any], missing: set[str]) -> None:
    for field in {"hashrate_ths", "power_w", "uptime_s"} - missing:
        assert as_expected(getattr(live, field), expected[field]), field
    assert live.fans_rpm == tuple(expected["fans_rpm"])
    assert live.boards is not None
    assert len(live.boards) == expected["boards"]
    assert [board.chips_working for board in live.boards] == expected["chips"]
    assert live.is_meant_to_mine is expected["is_mining"]
    if expected["pools"] is not None and "pools" not in missing:
        assert len(live.pools or ()) == expected["pools"]


@pytest.mark.parametrize("recording", RECORDINGS)
@pytest.mark.parametrize("name", ENGINES)
async def test_a_recorded_machine_reads_as_its_manifest_expects(
    simulated: Simulated, captures: Path, recording: str, name: str
) -> None:
    facts, live = await read(simulated, captures / recording, name)

    manifest = json.loads((captures / recording / "manifest.json").read_text())
    check(live, manifest["expected"], MISSING.get((name, recording), set()))
    assert facts.make == manifest["make"]
    assert facts.mac is not None
    assert facts.driver.startswith(("pyasic-rs ", "pyasic "))


async def test_an_antminer_is_read_without_any_password(simulated: Simulated, captures: Path) -> None:
    folder = captures / "antminer_s19pro_stock-2022-12"

    facts, live = await read(simulated, folder, "auto", vendor_passwords=False)

    check(live, json.loads((folder / "manifest.json").read_text())["expected"], set())
    assert facts.mac is None, "its MAC is behind the password"


@pytest.mark.parametrize("name", ENGINES)
async def test_a_board_s_hottest_chip_is_not_the_mean_of_its_chips(
    simulated: Simulated, captures: Path, name: str
) -> None:
    _, antminer = await read(simulated, captures / "antminer_s19pro_stock-2022-12", name)
    _, whatsminer = await read(simulated, captures / "whatsminer_m20s_20210322", name)

    assert [board.chip_temp_c for board in antminer.boards or ()] == [78, 71, 69]
    assert [board.chip_temp_c for board in whatsminer.boards or ()] == pytest.approx([90, 90.11, 92.5])


@pytest.mark.parametrize("name", ENGINES)
async def test_the_last_share_is_as_old_as_the_machine_s_own_clock_says(
    simulated: Simulated, captures: Path, name: str
) -> None:
    """Recorded in 2025, with three ways to write it: an age, the epoch, seconds since the start."""
    ages = {
        recording: (await read(simulated, captures / recording, name))[1].last_share_age_s
        for recording in RECORDINGS
        if recording != "bitaxe_supra_2.0"
    }

    assert list(ages.values()) == [3, 11, 7]


async def test_models_and_firmware_are_named_as_people_name_them(simulated: Simulated, captures: Path) -> None:
    facts = [(await read(simulated, captures / recording, "auto"))[0] for recording in RECORDINGS]

    assert [(one.make, one.model) for one in facts] == [
        ("Antminer", "S19 Pro"),
        ("Avalon", "15"),
        ("BitAxe", "Supra"),
        ("Whatsminer", "M20S V10"),
    ]
    assert facts[3].firmware == "20210322.22.REL"
    assert (facts[0].boards_expected, facts[0].chips_expected, facts[0].fans_expected) == (3, 342, 4)
