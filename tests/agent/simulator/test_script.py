"""Fault scripts: their grammar, their errors, and what they do when."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agent.errors import Misconfigured
from agent.simulator.faults import Fault
from agent.simulator.machine import Machine
from agent.simulator.roster import DEFAULT_MIX, family_machines
from agent.simulator.script import Script, chosen, parse

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def farm_of(**mix: int) -> list[Machine]:
    return family_machines(mix, base="127.77.0.1", seed=1, clock=lambda: START)


def numbers(selector: str, machines: list[Machine]) -> list[int]:
    """Which machines a selector picks, counted from 1."""
    places = {machine.address: place for place, machine in enumerate(machines, 1)}
    return [places[machine.address] for machine in chosen(selector, machines)]


@pytest.mark.parametrize(
    ("selector", "picked"),
    [
        ("all", list(range(1, 11))),
        ("3", [3]),
        ("3-5", [3, 4, 5]),
        ("9-99", [9, 10]),
        ("0", []),
        ("11", []),
        ("30%", [1, 4, 7]),
        ("1%", [1]),
        ("avalon", [1, 2, 3, 4]),
        ("avalon:2", [2]),
        ("bitaxe:1-2", [5, 6]),
        ("bitaxe:50%", [5, 7, 9]),
        ("bitaxe:all", [5, 6, 7, 8, 9, 10]),
        ("whatsminer", []),
        ("2, 1, avalon:2", [1, 2]),
    ],
)
def test_a_selector_picks(selector: str, picked: list[int]) -> None:
    assert numbers(selector, farm_of(avalon=4, bitaxe=6)) == picked


@pytest.mark.parametrize("selector", ["3-", "avalon:x", "%", "-5", "avalon:"])
def test_a_selector_without_sense_is_refused(selector: str) -> None:
    with pytest.raises(Misconfigured, match="is no selector: write all, 3, 5-9"):
        chosen(selector, farm_of(avalon=4))


@pytest.mark.parametrize(
    ("text", "seconds"), [("10s", 10), ("2m", 120), ("1h30m", 5_400), ("1h 5s", 3_605), ("2.5", 2.5), ("90", 90)]
)
def test_a_duration_is_read(text: str, seconds: float) -> None:
    (line,) = parse(f'[[fault]]\nfault = "garbage"\nmachines = "1"\nat = "{text}"', "x.toml")
    assert line.at.total_seconds() == seconds


@pytest.mark.parametrize(
    ("script", "complaint"),
    [
        ("[[fault]", "x.toml: .*at line 1"),
        ("", "x.toml: fault: Field required"),
        ("[fault]\nx = 1", "x.toml: "),
        ('[[fault]]\nfault = "garbage"', "x.toml: fault 1: machines: Field required"),
        ('[[fault]]\nfault = "flood"\nmachines = "1"', "fault 1: fault: Input should be 'overheating', 'board_lost'"),
        (
            '[[fault]]\nfault = "garbage"\nmachines = "1"\n[[fault]]\nfault = "garbage"\nmachines = "1"\nwhen = "1s"',
            "fault 2: when: Extra inputs are not permitted",
        ),
        ('[[fault]]\nfault = "garbage"\nmachines = "1"\nat = "soon"', "fault 1: at: 'soon' is no duration: write 10s"),
        ('[[fault]]\nfault = "garbage"\nmachines = "1"\nat = true', "fault 1: at: True is no duration"),
        ('[[fault]]\nfault = "garbage"\nmachines = "1"\nat = ""', "fault 1: at: '' is no duration"),
        ('[[fault]]\nfault = "garbage"\nmachines = "1"\nfor = "1s"\nuntil = "2s"', "give `for` or `until`, not both"),
        ('[[fault]]\nfault = "garbage"\nmachines = "1"\nat = "3s"\nuntil = "2s"', "fault 1: it ends before it begins"),
        ('[[fault]]\nfault = "garbage"\nmachines = "1"\nboard = 1', "`board` belongs to board_lost"),
        ('[[fault]]\nfault = "garbage"\nmachines = "1"\nfan = 1', "`fan` belongs to fan_stopped"),
        ('[[fault]]\nfault = "board_lost"\nmachines = "1"\nboard = -1', "fault 1: board: "),
    ],
)
def test_a_script_that_cannot_be_used_says_where_and_why(script: str, complaint: str) -> None:
    with pytest.raises(Misconfigured, match=complaint):
        parse(script, "x.toml")


def test_a_script_that_names_no_machine_of_the_farm_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text('[[fault]]\nfault = "garbage"\nmachines = "antminer"')
    with pytest.raises(Misconfigured, match=r"fault 1: machines: 'antminer' is no machine of this farm"):
        Script.read(path, farm_of(avalon=2))
    with pytest.raises(Misconfigured, match=r"cannot read the fault script .*missing\.toml"):
        Script.read(tmp_path / "missing.toml", farm_of(avalon=2))


def test_a_script_breaks_its_machines_in_its_time(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text(
        """
        [[fault]]
        fault = "fan_stopped"
        machines = "1"
        at = "10s"
        for = "5s"
        fan = 1

        [[fault]]
        fault = "board_lost"
        machines = "2"
        board = 2
        until = "20s"

        [[fault]]
        fault = "garbage"
        machines = "2"
        """
    )
    machines = farm_of(whatsminer=3)
    Script.read(path, machines).begin(START)
    first, second, third = machines

    def active(machine: Machine, fault: Fault, after_s: float) -> bool:
        return machine.faults.active(fault, START + timedelta(seconds=after_s)) is not None

    assert [active(first, Fault.FAN_STOPPED, after) for after in (0, 9.9, 10, 14.9, 15)] == [
        False,
        False,
        True,
        True,
        False,
    ]
    assert [active(second, Fault.BOARD_LOST, after) for after in (0, 19, 20)] == [True, True, False]
    assert active(second, Fault.GARBAGE, 1_000_000)
    stopped = first.faults.active(Fault.FAN_STOPPED, START + timedelta(seconds=12))
    lost = second.faults.active(Fault.BOARD_LOST, START)
    assert stopped is not None
    assert lost is not None
    assert (stopped.fan, lost.board) == (1, 2)
    assert not third.faults


def test_the_demo_breaks_six_machines_and_four_of_them_recover_soon_enough() -> None:
    machines = family_machines(DEFAULT_MIX, base="127.77.0.1", seed=1, clock=lambda: START)
    script = Script.demo(machines)
    script.begin(START)
    wanted = {"overheating", "zero_hashrate", "fan_stopped", "unreachable", "garbage", "never_answers"}
    assert {line.fault.value for line, _ in script.casts} == wanted
    assert len({machine.address for _, cast in script.casts for machine in cast}) == 6

    def broken(after_s: float) -> set[str]:
        now = START + timedelta(seconds=after_s)
        return {fault.value for machine in machines for fault in Fault if machine.faults.active(fault, now)}

    assert broken(4) == set()
    assert broken(15) == wanted
    assert broken(34) == {"garbage", "never_answers"}


def test_the_demo_leaves_out_what_a_small_farm_has_not() -> None:
    assert [line.fault.value for line, _ in Script.demo(farm_of(avalon=1)).casts] == ["zero_hashrate"]
