"""The extra read: it learns how a machine can be asked, and never costs the library's reading."""

from __future__ import annotations

import json
from collections import Counter

from agent.drivers.answers import Extra
from agent.drivers.floods import Floods
from agent.drivers.own_read import OwnRead
from agent.drivers.rests import Rests
from agent.drivers.rpc import Answer
from tests import loopback
from tests.agent.drivers.doors import Handler, doors, say

SUMMARY: Answer = {"STATUS": [{"STATUS": "S"}], "SUMMARY": [{"Accepted": 7, "Rejected": 1, "Stale": 2, "Elapsed": 60}]}
POOLS: Answer = {"STATUS": [{"STATUS": "S", "When": 100}], "POOLS": [{"Last Share Time": 90}]}
ERROR: Answer = {"STATUS": [{"STATUS": "E", "Msg": "Invalid command"}]}


def cgminer(asked: Counter[str], answers: dict[str, Answer], *, takes_many: bool) -> Handler:
    async def handler(reader: object, writer: object) -> None:
        command = json.loads(await reader.read(1_000))["command"]  # type: ignore[attr-defined]
        asked[command] += 1
        parts = command.split("+")
        if len(parts) == 1:
            answer = answers.get(command, ERROR)
        else:
            answer = {part: [answers[part]] for part in parts if part in answers} if takes_many else ERROR
        writer.write(json.dumps(answer).encode() + b"\0")  # type: ignore[attr-defined]

    return handler


async def test_a_machine_that_takes_many_commands_is_asked_once() -> None:
    (address,) = loopback.take()
    asked: Counter[str] = Counter()
    own = OwnRead(address, None, Floods())
    async with doors(address, port4028=cgminer(asked, {"summary": SUMMARY, "pools": POOLS}, takes_many=True)):
        extra = await own.read()

    assert (extra.shares_accepted, extra.shares_rejected, extra.shares_stale, extra.last_share_age_s) == (7, 1, 2, 10)
    assert asked == {"summary+pools": 1}


async def test_a_machine_that_takes_one_command_is_tried_with_many_once() -> None:
    (address,) = loopback.take()
    asked: Counter[str] = Counter()
    own = OwnRead(address, None, Floods())
    async with doors(address, port4028=cgminer(asked, {"summary": SUMMARY, "pools": POOLS}, takes_many=False)):
        extras = [await own.read() for _ in range(3)]

    assert [extra.shares_accepted for extra in extras] == [7, 7, 7]
    assert asked == {"summary+pools": 1, "summary": 3, "pools": 3}


async def test_a_command_that_a_machine_does_not_know_is_asked_once() -> None:
    (address,) = loopback.take()
    asked: Counter[str] = Counter()
    own = OwnRead(address, "Whatsminer", Floods())
    async with doors(address, port4028=cgminer(asked, {"summary": SUMMARY}, takes_many=False)):
        for _ in range(3):
            await own.read()
        assert asked["pools"] == asked["get_error_code"] == 1
        assert asked["summary"] == 3

        own.reconsider()
        await own.read()
        assert asked["pools"] == 2, "a refresh of the facts asks all again"


async def test_a_machine_without_the_port_is_left_alone_for_longer_and_longer() -> None:
    (address,) = loopback.take()
    own = OwnRead(address, None, Floods())
    for _ in range(4):
        assert await own.read() == Extra()
    async with doors(address, port4028=say(b"")) as opened:
        for _ in range(6):
            assert await own.read() == Extra()
        assert opened["port4028"].entered == 1


async def test_another_protocol_on_the_port_is_left_alone_too() -> None:
    """ePIC serves its web page there."""
    (address,) = loopback.take()
    own = OwnRead(address, None, Floods())
    async with doors(address, port4028=say(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as opened:
        for _ in range(3):
            assert await own.read() == Extra()
        assert opened["port4028"].entered == 3, "one read: all at once, and each alone"


async def test_garbage_is_nothing_and_no_error() -> None:
    (address,) = loopback.take()
    own = OwnRead(address, "Antminer", Floods())
    for garbage in (b"\xff\xfe\x00", b"[1,2]\0", b'{"STATS": 5}\0', b"{" * 100_000):
        async with doors(address, port4028=say(garbage)):
            own.reconsider()
            assert await own.read() == Extra()


def test_what_failed_rests_for_2_reads_then_4_and_at_most_32_and_is_forgiven_when_it_works() -> None:
    rests = Rests()
    lengths = []
    for _ in range(7):
        rests.failed("fans")
        length = 0
        rests.next_read()
        while "fans" in rests:
            length += 1
            rests.next_read()
        lengths.append(length)
    assert lengths == [2, 4, 8, 16, 32, 32, 32]

    rests.worked("fans")
    rests.failed("fans")
    rests.next_read()
    rests.next_read()
    rests.next_read()
    assert "fans" not in rests
