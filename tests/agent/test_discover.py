"""Ranges and the search for machines within them."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import time
from contextlib import AsyncExitStack, aclosing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.discover import Pace, discover, expand
from agent.drivers.protocol import Miner
from agent.drivers.registry import engine
from agent.errors import BadReply, Misconfigured
from agent.reading import Facts, Live
from agent.simulator.families.kinds import family_machine
from agent.simulator.farm import Farm
from tests import loopback
from tests.agent.drivers.doors import doors, hang
from tests.agent.until import until


@pytest.mark.parametrize(
    ("written", "addresses"),
    [
        ("192.168.1.7", ["192.168.1.7"]),
        ("192.168.1.7-9", ["192.168.1.7", "192.168.1.8", "192.168.1.9"]),
        ("192.168.1.255-192.168.2.1", ["192.168.1.255", "192.168.2.0", "192.168.2.1"]),
        ("192.168.1.0/30", ["192.168.1.1", "192.168.1.2"]),
        ("192.168.1.2/30", ["192.168.1.1", "192.168.1.2"]),
        ("192.168.1.2/31", ["192.168.1.2", "192.168.1.3"]),
        ("192.168.1.2/32", ["192.168.1.2"]),
        (" 192.168.1.7 - 8 ", ["192.168.1.7", "192.168.1.8"]),
        ("192.168.1.9, 192.168.1.7;192.168.1.9", ["192.168.1.9", "192.168.1.7"]),
    ],
)
def test_a_range_is_its_addresses_each_once(written: str, addresses: list[str]) -> None:
    assert expand([written]) == addresses


def test_excluded_addresses_are_left_out_however_they_are_written() -> None:
    left = expand(["10.0.0.0/24"], exclude=["10.0.0.1-250", "10.0.0.252/31", "10.0.0.254"])

    assert left == ["10.0.0.251"]


@pytest.mark.parametrize(
    ("written", "complaint"),
    [
        ("192.168.1", "192.168.1 is no range; write 192.168.1.0/24"),
        ("192.168.1.300", "is no range"),
        ("192.168.1.0/33", "is no range"),
        ("192.168.1.9-7", "ends before it begins"),
        ("192.168.2.1-192.168.1.1", "ends before it begins"),
        ("192.168.1.7-", "is no range"),
        ("192.168.1.7-300", "is no range"),
        ("miners.example.com", "is no range"),
        ("fe80::1", "by IPv4 only"),
        ("10.0.0.0/8", "16,777,214 addresses are too many to look at, 65,536 are the most"),
        ("0.0.0.0-255.255.255.255", "too many"),
    ],
)
def test_a_bad_range_is_refused_with_what_to_write(written: str, complaint: str) -> None:
    with pytest.raises(Misconfigured, match=complaint):
        expand([written])


def test_a_whole_16_is_the_most() -> None:
    assert len(expand(["10.0.0.0-10.0.255.255"])) == 65_536


def test_the_most_is_meant_for_all_ranges_together() -> None:
    with pytest.raises(Misconfigured, match="too many"):
        expand(["10.0.0.0/16", "10.1.0.0/24"])


ADDRESS = st.integers(0, 2**32 - 1).map(lambda number: str(ipaddress.IPv4Address(number)))


@given(st.lists(ADDRESS, max_size=6), st.lists(ADDRESS, max_size=3))
def test_single_addresses_come_out_as_they_went_in_but_for_those_excluded(inside: list[str], out: list[str]) -> None:
    assert expand(inside, out) == [one for one in dict.fromkeys(inside) if one not in out]


@given(st.integers(0, 2**32 - 1), st.integers(0, 300))
def test_first_and_last_and_all_between(first: int, more: int) -> None:
    last = min(first + more, 2**32 - 1)
    begin, end = ipaddress.IPv4Address(first), ipaddress.IPv4Address(last)

    assert [int(ipaddress.IPv4Address(one)) for one in expand([f"{begin}-{end}"])] == list(range(first, last + 1))


@given(st.integers(0, 2**32 - 1), st.integers(20, 32))
def test_a_network_is_its_hosts(number: int, prefix: int) -> None:
    network = ipaddress.IPv4Network((number, prefix), strict=False)

    assert expand([str(network)]) == [str(host) for host in network.hosts()]


@given(st.text(max_size=30))
def test_any_text_is_a_range_or_a_complaint(text: str) -> None:
    with contextlib.suppress(Misconfigured):
        assert all(ipaddress.IPv4Address(one) for one in expand([text]))


class FoundMiner:
    def __init__(self, address: str) -> None:
        self.facts = Facts(address=address, driver="test 1")

    async def read(self) -> Live:
        return Live()

    async def refresh(self) -> Facts:
        return self.facts


class Finder:
    """A driver that finds a miner wherever it is asked, and counts."""

    name = "test"

    def __init__(self, *, takes_s: float = 0.0, error: Exception | None = None) -> None:
        self.asked: list[str] = []
        self.at_once = self.most_at_once = 0
        self._takes_s = takes_s
        self._error = error

    async def find(self, address: str) -> Miner | None:
        self.asked.append(address)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await asyncio.sleep(self._takes_s)
        finally:
            self.at_once -= 1
        if self._error:
            raise self._error
        return FoundMiner(address)


async def search(addresses: list[str], driver: Finder, **options: object) -> list[str]:
    async with aclosing(discover(addresses, driver, **options)) as miners:  # type: ignore[arg-type]
        return [miner.facts.address async for miner in miners]


async def test_only_what_accepts_a_connection_is_asked_what_it_is() -> None:
    addresses = loopback.take(20)
    driver = Finder()
    looked_at = []
    async with doors(addresses[3], port4028=hang), doors(addresses[7], port80=hang), doors(addresses[9], port4433=hang):
        found = await search(addresses, driver, looked_at=lambda: looked_at.append(1))

    assert sorted(found) == sorted([addresses[3], addresses[7], addresses[9]])
    assert sorted(driver.asked) == sorted(found)
    assert len(looked_at) == 20


async def test_addresses_to_skip_are_not_touched() -> None:
    (address,) = loopback.take()
    async with doors(address, port4028=hang) as opened:
        assert await search([address], Finder(), skip={address}) == []
        assert opened["port4028"].entered == 0


@pytest.mark.parametrize("error", [BadReply("garbage"), TimeoutError()])
async def test_what_cannot_be_identified_is_no_machine_and_no_error(error: Exception) -> None:
    (address,) = loopback.take()
    async with doors(address, port4028=hang):
        assert await search([address], Finder(error=error)) == []


async def test_connections_are_opened_no_faster_than_allowed() -> None:
    addresses = loopback.take(10)
    began = time.monotonic()

    await search(addresses, Finder(), connections_per_s=100)

    assert 0.27 <= time.monotonic() - began < 2, "10 addresses of 3 ports are 30 connections"


async def test_a_pace_is_even_and_gives_no_credit_for_waiting() -> None:
    pace = Pace(50)
    await pace.turn()
    await asyncio.sleep(0.2)
    began = time.monotonic()
    for _ in range(5):
        await pace.turn()

    assert time.monotonic() - began >= 0.075


async def test_machines_are_identified_few_at_a_time() -> None:
    addresses = loopback.take(60)
    driver = Finder(takes_s=0.02)
    async with AsyncExitStack() as stack:
        for address in addresses:
            await stack.enter_async_context(doors(address, port4028=hang))
        assert len(await search(addresses, driver, connections_per_s=10_000)) == 60

    assert 8 <= driver.most_at_once <= 32


async def test_a_search_that_is_given_up_stops_at_once() -> None:
    addresses = loopback.take(30)
    driver = Finder(takes_s=30)
    tasks = asyncio.all_tasks()
    async with doors(addresses[0], port4028=hang):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await search(addresses, driver, connections_per_s=1_000)
        assert driver.at_once == 0
    await until(lambda: asyncio.all_tasks() <= tasks | {asyncio.current_task()}, 3)


async def test_machines_come_one_by_one_as_they_are_found() -> None:
    (quick, slow) = loopback.take(2)

    class Uneven(Finder):
        async def find(self, address: str) -> Miner | None:
            await asyncio.sleep(5 if address == slow else 0)
            return await super().find(address)

    driver = Uneven()
    async with (
        doors(quick, port4028=hang),
        doors(slow, port4028=hang),
        asyncio.timeout(2),
        aclosing(discover([slow, quick], driver)) as miners,
    ):
        first = await anext(miners)

    assert first.facts.address == quick


async def test_a_fault_of_our_own_ends_the_search_and_is_not_swallowed() -> None:
    (address,) = loopback.take()
    async with doors(address, port4028=hang), asyncio.timeout(2):
        with pytest.raises(ExceptionGroup, match="unhandled errors"):
            await search([address], Finder(error=ZeroDivisionError()))


async def test_real_machines_are_found_in_a_range() -> None:
    addresses = loopback.take(12)
    machines = [family_machine("whatsminer", address, seed=n) for n, address in enumerate(addresses[2:7])]
    async with Farm(machines).listening():
        driver = engine()
        async with aclosing(discover(addresses, driver, connections_per_s=1_000)) as miners:
            found = [miner.facts async for miner in miners]

    assert {one.address for one in found} == set(addresses[2:7])
    assert {one.make for one in found} == {"Whatsminer"}


class SlowAtFirst(Finder):
    """Finds nothing for longer than it takes to be sure, and the machine when it is asked again."""

    async def find(self, address: str) -> Miner | None:
        miner = await super().find(address)
        self._takes_s = 0.0
        return miner if self.asked.count(address) > 1 else None


async def test_a_machine_that_a_busy_computer_did_not_recognise_in_time_is_looked_at_once_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("agent.discover._SLOW_S", 0.05)
    slow, quick = loopback.take(2)
    async with doors(slow, port4028=hang), doors(quick, port4028=hang):
        driver = SlowAtFirst(takes_s=0.1)
        assert await search([slow], driver) == [slow]
        assert await search([quick], driver) == [], "what says in no time that it is no machine is none"

    assert driver.asked == [slow, slow, quick]
