"""The scenario format, sentence by sentence as it is written down beside the shared examples."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from backend.__main__ import main
from backend.warnings.catalogue import Catalogue
from backend.warnings.rehearsal import rehearse
from backend.warnings.scenario import BadScenario, Scenario, load

README = (Path(__file__).parents[3] / "../shared/scenarios/README.md").resolve()
SCENARIOS = Path(__file__).parent / "scenarios"

HEAD = 'site = "north"\nstart = "2026-01-01T00:00:00Z"\ninterval_s = 60\n'
HOT = '[[machine]]\nname = "m1"\n[machine.series]\nhashrate_ths = "110"\nchip_temp_c = "95"\n'


def written(tmp_path: Path, text: str) -> Scenario:
    file = tmp_path / "scenario.toml"
    file.write_text(text)
    return load(file)


def expect(at: str, *firing: str, notified: int | None = None) -> str:
    told = "" if notified is None else f"notified = {notified}\n"
    return f'[[expect]]\nat = "{at}"\nfiring = [{", ".join(f"{each!r}" for each in firing)}]\n{told}'


def test_the_example_of_the_format_is_a_scenario(tmp_path: Path) -> None:
    if not README.is_file():
        pytest.skip("../shared/scenarios/README.md is not here")
    text = README.read_text(encoding="utf-8")
    scenario = written(tmp_path, text.split("```toml\n")[1].split("```")[0])
    (machine,) = scenario.machines
    assert (machine.name, machine.model, machine.expected_ths, machine.boards) == ("m1", "Antminer S19 Pro", 110, 3)
    polls = machine.polls()
    assert (polls.at(9) or {})["hashrate_ths"] == 110
    assert polls.at(21) == {"hashrate_ths": 0, "chip_temp_c": 70, "fans_rpm": (5000, 5000)}
    assert polls.at(32) == polls.at(1000) == {"hashrate_ths": 110, "chip_temp_c": 70, "fans_rpm": (5000, 5000)}


ACTS = {
    "a machine that is paused fires nothing": ('pause_machine = "m1"', [], 0),
    "a silence tells nobody": ('silence = {rule="chip_hot", machine="m1", for="30m"}', ["chip_hot m1"], 0),
    "a silence of a rule alone": ('silence = {rule="chip_hot", for="30m"}', ["chip_hot m1"], 0),
    "a silence of a machine alone": ('silence = {machine="m1", for="30m"}', ["chip_hot m1"], 0),
    "maintenance tells nobody": ('maintenance = {for="1h"}', ["chip_hot m1"], 0),
    "another threshold": ('threshold = {rule="chip_hot", machine="m1", warning=99}', [], 0),
    "a restart changes nothing": ("restart_backend = true", ["chip_hot m1"], 1),
}


@pytest.mark.parametrize(("act", "firing", "notified"), ACTS.values(), ids=list(ACTS))
async def test_what_a_person_does(tmp_path: Path, act: str, firing: list[str], notified: int) -> None:
    text = HEAD + HOT + f'[[set]]\nat = "2m"\n{act}\n' + expect("5m", *firing, notified=notified)
    assert await rehearse(written(tmp_path, text)) == []


async def test_a_machine_is_resumed_and_a_warning_acknowledged(tmp_path: Path) -> None:
    text = HEAD + HOT.replace('"95"', '"101"')
    text += '[[set]]\nat = "0m"\npause_machine = "m1"\n[[set]]\nat = "10m"\nresume_machine = "m1"\n'
    text += '[[set]]\nat = "12m"\nacknowledge = "chip_hot m1"\n'
    text += (
        expect("9m", notified=0) + expect("13m", "chip_hot m1", notified=2) + expect("5h", "chip_hot m1", notified=2)
    )
    assert await rehearse(written(tmp_path, text)) == []


async def test_an_event_after_the_last_poll_of_a_series_finds_its_last_poll_repeated(tmp_path: Path) -> None:
    text = (
        HEAD + HOT.replace('"95"', '"70x2 95"').replace('"110"', '"110x3"') + expect("4m") + expect("5m", "chip_hot m1")
    )
    assert await rehearse(written(tmp_path, text)) == []


async def test_a_number_of_machines_that_is_larger_than_a_batch_is_played(tmp_path: Path) -> None:
    machines = "".join(HOT.replace("m1", f"m{number}") for number in range(6))
    firing = [f"chip_hot m{number}" for number in range(6)]
    text = HEAD + machines + expect("3m", *firing) + expect("5m", "site_degraded", *firing)
    assert await rehearse(written(tmp_path, text)) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (expect("1m", "chip_warm m1"), "there is no rule chip_warm; there are machine_offline, "),
        ('[[set]]\nat = "1m"\nsilence = {rule="chip_warm", for="1m"}\n', "there is no rule chip_warm"),
        ('[[set]]\nat = "1m"\nthreshold = {rule="chip_warm", warning=1}\n', "there is no rule chip_warm"),
        ('[[set]]\nat = "99h"\nthreshold = {rule="chip_hot", warm=1}\n', "there is no warm; there are "),
        ('[[set]]\nat = "1m"\nthreshold = {rule="chip_hot"}\n', "give a number of the rule"),
        ('[[set]]\nat = "1m"\nrestart_backend = false\n', "restart_backend"),
        ('[[agent]]\nsilent = ["5m", "4m"]\n', "the end comes later"),
        ('[[agent]]\nsilent = ["5m"]\n', "silent"),
        ('[[expect]]\nat = "1m"\nfiring = "chip_hot m1"\n', "firing"),
        ('[[expect]]\nat = "1m"\nfiring = []\nnotified = -1\n', "notified"),
        ("[[expect]]\nfiring = []\n", "at: Field required"),
        ('[[machine]]\nname = "two words"\n', "name"),
    ],
)
def test_what_cannot_be_is_said_in_words_and_ends_with_1(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "scenario.toml"
    file.write_text(HEAD + HOT + text)
    result = CliRunner().invoke(main, ["warnings", "test", str(file)])
    assert (result.exit_code, said in result.stderr) == (1, True), result.output
    assert str(file) in result.stderr


def test_a_file_that_is_not_there_is_said_and_the_others_are_played(tmp_path: Path) -> None:
    good = tmp_path / "good.toml"
    good.write_text(HEAD + HOT + expect("1m"))
    result = CliRunner().invoke(main, ["warnings", "test", str(tmp_path / "none.toml"), str(good)])
    assert result.exit_code == 1
    assert "none.toml: cannot be read" in result.stderr
    assert f"{good}: as expected" in result.stdout


def test_a_start_without_a_zone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadScenario, match="start"):
        written(tmp_path, HEAD.replace("00Z", "00"))


@pytest.mark.parametrize("rule", [rule.name for rule in Catalogue.load() if rule.scope == "machine"])
def test_each_rule_of_a_machine_is_played(rule: str) -> None:
    """Firing, and not; through a restart of the backend; paused; and, for a rule by thresholds, late and flapping."""
    about = [scenario for file in SCENARIOS.glob("*.toml") if rule in (scenario := load(file)).rules()]
    fires = {split for scenario in about for each in scenario.expectations for split in each.firing}
    assert any(each.startswith(f"{rule} ") for each in fires)
    if rule != "machine_unknown":  # which fires at first sight: the machines beside it show that it need not
        assert any(not any(each.startswith(f"{rule} ") for each in e.firing) for s in about for e in s.expectations)
    assert any(act.restart_backend for scenario in about for act in scenario.acts)
    assert any(act.pause_machine for scenario in about for act in scenario.acts)
    if rule not in ("machine_missing", "machine_unknown"):
        assert any(agent.silent for scenario in about for agent in scenario.agents)
