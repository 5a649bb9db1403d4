"""Which logs are asked of which firmware: fixed, reading only, and never a file with passwords."""

from __future__ import annotations

import re

import pytest

from agent.reading import Facts
from agent.ssh_commands import FAMILIES, Command, family_of

ALL = [(family, command) for family, commands in FAMILIES.items() for command in commands]


@pytest.mark.parametrize(
    ("make", "firmware", "family"),
    [
        ("Antminer", "stock 2022-12-06", "antminer"),
        ("Antminer", None, "antminer"),
        ("AntMiner", "BOS+ 22.08.1", "braiins"),
        ("Antminer", "BraiinsOS 23.12", "braiins"),
        ("Braiins", "BMM 101", "braiins"),
        ("Antminer", "LuxOS 2024.2.8", "luxos"),
        ("Antminer", "VNish 1.2.0", "vnish"),
        ("Antminer", "Hive 1.03", "hiveon"),
        ("ePIC", None, "epic"),
        ("Antminer", "MaraFW 1.0", "marathon"),
        ("Whatsminer", "20210322", "other"),
        (None, None, "other"),
    ],
)
def test_the_firmware_decides_before_the_maker(make: str | None, firmware: str | None, family: str) -> None:
    assert family_of(Facts(address="10.0.0.1", driver="x", make=make, firmware=firmware)) == family


@pytest.mark.parametrize(("family", "command"), ALL)
def test_each_command_only_reads_and_says_why(family: str, command: Command) -> None:
    line = command.line
    for part in line.split(" | "):
        assert part.split()[0] in {"cat", "df", "dmesg", "head", "journalctl", "logread", "tail"}
    assert not re.search(r"[;&<>`$*]", line)
    assert "conf" not in line
    assert ".toml" not in line
    assert command.why


@pytest.mark.parametrize("family", FAMILIES)
def test_no_family_is_asked_the_same_twice(family: str) -> None:
    titles = [command.title for command in FAMILIES[family]]
    assert len(titles) == len(set(titles))
