"""Whatever bytes a machine sends: an answer that is understood, or an error that its caller expects; never anything
else, never for long, and never a number that the contract would refuse."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent import normalise
from agent.drivers import rpc, thrift
from agent.drivers.answers import understand
from agent.drivers.own_read import complete, said_nothing
from agent.drivers.registry import engine
from agent.errors import AgentError, BadReply, MinerUnreachable
from agent.keyring import Keyring
from agent.pools import PublicPools
from agent.pseudonym import pseudonymize
from agent.reading import Facts, Live, RawPool, RawReading
from agent.simulator.families.kinds import FAMILIES, family_machine
from agent.simulator.farm import Farm
from agent.wire import Reading, encode
from tests import loopback
from tests.agent.drivers.doors import doors, say
from tests.agent.raw import FACTS, NOON

KEYRING, POOLS = Keyring(bytes(range(32))), PublicPools()

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=-(10**400), max_value=10**400)
    | st.floats()
    | st.text(max_size=40)
    | st.sampled_from(["NaN", "-inf", "1e999", "0x1f", "1_000", "٣", "3250 W", "12:61:99", "-1", "1e-320", "9" * 5_000])
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=6,
)
NAMES = st.sampled_from(
    """HS RT,GHS 5s,MHS av,Last Share Time,MM ID0,Factory GHS,Chip Temp Max,Error Code 0,Error Code Count,
    Effective Chips,Chip Frequency,Elapsed,Accepted,Rejected,Stale,Power,When,fan1,fan2,fan8,fan_num,chain_power,
    chain_rate1,chain_acn1,temp_pcb1,temp_chip1,freq1,ASC,Temperature,Msg,mineroff,error_code,STATUS""".replace(
        "\n    ", ""
    ).split(",")
)
ROW = st.dictionaries(NAMES, JSON, max_size=8)
LISTS = st.sampled_from(["SUMMARY", "POOLS", "STATS", "DEVS", "STATUS", "Msg"])
ANSWER = st.dictionaries(LISTS, st.lists(ROW | JSON, max_size=2) | ROW | JSON, max_size=2)
ANSWERS = st.dictionaries(
    st.sampled_from(["summary", "pools", "stats", "devs", "status", "get_error_code"]), ANSWER, max_size=3
)
MAKES = st.sampled_from([None, "Antminer", "Avalon", "Whatsminer", "Bitaxe"])
VALUES = SCALARS | st.lists(SCALARS, max_size=3) | st.dictionaries(st.text(max_size=5), SCALARS, max_size=2)
SAID = (
    st.binary(max_size=300)
    | ANSWER.map(lambda answer: json.dumps(answer).encode())
    | st.sampled_from(
        [b"", b"\0", b"{}", b"[]", b"null", b"<title>AntMiner</title>", b'{"STATUS":[{"Description":"cgminer"}]}']
    )
)
"""What a machine may say, on any port."""


def http(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


def framed(body: bytes) -> bytes:
    return len(body).to_bytes(4, "little") + body


def is_fit_to_leave(live: Live, facts: Facts = FACTS) -> Reading:
    """Made into a reading, which the contract checks field by field."""
    reading = pseudonymize(RawReading(time=NOON, facts=facts, live=live, read_ms=1.0), KEYRING, POOLS)
    return Reading.model_validate_json(encode(reading))


@given(ANSWERS, MAKES)
def test_any_answers_are_understood_to_a_reading_that_may_leave(answers: dict[str, Any], make: str | None) -> None:
    live = complete(Live(hashrate_ths=1.0), understand(answers, make))
    said_nothing(live)
    is_fit_to_leave(live)


@given(st.binary(max_size=400) | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_an_object_or_refused(data: bytes) -> None:
    try:
        answer = rpc._parse(data)
    except (BadReply, MinerUnreachable):
        return
    assert isinstance(answer, dict)


@pytest.mark.parametrize("brackets", ["[", '{"a":', '[{"a":'])
def test_deep_json_is_refused_and_takes_no_time(brackets: str) -> None:
    began_s = time.perf_counter()
    with pytest.raises(BadReply):
        rpc._parse(brackets.encode() * 200_000)
    assert time.perf_counter() - began_s < 5


@settings(max_examples=20)
@given(st.binary(min_size=1, max_size=2_000))
async def test_any_bytes_on_the_ports_end_in_an_answer_or_an_expected_error(data: bytes) -> None:
    (address,) = loopback.take(1)
    async with doors(address, port4028=say(data), port4433=say(data)):
        for asking in (rpc.ask(address, "summary"), rpc.exchange_framed(address, 4433, b"{}")):
            with contextlib.suppress(BadReply, MinerUnreachable):
                await asking


@pytest.mark.parametrize("name", ["asic-rs", "pyasic"])
@settings(max_examples=8)
@given(api=SAID, page=SAID, is_http=st.booleans())
async def test_any_bytes_at_an_address_are_no_machine_or_one_whose_reading_may_leave(
    name: str, api: bytes, page: bytes, is_http: bool
) -> None:
    (address,) = loopback.take()
    driver = engine(name, within=[address])
    answers = {"port4028": say(api), "port80": say(http(page) if is_http else page), "port4433": say(framed(api))}
    async with doors(address, **answers), asyncio.timeout(20):
        with contextlib.suppress(AgentError):
            miner = await driver.find(address)
            if miner is not None:
                is_fit_to_leave(await miner.read(), miner.facts)


@pytest.mark.parametrize("name", ["asic-rs", "pyasic"])
@settings(max_examples=8)
@given(family=st.sampled_from(sorted(FAMILIES)), said=SAID, is_http=st.booleans())
async def test_any_bytes_of_a_known_machine_are_refused_or_a_reading_that_may_leave(
    name: str, family: str, said: bytes, is_http: bool
) -> None:
    (address,) = loopback.take()
    async with Farm([family_machine(family, address, seed=1)]).listening():
        miner = await engine(name, vendor_passwords=True, within=[address]).find(address)
        assert miner is not None
    answers = {"port4028": say(said), "port80": say(http(said) if is_http else said), "port4433": say(framed(said))}
    async with doors(address, **answers), asyncio.timeout(20):
        with contextlib.suppress(AgentError):
            is_fit_to_leave(await miner.read(), miner.facts)


@given(st.binary(max_size=200) | ANSWER.map(lambda answer: json.dumps(answer).encode()))
def test_any_bytes_are_a_refusal_or_none(data: bytes) -> None:
    assert thrift._is_refusal(data) in (True, False)


@given(VALUES, VALUES, MAKES)
def test_any_value_is_a_finite_number_or_none(value: Any, unit: Any, make: str | None) -> None:
    for found in (
        normalise.number(value),
        normalise.positive(value),
        normalise.count(value),
        normalise.air_c(value),
        normalise.chip_c(value),
        normalise.board_c(value, make),
        normalise.volts(value),
        normalise.ths(value, unit),
        normalise.hottest([value, unit]),
    ):
        assert found is None or math.isfinite(found)
    assert normalise.text(value) is None or isinstance(normalise.text(value), str)


@given(st.text(max_size=200), st.text(max_size=60))
def test_any_names_become_names_that_may_leave(name: str, make: str) -> None:
    facts = Facts(
        address=FACTS.address,
        driver="test 1",
        make=normalise.make_name(make),
        model=normalise.model_name(name, normalise.make_name(make)),
        firmware=name,
    )
    is_fit_to_leave(Live(hashrate_ths=1.0, fault_codes=(normalise.fault_code(make, name),)), facts)


@given(st.text(max_size=120), st.text(st.characters(codec=None), max_size=80))
def test_any_pool_becomes_one_that_may_leave(url: str, user: str) -> None:
    is_fit_to_leave(Live(hashrate_ths=1.0, pools=(RawPool(url=url, user=user, alive=True, active=True),)))
    is_fit_to_leave(Live(hashrate_ths=1.0, pools=(RawPool(url=f"stratum+tcp://{url}:3333", user=user),)))
