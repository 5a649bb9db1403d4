"""The way back from a pseudonym: on-site, for the owner, whole after any kill."""

from __future__ import annotations

import stat
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from agent.errors import DiskTrouble, Misconfigured
from agent.keyring import Keyring
from agent.pools import PublicPools
from agent.pseudonym import pseudonymize
from agent.reading import RawPool, RawReading
from agent.vault import MachineName, PlainName, Vault, read
from tests.agent.raw import FACTS, LIVE, NOON, raw

KEY = Keyring(bytes(range(32)))
POOLS = PublicPools()


class Clock:
    now = NOON

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


async def learnt(path: Path, clock: Clock, *readings: RawReading) -> Vault:
    vault = Vault(path, KEY, clock)
    for reading in readings:
        vault.remember(reading, POOLS)
    await vault.write()
    return vault


async def test_every_pseudonym_that_leaves_has_its_way_back(tmp_path: Path, clock: Clock) -> None:
    reading = raw()
    await learnt(tmp_path / "vault.sealed", clock, reading)
    names = read(tmp_path / "vault.sealed", KEY)
    sent = pseudonymize(reading, KEY, POOLS)
    assert sent.pools
    pool = sent.pools[0]
    assert pool.account
    assert pool.worker
    assert names == {
        sent.machine: MachineName(
            address=FACTS.address, mac=FACTS.mac, serial=FACTS.serial, hostname=FACTS.hostname, make="Antminer",
            model="S19 Pro", firmware="20221226", workers=("acme.hall3x42",),
            pools=("pool.acme-mining.example",),
        ),
        pool.host: PlainName(kind="pool", value="pool.acme-mining.example"),
        pool.account: PlainName(kind="account", value="acme"),
        pool.worker: PlainName(kind="worker", value="hall3x42"),
    }  # fmt: skip


async def test_only_its_owner_reads_it(tmp_path: Path, clock: Clock) -> None:
    await learnt(tmp_path / "vault.sealed", clock, raw())
    assert stat.S_IMODE((tmp_path / "vault.sealed").stat().st_mode) == 0o600


async def test_a_public_pool_needs_no_way_back(tmp_path: Path, clock: Clock) -> None:
    await learnt(tmp_path / "vault.sealed", clock, raw(pools=(RawPool(url="ocean.xyz"),)))
    assert [entry.kind for entry in read(tmp_path / "vault.sealed", KEY).values()] == ["machine"]


async def test_a_machine_that_moved_is_known_by_its_new_address_and_keeps_its_workers(
    tmp_path: Path, clock: Clock
) -> None:
    moved = raw(live=None, facts=replace(FACTS, address="192.168.17.99"))
    await learnt(tmp_path / "vault.sealed", clock, raw(), moved)
    machines = [entry for entry in read(tmp_path / "vault.sealed", KEY).values() if isinstance(entry, MachineName)]
    assert [(one.address, one.workers) for one in machines] == [("192.168.17.99", ("acme.hall3x42",))]


async def test_the_pools_that_a_machine_last_told_are_known_over_a_restart(tmp_path: Path, clock: Clock) -> None:
    machine = KEY.pseudonym("mnr", FACTS.mac or "")
    told = (RawPool(url="pool.acme-mining.example"), RawPool(user="acme.hall3x42"))
    vault = await learnt(tmp_path / "vault.sealed", clock, raw(), raw(pools=None), raw(live=None))
    assert vault.last_pools(machine) == told
    assert Vault(tmp_path / "vault.sealed", KEY, clock).last_pools(machine) == told
    assert vault.last_pools("mnr-0000000000000000") == ()


async def test_it_is_written_when_something_changed_and_not_too_often(tmp_path: Path, clock: Clock) -> None:
    vault = Vault(tmp_path / "vault.sealed", KEY, clock, write_s=10)
    assert not vault.due()
    vault.remember(raw(), POOLS)
    assert vault.due()
    await vault.write()
    vault.remember(raw(), POOLS)
    assert not vault.due()
    vault.remember(raw(hostname="other"), POOLS)
    assert not vault.due()
    clock.now += timedelta(seconds=10)
    assert vault.due()
    before = (tmp_path / "vault.sealed").stat().st_ino
    await vault.write()
    await vault.write()
    assert (tmp_path / "vault.sealed").stat().st_ino != before
    assert not vault.due()


async def test_a_restart_knows_what_was_written(tmp_path: Path, clock: Clock) -> None:
    await learnt(tmp_path / "vault.sealed", clock, raw())
    again = await learnt(tmp_path / "vault.sealed", clock, raw(mac="02:00:5e:00:00:01", live=replace(LIVE, pools=None)))
    assert len(read(tmp_path / "vault.sealed", KEY)) == 5
    assert not again.due()


async def test_what_the_disk_refused_is_still_due(tmp_path: Path, clock: Clock) -> None:
    vault = Vault(tmp_path / "gone" / "vault.sealed", KEY, clock, write_s=0)
    vault.remember(raw(), POOLS)
    with pytest.raises(DiskTrouble):
        await vault.write()
    assert vault.due()


def test_a_damaged_vault_says_what_to_do(tmp_path: Path, clock: Clock) -> None:
    (tmp_path / "vault.sealed").write_text('{"mnr-x": {"kind": "machine"')
    with pytest.raises(Misconfigured, match="move it away"):
        Vault(tmp_path / "vault.sealed", KEY, clock)


async def test_a_machine_that_makes_up_names_does_not_fill_the_memory(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.vault._MOST_NAMES", 50)
    readings = [raw(pools=(RawPool(url="ocean.xyz", user=f"a{n}.w{n}"),)) for n in range(200)]
    await learnt(tmp_path / "vault.sealed", clock, *readings)
    names = read(tmp_path / "vault.sealed", KEY)
    assert len(names) <= 50
    assert PlainName(kind="worker", value="w199") in names.values()
    assert any(entry.kind == "machine" for entry in names.values())


async def test_text_that_is_none_is_written_all_the_same(tmp_path: Path, clock: Clock) -> None:
    await learnt(
        tmp_path / "vault.sealed", clock, raw(hostname="\ud800", pools=(RawPool(url="\udfff.x", user="a\ud800.b"),))
    )
    assert len(read(tmp_path / "vault.sealed", KEY)) == 4
