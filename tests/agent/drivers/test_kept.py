"""Connections that rest: closed from below, and no other one."""

from __future__ import annotations

import asyncio
import socket
import sys

import pytest

from agent.drivers.kept import close_idle
from tests import loopback
from tests.agent.drivers.doors import doors, hang
from tests.agent.until import until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it is Linux that tells how long a connection rested")

PORT = 8_980


async def test_a_connection_over_which_nothing_went_for_so_long_is_closed_for_both_sides() -> None:
    (address,) = loopback.take()
    async with doors(address, **{f"port{PORT}": hang}) as opened:
        reader, writer = await asyncio.open_connection(address, PORT)
        writer.write(b"question")
        await asyncio.sleep(0.1)
        try:
            assert close_idle({address}, idle_s=0.05) >= 1
            assert await reader.read() == b"", "its owner sees what a machine does that hangs up"
            await until(lambda: opened[f"port{PORT}"].inside == 0)
        finally:
            writer.close()


async def test_connections_in_use_and_those_to_others_are_left_alone() -> None:
    address, other = loopback.take(2)
    async with doors(address, **{f"port{PORT}": hang}), doors(other, **{f"port{PORT}": hang}):
        _, used = await asyncio.open_connection(address, PORT)
        _, foreign = await asyncio.open_connection(other, PORT)
        await asyncio.sleep(0.2)
        try:
            used.write(b"question")
            assert close_idle({address}, idle_s=0.15) == 0
            assert not used.is_closing()
            assert not foreign.is_closing()
        finally:
            used.close()
            foreign.close()


def test_sockets_that_are_not_connected_are_left_alone() -> None:
    with socket.socket() as listening, socket.socket(type=socket.SOCK_DGRAM), socket.socket(socket.AF_UNIX):
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        assert close_idle({"127.0.0.1", ""}, idle_s=3_600) == 0
