"""Machines of the last run: asked at once, forgotten when they are long gone."""

from __future__ import annotations

import asyncio
import stat
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from agent import durable
from agent.errors import DiskTrouble, MinerUnreachable, Misconfigured
from agent.keyring import Keyring
from agent.known import KnownMachines, RememberedMiner, sealed
from agent.reading import Facts, Live
from tests.agent.raw import FACTS, LIVE, NOON

OTHER = replace(FACTS, address="192.168.17.43", mac="02:00:5e:00:00:43")
KEY = Keyring(bytes(range(32)))
ALL = (FACTS.address, OTHER.address)


class Clock:
    now = NOON

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "machines.sealed"


async def test_a_restart_knows_the_machines_with_all_their_facts(path: Path, clock: Clock) -> None:
    known = KnownMachines(path, KEY, clock)
    known.seen(FACTS)
    known.seen(OTHER)
    await known.write()
    assert KnownMachines(path, KEY, clock).load(ALL) == [FACTS, OTHER]


def test_only_its_owner_reads_it(tmp_path: Path, clock: Clock) -> None:
    asyncio.run(KnownMachines(tmp_path / "machines.sealed", KEY, clock).write())
    assert [stat.S_IMODE(one.stat().st_mode) for one in tmp_path.iterdir()] == [0o600]


async def test_machines_outside_the_ranges_of_today_are_not_asked(path: Path, clock: Clock) -> None:
    known = KnownMachines(path, KEY, clock)
    known.seen(FACTS)
    known.seen(OTHER)
    await known.write()
    assert KnownMachines(path, KEY, clock).load([OTHER.address]) == [OTHER]


async def test_a_machine_that_was_not_seen_for_a_week_is_gone_and_not_down(path: Path, clock: Clock) -> None:
    known = KnownMachines(path, KEY, clock)
    known.seen(FACTS)
    clock.now += timedelta(days=6)
    known.seen(OTHER)
    await known.write()
    assert known.gone() == []
    clock.now += timedelta(days=2)
    assert known.gone() == [FACTS.address]
    assert KnownMachines(path, KEY, clock).load(ALL) == [OTHER]


async def test_a_machine_that_moved_is_known_once(path: Path, clock: Clock) -> None:
    known = KnownMachines(path, KEY, clock)
    known.seen(FACTS)
    known.seen(replace(FACTS, address=OTHER.address))
    known.keep([OTHER.address])
    await known.write()
    assert [facts.address for facts in KnownMachines(path, KEY, clock).load(ALL)] == [OTHER.address]


async def test_it_is_written_when_a_machine_changed_and_now_and_then(path: Path, clock: Clock) -> None:
    known = KnownMachines(path, KEY, clock)
    assert not known.due()
    known.seen(FACTS)
    assert known.due()
    await known.write()
    known.seen(FACTS)
    assert not known.due()
    clock.now += timedelta(hours=1)
    assert known.due()
    await known.write()
    known.seen(replace(FACTS, firmware="20991231"))
    assert known.due()


async def test_what_the_disk_refused_is_still_due(tmp_path: Path, clock: Clock) -> None:
    known = KnownMachines(tmp_path / "gone" / "machines.sealed", KEY, clock)
    known.seen(FACTS)
    with pytest.raises(DiskTrouble):
        await known.write()
    assert known.due()


async def test_text_that_is_none_is_written_all_the_same(path: Path, clock: Clock) -> None:
    known = KnownMachines(path, KEY, clock)
    known.seen(replace(FACTS, hostname="\ud800", expected_ths=float("nan")))
    await known.write()
    assert [facts.hostname for facts in KnownMachines(path, KEY, clock).load(ALL)] == ["?"]


def in_clear(path: Path, clock: Clock) -> Path:
    """What an older version left: the list as it is inside the seal."""
    known = KnownMachines(path, KEY, clock)
    known.seen(FACTS)
    known.seen(replace(OTHER, shares_mac=True))
    asyncio.run(known.write())
    clear = path.with_name("machines.json")
    clear.write_bytes(sealed(path).read(KEY) or b"")
    path.unlink()
    return clear


def test_it_shows_nothing_to_whoever_has_no_key(path: Path, clock: Clock) -> None:
    known = KnownMachines(path, KEY, clock)
    known.seen(FACTS)
    asyncio.run(known.write())
    assert not [
        name for name in (FACTS.address, FACTS.mac, FACTS.serial) if name and name.encode() in path.read_bytes()
    ]
    assert KnownMachines(path, Keyring(bytes(32)), clock).load(ALL) == []


def test_a_list_in_clear_of_an_older_version_is_sealed_once_and_goes(path: Path, clock: Clock) -> None:
    in_clear(path, clock)
    known = KnownMachines(path, KEY, clock)
    assert known.load(ALL) == [FACTS, replace(OTHER, shares_mac=True)]
    assert known.due()
    asyncio.run(known.write())
    assert [one.name for one in path.parent.iterdir()] == [path.name]
    assert KnownMachines(path, KEY, clock).load(ALL) == [FACTS, replace(OTHER, shares_mac=True)]


def test_whenever_the_process_dies_while_a_list_in_clear_is_sealed_nothing_is_lost(
    path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    clear = in_clear(path, clock)
    known = KnownMachines(path, KEY, clock)
    known.load(ALL)
    for dies_in in ("write", "remove"):

        def dies(*_: object, **__: object) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patched:
            patched.setattr(durable, dies_in, dies)
            with pytest.raises(KeyboardInterrupt):
                asyncio.run(known.write())
        assert clear.exists()
        known = KnownMachines(path, KEY, clock)
        assert known.load(ALL) == [FACTS, replace(OTHER, shares_mac=True)]
        assert known.due()
    asyncio.run(known.write())
    assert not clear.exists()


def test_a_damaged_list_is_as_good_as_none(path: Path, clock: Clock) -> None:
    path.write_text("[{")
    assert KnownMachines(path, KEY, clock).load(ALL) == []
    path.unlink()
    path.mkdir()
    with pytest.raises(Misconfigured, match="cannot read"):
        KnownMachines(path, KEY, clock).load(ALL)


class Here:
    """A machine that a driver found."""

    facts = replace(FACTS, firmware="20991231")

    async def read(self) -> Live:
        return LIVE

    async def refresh(self) -> Facts:
        return self.facts


class Finds:
    """A driver that finds what it is told to."""

    name = "finds"

    def __init__(self) -> None:
        self.machine: Here | None = None
        self.asked: list[str] = []

    async def find(self, address: str) -> Here | None:
        self.asked.append(address)
        return self.machine


async def test_a_remembered_machine_is_down_until_it_is_found_and_looked_for_once() -> None:
    driver = Finds()
    miner = RememberedMiner(FACTS, driver)
    for _ in range(2):
        with pytest.raises(MinerUnreachable):
            await miner.read()
    assert miner.facts == FACTS
    driver.machine = Here()
    assert await miner.read() == LIVE
    assert await miner.refresh() == Here.facts
    assert miner.facts == Here.facts
    assert driver.asked == [FACTS.address] * 3
