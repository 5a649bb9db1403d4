"""Which machines a farm has, and where."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from pathlib import Path

import pytest

from agent.errors import Misconfigured
from agent.simulator.roster import DEFAULT_MIX, addresses, capture_machines, family_machines, mix_of, shared_out


def test_addresses_skip_what_ends_in_0_or_255() -> None:
    assert list(islice(addresses("127.77.0.253"), 4)) == ["127.77.0.253", "127.77.0.254", "127.77.1.1", "127.77.1.2"]
    assert next(addresses("127.77.0.0")) == "127.77.0.1"


@pytest.mark.parametrize(
    ("base", "complaint"),
    [("10.0.0.1", "too few loopback addresses"), ("localhost", "is no IPv4 address"), ("::1", "is no IPv4 address")],
)
def test_machines_live_on_loopback_only(base: str, complaint: str) -> None:
    with pytest.raises(Misconfigured, match=complaint):
        next(addresses(base))


def test_more_machines_than_addresses_are_refused() -> None:
    with pytest.raises(Misconfigured, match="too few"):
        family_machines({"bitaxe": 3}, base="127.255.255.253", seed=1)


def test_a_mix_is_read() -> None:
    assert mix_of("avalon:3, bitaxe:10") == {"avalon": 3, "bitaxe": 10}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("commodore:3", "no family 'commodore': choose from whatsminer"),
        ("avalon", "'avalon': write each family once, as avalon:10"),
        ("avalon:many", "write each family once"),
        ("avalon:1,avalon:2", "write each family once"),
        ("", "no family ''"),
    ],
)
def test_a_mix_without_sense_is_refused(text: str, complaint: str) -> None:
    with pytest.raises(Misconfigured, match=complaint):
        mix_of(text)


def test_a_mix_is_scaled_to_exactly_the_number_asked_for() -> None:
    for machines in (1, 2, 7, 59, 61, 1_000):
        assert sum(shared_out(DEFAULT_MIX, machines).values()) == machines
    assert shared_out({"avalon": 2, "bitaxe": 1}, 4) == {"avalon": 3, "bitaxe": 1}
    assert shared_out(DEFAULT_MIX, 60) == DEFAULT_MIX
    with pytest.raises(Misconfigured, match="holds no machine"):
        shared_out({"avalon": 0}, 4)


def test_families_come_in_the_mixs_order_with_different_names() -> None:
    machines = family_machines({"bitaxe": 2, "avalon": 3}, base="127.77.3.1", seed=4)
    assert [machine.family for machine in machines] == ["bitaxe"] * 2 + ["avalon"] * 3
    assert [machine.address for machine in machines] == [f"127.77.3.{place}" for place in range(1, 6)]
    macs = Counter(name for machine in machines for name in machine.identifiers if name.count(":") == 5)
    assert len(macs) == 5


def test_another_seed_is_another_farm_and_the_same_seed_the_same() -> None:
    def names(seed: int) -> set[str]:
        return {
            name
            for machine in family_machines({"avalon": 3}, base="127.77.3.1", seed=seed)
            for name in machine.identifiers
        }

    assert names(4) == names(4)
    assert {name for name in names(4) & names(5) if not name.startswith("127.")} == set()


def test_recordings_repeat_to_the_number_asked_for(captures: Path) -> None:
    once = [machine.family for machine in capture_machines(captures, None, base="127.77.0.1", seed=1)]
    assert len(once) == len(set(once)) >= 4
    more = capture_machines(captures, len(once) + 2, base="127.77.0.1", seed=1)
    assert [machine.family for machine in more] == [*once, once[0], once[1]]
    assert len({machine.identifiers for machine in more}) == len(once) + 2
    assert len(capture_machines(captures, 2, base="127.77.0.1", seed=1)) == 2
