"""Scenario files: the grammar, what is refused, and that every file here and beside the project goes as it says."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from backend.__main__ import main
from backend.warnings.rehearsal import rehearse
from backend.warnings.scenario import BadScenario, Machine, Scenario, load

OWN = sorted((Path(__file__).parent / "scenarios").glob("*.toml"))
SHARED = (Path(__file__).parents[3] / "../shared/scenarios").resolve()

HEAD = 'site = "north"\nstart = "2026-01-01T00:00:00Z"\ninterval_s = 60\n'
MACHINE = '[[machine]]\nname = "m1"\n'


def scenario(tmp_path: Path, text: str) -> Scenario:
    file = tmp_path / "scenario.toml"
    file.write_text(text)
    return load(file)


@pytest.mark.parametrize("file", OWN, ids=[file.stem for file in OWN])
async def test_a_scenario_goes_as_it_says(file: Path) -> None:
    assert await rehearse(load(file)) == []


@pytest.mark.parametrize("name", ["flapping-heat.toml", "not-hashing.toml"])
async def test_a_shared_example_goes_as_it_says(name: str) -> None:
    if not (SHARED / name).is_file():
        pytest.skip(f"../shared/scenarios/{name} is not here")
    assert await rehearse(load(SHARED / name)) == []


@pytest.mark.parametrize(
    ("series", "said"),
    [
        ("110x2 0", [110, 110, 0]),
        ("90+-1x3", [90, 89, 88]),
        ("-5+2.5x3 -7", [-5, -2.5, 0, -7]),
        ("70 -x2 71", [70, None, None, 71]),
        ("7", [7, 7, 7]),
    ],
)
def test_a_series_of_numbers(series: str, said: list[float | None]) -> None:
    polls = Machine(name="m1", series={"chip_temp_c": series}).polls()
    assert [(polls.at(number) or {}).get("chip_temp_c") for number in range(len(said))] == said


def test_a_machine_that_does_not_answer_says_nothing_at_all() -> None:
    polls = Machine(name="m1", series={"chip_temp_c": "70x2 _ 71", "power_w": "3000"}).polls()
    assert [polls.at(number) for number in range(5)] == [
        {"chip_temp_c": 70, "power_w": 3000},
        {"chip_temp_c": 70, "power_w": 3000},
        None,
        {"chip_temp_c": 71, "power_w": 3000},
        {"chip_temp_c": 71, "power_w": 3000},  # after the end the last poll repeats
    ]


def test_a_series_of_other_things() -> None:
    series = {
        "fans_rpm": "5000,0x2 4000",
        "is_meant_to_mine": "truex2 false",
        "fault_codes": "whatsminer:110,avalon:fx2 -",  # what follows the last x is a count
    }
    polls = Machine(name="m1", series=series).polls()
    said = {"fans_rpm": (5000, 0), "is_meant_to_mine": True, "fault_codes": ("whatsminer:110", "avalon:f")}
    assert [polls.at(number) for number in range(3)] == [
        said,
        said,
        {"fans_rpm": (4000,), "is_meant_to_mine": False},
    ]


@pytest.mark.parametrize(
    ("text", "word"),
    [
        (HEAD + "colour = 3\n", "colour"),
        (HEAD + MACHINE + "colour = 3\n", "colour"),
        (HEAD + MACHINE + '[machine.series]\ncolour = "3"\n', "no field colour"),
        (HEAD + '[[set]]\nat = "1m"\ncolour = 3\n', "colour"),
        (HEAD + '[[set]]\nat = "1m"\nsilence = { for = "1m", colour = 3 }\n', "colour"),
        (HEAD + "[[agent]]\ncolour = 3\n", "colour"),
        (HEAD + '[[expect]]\nat = "1m"\nfiring = []\ncolour = 3\n', "colour"),
        (HEAD + MACHINE + '[machine.series]\npower_w = "1x3"\nhashrate_ths = "1x4"\n', "one length"),
        (HEAD + MACHINE + '[machine.series]\npower_w = "1y3"\n', "1y3 cannot be read"),
        (HEAD + MACHINE + '[machine.series]\npower_w = "1x0"\n', "no poll"),
        (HEAD + MACHINE + '[machine.series]\npower_w = "1x99999999999"\n', "more than 100,000"),
        (HEAD + MACHINE + '[machine.series]\nfault_codes = "2010"\n', "maker:code"),
        (HEAD + MACHINE + '[machine.series]\npower_w = "1+1"\n', "cannot be read"),
        (HEAD + MACHINE + '[machine.series]\npower_w = ""\n', "empty"),
        (HEAD + MACHINE + '[machine.series]\nis_meant_to_mine = "yes"\n', "cannot be read"),
        (HEAD + MACHINE + MACHINE, "one name"),
        (HEAD + '[[expect]]\nat = "soon"\nfiring = []\n', "a time is written as"),
        (HEAD + '[[expect]]\nat = "1m"\nfiring = ["chip_hot m2"]\n', "no machine m2"),
        (HEAD + '[[set]]\nat = "1m"\npause_machine = "m2"\n', "no machine m2"),
        (HEAD + '[[set]]\nat = "1m"\n', "one thing"),
        (HEAD + '[[set]]\nat = "1m"\nrestart_backend = true\nacknowledge = "chip_hot"\n', "one thing"),
        ("site = 3", "site"),
        ("site = ", "cannot be read"),
    ],
)
def test_a_file_that_is_no_scenario_is_refused(tmp_path: Path, text: str, word: str) -> None:
    with pytest.raises(BadScenario, match=word):
        scenario(tmp_path, text)


def test_times_are_written_in_days_hours_minutes_and_seconds(tmp_path: Path) -> None:
    expects = "".join(f'[[expect]]\nat = "{at}"\nfiring = []\n' for at in ("90s", "1h30m", "2d", "0m", "1d1h1m1s"))
    assert [each.at for each in scenario(tmp_path, HEAD + expects).expectations] == [
        timedelta(seconds=90),
        timedelta(minutes=90),
        timedelta(days=2),
        timedelta(),
        timedelta(days=1, hours=1, minutes=1, seconds=1),
    ]


def test_the_command_says_what_differs_and_exits_with_1(tmp_path: Path) -> None:
    good, bad, broken = tmp_path / "good.toml", tmp_path / "bad.toml", tmp_path / "broken.toml"
    machine = MACHINE + '[machine.series]\nhashrate_ths = "0"\nis_meant_to_mine = "true"\n'
    good.write_text(HEAD + machine + '[[expect]]\nat = "5m"\nfiring = ["machine_not_hashing m1"]\n')
    bad.write_text(
        HEAD + machine + '[[expect]]\nat = "4m"\nfiring = ["machine_not_hashing m1", "hashrate_low m1"]\n'
        '[[expect]]\nat = "6m"\nfiring = []\nnotified = 1\n'
        '[[set]]\nat = "1m"\nacknowledge = "chip_hot m1"\n'
    )
    broken.write_text(HEAD + "colour = 3\n")
    fine = CliRunner().invoke(main, ["warnings", "test", str(good)])
    assert (fine.exit_code, fine.output) == (0, f"{good}: as expected\n")
    result = CliRunner().invoke(main, ["warnings", "test", str(good), str(bad)])
    assert result.exit_code == 1
    assert result.output.splitlines() == [
        f"{good}: as expected",
        f"{bad}: at 1m: cannot be done: no such warning fires",
        f"{bad}: at 4m: hashrate_low m1 is expected to fire, and does not: nothing that it looks for is so",
        f"{bad}: at 4m: machine_not_hashing m1 is expected to fire, and does not: "
        "it is pending since 0m; by the catalogue it has to last 5m",
        f"{bad}: at 6m: machine_not_hashing m1 fires, and is not expected to: "
        "it began at 0m and fired at 5m, critical, at 0 TH/s (limit 0)",
        *result.output.splitlines()[5:],
    ]
    (told,) = result.output.splitlines()[5:]
    assert told.startswith(f"{bad}: at 6m: 2 messages left, 1 are expected: 5m30s ")
    assert told.count("Machine not hashing") == 2
    result = CliRunner().invoke(main, ["warnings", "test", str(broken)])
    assert result.exit_code == 1
    assert f"{broken}: colour" in result.stderr
    impossible = tmp_path / "impossible.toml"
    impossible.write_text(
        HEAD + MACHINE + '[machine.series]\nchip_temp_c = "999"\n[[expect]]\nat = "1m"\nfiring = []\n'
    )
    result = CliRunner().invoke(main, ["warnings", "test", str(impossible)])
    assert result.exit_code == 1
    assert "no reading can be so" in result.stderr


async def test_every_field_of_the_format_can_be_played(tmp_path: Path) -> None:
    fields = {
        "hashrate_ths": "110x3 -",
        "chip_temp_c": "70",
        "board_temp_c": "60",
        "inlet_temp_c": "-10+1x4",
        "fans_rpm": "5000,5000x4",
        "power_w": "3000",
        "boards_active": "3x2 0x2",
        "chips_working": "100",
        "chips_expected": "110",
        "shares_accepted": "1+5x4",
        "shares_rejected": "0",
        "last_share_age_s": "3",
        "pools_alive": "2 1 0 -",
        "pool_expected": "truex2 falsex2",
        "uptime_s": "60+60x4",
        "fault_codes": "-x3 whatsminer:110",
        "is_meant_to_mine": "truex2 false -",
    }
    series = "".join(f'{name} = "{text}"\n' for name, text in fields.items())
    text = HEAD + MACHINE + 'model = "Antminer S19 Pro"\nexpected_ths = 110.0\nboards = 3\ndeclared = false\n'
    text += "[machine.series]\n" + series + "[[agent]]\nclock_offset_s = -3600\n"
    firing = ["clock_skew", "machine_unknown m1", "pool_changed m1", "firmware_fault m1", "inlet_cold m1"]
    text += f'[[expect]]\nat = "5m"\nfiring = {firing}\n'
    assert await rehearse(scenario(tmp_path, text)) == []
