"""The support bundle: its text names nobody, and what is sent is that text and no other."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from aiohttp import web
from pydantic import SecretStr

from agent.enrolment import Enrolment
from agent.errors import AgentError, NotAllowed, Rejected, RetryLater
from agent.keyring import Keyring, Kind
from agent.pools import PublicPools
from agent.pseudonym import pseudonymize
from agent.reading import RawPool
from agent.redaction import Redactor
from agent.ssh import Output, Visit
from agent.ssh_commands import Command
from agent.support import Bundle, Findings, compose, know_site, send
from agent.vault import MachineName, PlainName
from agent.wire import decode
from tests.agent.backend import problem, says
from tests.agent.raw import FACTS, LIVE, NOON, raw
from tests.agent.support_door import opened
from tests.world.leaks import Searcher

KEYRING = Keyring(bytes(range(32)))
POOLS = PublicPools()
MACHINE = KEYRING.pseudonym(Kind.MACHINE, "02:00:5E:1C:A7:3F")
NAMES = [
    FACTS.address,
    FACTS.mac,
    FACTS.serial,
    FACTS.hostname,
    "pool.acme-mining.example",
    "acme.hall3x42",
    "hall3x42",
]
KERNEL = Command("kernel log", "dmesg", "")
ID = UUID("12345678-1234-4234-8234-123456789abc")


def redactor() -> Redactor:
    made = Redactor(KEYRING, POOLS)
    made.know_facts(MACHINE, FACTS)
    made.know_host("stratum+tcp://pool.acme-mining.example:3333")
    made.know_user("acme.hall3x42", closely=True)
    return made


def findings(*outputs: Output, **changes: Any) -> Findings:
    made = Findings(
        machine=MACHINE,
        facts=FACTS,
        reading=pseudonymize(raw(), KEYRING, POOLS),
        visit=Visit(outputs, "SHA256:x", is_first=False),
    )
    return replace(made, **changes)


def text_of(made: Findings) -> str:
    return compose(made, redactor(), NOON)


def test_the_text_says_what_it_is_about_and_names_nobody() -> None:
    log = " ".join(filter(None, NAMES)).encode() + b" \x1b[2Jfrom 10.9.8.7 pass=hunter2\n"
    text = text_of(findings(Output(KERNEL, log, "whole", 0), misses=(f"{FACTS.address} did not answer",)))
    assert list(Searcher(filter(None, NAMES)).search(text.encode())) == []
    assert not {"hunter2", "10.9.8.7", "\x1b"} & {word for word in ("hunter2", "10.9.8.7", "\x1b") if word in text}
    for word in (f"machine: {MACHINE}", "made at: 2026-01-01T12:00:00Z", "model: S19 Pro", "firmware: 20221226"):
        assert word in text
    assert f"{MACHINE} did not answer" in text
    assert "== kernel log: dmesg ==" in text


def test_the_reading_in_it_is_the_one_that_would_leave_in_a_poll() -> None:
    text = text_of(findings())
    block = text.partition("in every poll ==\n")[2].partition("\n\n")[0]
    reading = json.loads(block)
    batch = {"id": str(ID), "contract": 1, "site": "s", "agent": "0.1", "sent_at": "2026-01-01T12:00:00Z"}
    assert decode(json.dumps(batch | {"readings": [reading]}).encode()).readings[0] == pseudonymize(
        raw(), KEYRING, POOLS
    )


def test_a_machines_own_words_about_itself_are_cleaned_too() -> None:
    text = text_of(findings(facts=replace(FACTS, model=f"S19 of {FACTS.hostname}", firmware="\x1b]0;x\x07stock")))
    assert f"model: S19 of {MACHINE}\nfirmware: stock\n" in text


def test_each_ending_of_a_command_is_told() -> None:
    text = text_of(
        findings(
            Output(Command("a", "one", ""), b"x\n", "too long"),
            Output(Command("b", "two", ""), b"", "too slow"),
            Output(Command("c", "three", ""), b"sh: three: not found\n", "whole", 127),
            Output(Command("d", "four", ""), b"y\n", "broken off"),
        )
    )
    assert "== a: one; it went on, the rest is not here ==\nx\n" in text
    assert "== b: two; it did not come to an end in time ==\n(nothing)\n" in text
    assert "== c: three; exit status 127 ==\nsh: three: not found\n" in text
    assert "== d: four; the machine hung up ==\ny\n" in text


def test_a_machine_that_told_nothing_still_makes_a_text() -> None:
    text = text_of(findings(reading=None, visit=None, misses=("logs over SSH: no login",)))
    assert "== not found out ==\nlogs over SSH: no login\n" in text
    assert "reading" not in text


def test_a_text_too_long_loses_the_oldest_whole_lines_of_its_logs() -> None:
    lines = b"".join(b"%07d something happened\n" % number for number in range(1_200))
    outputs = [Output(Command(f"log {number}", "x", ""), lines, "whole", 0) for number in range(5)]
    text = compose(findings(*outputs), redactor(), NOON, most=100_000)
    assert 90_000 < len(text) <= 100_000
    assert text.count("the oldest lines are left out ==\n") == 5
    assert text.count("0001199 something happened\n") == 5
    assert all(len(line) == 26 for line in text.splitlines() if "something" in line)


def test_the_whole_vault_is_known_and_other_machines_keep_their_own_pseudonyms() -> None:
    other, pool = "mnr-0123456789abcdef", KEYRING.pseudonym(Kind.POOL, "pool.other.example")
    worker, account = KEYRING.pseudonym(Kind.WORKER, "northern7"), KEYRING.pseudonym(Kind.ACCOUNT, "bigcorp")
    made = redactor()
    know_site(
        made,
        {
            other: MachineName(
                address="10.0.0.9", mac="02:aa:bb:cc:dd:ee", serial="SNX0099887", workers=("bigcorp.w9",)
            ),
            pool: PlainName(kind="pool", value="pool.other.example"),
            worker: PlainName(kind="worker", value="northern7"),
            account: PlainName(kind="account", value="bigcorp"),
        },
    )
    cleaned = made.redact(f"10.0.0.9 02aabbccddee SNX0099887 {FACTS.mac} pool.other.example northern7 bigcorp")
    assert cleaned == f"{other} {other} {other} {MACHINE} {pool} {worker} {account}"
    assert "w9" not in made.redact("as bigcorp.w9 now")


def bundle(text: str = "hello\n") -> Bundle:
    return Bundle(id=ID, site="sit_1", created_at=NOON, text=text)


def enrolled(url: str) -> Enrolment:
    return Enrolment(url=url, account="acc_1", site="sit_1", token=SecretStr("tok_0123456789abcdef"))


async def test_what_arrives_is_the_text_as_it_was_shown() -> None:
    text = text_of(findings(Output(KERNEL, "85 °C � ok\n".encode(), "whole", 0)))
    async with opened() as door:
        receipt = await send(bundle(text), enrolled(door.url), None)
    assert door.taken == {
        str(ID): {"id": str(ID), "site": "sit_1", "created_at": "2026-01-01T12:00:00Z", "text": text},
    }
    assert receipt.id == ID
    assert receipt.kept_until == datetime(2026, 1, 31, tzinfo=UTC)
    sent = door.headers[0]
    assert sent["Authorization"] == "Bearer tok_0123456789abcdef"
    assert (sent["Content-Encoding"], sent["Content-Type"]) == ("zstd", "application/json")


async def test_an_answer_that_got_lost_is_no_second_bundle() -> None:
    async with opened(says(502), says(503)) as door:
        await send(bundle(), enrolled(door.url), None, retry_s=(0.01, 0.01))
    assert len(door.headers) == 3
    assert len(door.taken) == 1


async def test_an_answer_without_a_word_about_keeping_is_fine() -> None:
    async with opened(says(201, json.dumps({"id": str(ID)}), "application/json")) as door:
        assert (await send(bundle(), enrolled(door.url), None)).kept_until is None


@pytest.mark.parametrize(
    ("answer", "error", "message"),
    [
        (says(200, "<html>sign in</html>"), Rejected, "not the backend"),
        (
            says(201, json.dumps({"id": "00000000-0000-4000-8000-000000000000"}), "application/json"),
            Rejected,
            "another",
        ),
        (says(302, Location="/x"), Rejected, "answered 302"),
        (problem(401, "no such token"), NotAllowed, "no such token; the token is not valid"),
        (problem(403, "site closed"), NotAllowed, "site closed"),
        (says(404), Rejected, "takes no support bundles"),
        (problem(413, "too large"), Rejected, "413: too large"),
        (problem(422, "text: missing"), Rejected, "text: missing"),
        (says(500), RetryLater, "answered 500"),
        (problem(429, "slow down"), RetryLater, "slow down"),
    ],
)
async def test_each_refusal_is_told_in_the_backends_words(
    answer: Callable[[], web.Response], error: type[AgentError], message: str
) -> None:
    async with opened(answer, answer) as door:
        with pytest.raises(error, match=message):
            await send(bundle(), enrolled(door.url), None, retry_s=(0.01,))
        assert len(door.headers) == (2 if error is RetryLater else 1)


async def test_a_backend_that_is_away_is_tried_again_and_then_told() -> None:
    async with opened() as door:
        pass
    async with asyncio.timeout(10):
        with pytest.raises(RetryLater, match="no connection"):
            await send(bundle(), enrolled(door.url), None, retry_s=(0.01, 0.01))


def test_the_token_shows_in_no_repr() -> None:
    assert "tok_" not in repr(enrolled("https://x.example"))


def test_a_pool_of_the_reading_is_the_same_pool_in_the_log() -> None:
    live = replace(LIVE, pools=(RawPool(url="stratum+tcp://pool.acme-mining.example:3333", user="acme.hall3x42"),))
    reading = pseudonymize(raw(live=live), KEYRING, POOLS)
    text = text_of(
        findings(Output(KERNEL, b"to pool.acme-mining.example as acme.hall3x42\n", "whole"), reading=reading)
    )
    assert reading.pools is not None
    pool = reading.pools[0]
    assert f"to {pool.host} as {pool.account}.{pool.worker}\n" in text
