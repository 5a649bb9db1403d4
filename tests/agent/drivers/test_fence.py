"""The site's networks, as the libraries' clients are told of them, and what that keeps them from."""

from __future__ import annotations

import asyncio
import os
import sys

import pytest

from agent.drivers import fence
from agent.simulator.families.kinds import family_machine
from agent.simulator.farm import Farm
from tests import loopback


@pytest.mark.parametrize(
    ("addresses", "networks"),
    [
        (["192.168.1.7"], "192.168.1.7/32"),
        ([f"192.168.1.{host}" for host in range(10, 20)], "192.168.1.10/31,192.168.1.12/30,192.168.1.16/30"),
        ([f"10.{net}.7.{host}" for net in (1, 9) for host in range(1, 255, 2)], "10.1.7.0/24,10.9.7.0/24"),
        ([], "127.0.0.0/8,10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,169.254.0.0/16,100.64.0.0/10"),
    ],
)
def test_the_fence_is_around_the_addresses_and_of_many_around_their_networks(
    addresses: list[str], networks: str
) -> None:
    fence.around(addresses)
    assert os.environ["NO_PROXY"] == os.environ["no_proxy"] == networks


@pytest.mark.parametrize("name", ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"])
def test_a_proxy_of_the_environment_is_replaced_by_one_that_nobody_can_be(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "http://proxy.example.com:3128")
    fence.around(["192.0.2.1"])
    assert os.environ[name] == os.environ[name.lower()] == "http://127.0.0.1:0"


async def test_a_machine_within_ranges_that_are_new_is_found_by_its_page_though_others_were_looked_for_before() -> None:
    """In a program of its own: asic-rs makes its client once for a process."""
    former, new = loopback.take(2)
    code = (
        "import asyncio\nfrom agent.drivers import fence\nfrom agent.drivers.registry import engine\n"
        "async def main():\n"
        f"    driver = engine('asic-rs', within=['{former}'])\n"
        f"    assert await driver.find('{former}') is None\n"
        f"    fence.around(['{new}'])\n"
        f"    return (await driver.find('{new}')).facts.make\n"
        "print(asyncio.run(main()))"
    )
    async with Farm([family_machine("bitaxe", new, seed=0)]).listening():
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE)
        out, _ = await process.communicate()
    assert out.decode().strip() == "BitAxe"
