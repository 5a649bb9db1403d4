"""Batches over real HTTP: stored once, judged once, refused clearly."""

from __future__ import annotations

import asyncio
import gzip
import json
import tracemalloc
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import aiohttp
import pytest
import zstandard
from structlog.testing import capture_logs

from agent import wire
from tests.backend.api.conftest import Served
from tests.backend.readings import NOW, at, batch, full_reading, reading

COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "identity": bytes,
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "zstd": zstandard.compress,
}


def own(served: Served, *readings: wire.Reading, **fields: Any) -> wire.Batch:
    """A batch of our site."""
    return batch(readings or (full_reading(),), site=served.ours.site, **fields)


def kind(problem: dict[str, Any]) -> str:
    return str(problem["type"].rpartition(":")[2])


async def stored(served: Served) -> int:
    """How many readings there are, counted by machine and minute."""
    answer = await served.get(
        "/v1/series",
        served.ours.read,
        **{
            "metric": "is_reachable",
            "from": "2025-11-01T00:00:00Z",
            "to": "2026-02-01T00:00:00Z",
            "step": "30d",
            "aggregate": "sum",
        },
    )
    return int(sum(point[1] for series in answer.json["series"] for point in series["points"]))


@pytest.mark.parametrize("encoding", COMPRESS)
async def test_a_batch_is_stored_and_judged_however_it_is_compressed(served: Served, encoding: str) -> None:
    sent = own(served)
    data = wire.encode(sent)
    answer = await served.send(COMPRESS[encoding](data), served.ours.agent, encoding)
    assert (answer.status, answer.json) == (200, {"stored": True, "readings": 1, "aggregates": 0})
    assert await stored(served) == 1
    assert served.judge.judged == [(served.ours.account, served.ours.site, sent.id)]


async def test_a_body_may_be_of_several_frames(served: Served) -> None:
    data = wire.encode(own(served))
    for compress in (gzip.compress, zstandard.compress):
        frames = compress(data[:100]) + compress(data[100:])
        answer = await served.send(frames, served.ours.agent, "gzip" if compress is gzip.compress else "zstd")
        assert answer.status == 200


async def test_a_batch_sent_again_is_stored_once_and_offered_to_the_rules_again(served: Served) -> None:
    sent = own(served)
    answers = [(await served.send(sent, served.ours.agent)).json for _ in range(3)]
    assert [answer["stored"] for answer in answers] == [True, False, False]
    assert await stored(served) == 1
    assert len(served.judge.judged) == 3, "the rules keep a batch once by themselves"


async def test_of_a_batch_sent_five_times_at_once_one_is_stored(served: Served) -> None:
    sent = own(served, *(reading(number) for number in range(50)))
    answers = await asyncio.gather(*(served.send(sent, served.ours.agent) for _ in range(5)))
    assert [answer.status for answer in answers] == [200] * 5
    assert sorted(answer.json["stored"] for answer in answers) == [False] * 4 + [True]
    assert await stored(served) == 50


async def test_a_batch_that_could_not_be_judged_is_not_acknowledged_and_comes_again(served: Served) -> None:
    sent = own(served)
    served.judge.fails = True
    with capture_logs():
        answer = await served.send(sent, served.ours.agent)
    assert answer.status == 500
    assert kind(answer.json) == "internal"
    assert b"sentinel" not in answer.body
    served.judge.fails = False
    again = await served.send(sent, served.ours.agent)
    assert (again.status, again.json["stored"]) == (200, False)
    assert len(served.judge.judged) == 1
    assert await stored(served) == 1


@pytest.mark.parametrize("limit", ["sent", "decompressed"])
async def test_a_batch_over_the_limit_is_refused(served: Served, limit: str) -> None:
    data = b" " * 1_000_001 if limit == "decompressed" else bytes(range(256)) * 4_000
    sent = zstandard.compress(data) if limit == "decompressed" else data
    answer = await served.send(sent, served.ours.agent)
    assert (answer.status, kind(answer.json), answer.json["limit"]) == (413, "too-large", 1_000_000)


async def test_a_body_that_does_not_say_its_length_is_counted_while_it_comes(served: Served) -> None:
    sent = 0

    async def endless() -> Any:
        nonlocal sent
        for _ in range(1_000):
            sent += 65_536
            yield b" " * 65_536
            await asyncio.sleep(0)

    try:
        answer = await served.ask(
            "POST", "/v1/batches", served.ours.agent, data=endless(), headers={"Content-Type": "application/json"}
        )
        assert answer.status == 413
    except aiohttp.ClientConnectionError:
        pass  # the server hung up in the middle of it
    assert sent < 60_000_000


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
async def test_a_decompression_bomb_costs_no_more_than_the_limit(served: Served, encoding: str) -> None:
    zeros = bytes(1_000_000)
    if encoding == "zstd":
        compressor = zstandard.ZstdCompressor().compressobj()
        bomb = b"".join(compressor.compress(zeros) for _ in range(200)) + compressor.flush()
    else:
        bomb = gzip.compress(zeros) * 200
    assert len(bomb) < 1_000_000
    tracemalloc.start()
    answer = await served.send(bomb, served.ours.agent, encoding)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (answer.status, kind(answer.json)) == (413, "too-large")
    assert peak < 20_000_000


async def test_a_frame_that_asks_for_a_huge_window_is_refused(served: Served) -> None:
    huge = zstandard.ZstdCompressor(
        compression_params=zstandard.ZstdCompressionParameters(window_log=27, enable_ldm=True)
    ).compressobj()
    data = huge.compress(wire.encode(own(served))) + huge.flush()
    answer = await served.send(data, served.ours.agent)
    assert (answer.status, kind(answer.json)) == (400, "damaged")


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
@pytest.mark.parametrize("cut", [0, 10, -1])
async def test_a_damaged_body_is_refused(served: Served, encoding: str, cut: int) -> None:
    data = wire.encode(own(served))
    whole = gzip.compress(data) if encoding == "gzip" else zstandard.compress(data)
    answer = await served.send(whole[:cut] if cut else b"not compressed at all", served.ours.agent, encoding)
    assert answer.status in (400, 422)
    assert await stored(served) == 0


@pytest.mark.parametrize("encoding", ["br", "deflate", "gzip, zstd", "zstd;q=1"])
async def test_an_unknown_encoding_is_refused_and_the_known_ones_named(served: Served, encoding: str) -> None:
    answer = await served.send(b"x", served.ours.agent, encoding)
    assert answer.status == 415
    assert answer.headers["Accept-Encoding"] == "gzip, zstd, identity"


@pytest.mark.parametrize("media_type", ["text/plain", "application/octet-stream", "application/x-www-form-urlencoded"])
async def test_another_type_than_json_is_refused(served: Served, media_type: str) -> None:
    answer = await served.send(own(served), served.ours.agent, **{"Content-Type": media_type})
    assert answer.status == 415


@pytest.mark.parametrize(
    ("change", "kinds", "said"),
    [
        ({"contract": 2}, "unknown-contract", "contract version 2 is not known here; this side speaks 1"),
        ({"contract": "sentinel"}, "contract", "contract"),
        ({"surprise": "sentinel"}, "contract", "surprise"),
        ({"id": "sentinel"}, "contract", "id"),
        (
            {"readings": [{"time": "sentinel", "machine": "mnr-", "state": "hashing"}]},
            "contract",
            "readings.0.time",
        ),
        ({"readings": [{"time": NOW.isoformat(), "machine": "sentinel", "state": "hashing"}]}, "contract", "machine"),
    ],
)
async def test_what_is_not_of_this_contract_is_refused_by_field_and_without_its_values(
    served: Served, change: dict[str, Any], kinds: str, said: str
) -> None:
    body = json.loads(wire.encode(own(served))) | change
    answer = await served.send(json.dumps(body).encode(), served.ours.agent, "identity")
    assert (answer.status, kind(answer.json)) == (422, kinds)
    assert said in answer.json["detail"]
    assert b"sentinel" not in answer.body
    assert served.judge.judged == []


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b"{", b"\xff\xfe", b'{"contract": 1}', b"[" * 100_000])
async def test_what_is_no_batch_is_refused(served: Served, body: bytes) -> None:
    answer = await served.send(body, served.ours.agent, "identity")
    assert (answer.status, kind(answer.json)) == (422, "contract")


async def test_more_readings_than_the_contract_allows_are_refused(served: Served) -> None:
    one = json.loads(wire.encode(reading()))
    body = json.loads(wire.encode(own(served))) | {"readings": [one] * (wire.MAX_READINGS + 1)}
    answer = await served.send(zstandard.compress(json.dumps(body).encode()), served.ours.agent)
    assert (answer.status, kind(answer.json)) == (422, "contract")
    assert "readings" in answer.json["detail"]


@pytest.mark.parametrize(
    ("offset", "status"),
    [
        (timedelta(days=-30), 200),
        (timedelta(days=-30, seconds=-1), 422),
        (timedelta(minutes=10), 200),
        (timedelta(minutes=10, seconds=1), 422),
    ],
)
async def test_times_are_taken_from_30_days_ago_to_10_minutes_ahead(
    served: Served, offset: timedelta, status: int
) -> None:
    answer = await served.send(own(served, reading(1), reading(2, NOW + offset)), served.ours.agent)
    assert answer.status == status
    if status == 422:
        assert kind(answer.json) == "time"
        assert answer.json["detail"].startswith("readings.1.time: ")
    assert await stored(served) == (2 if status == 200 else 0)


def totals(served: Served, late: timedelta = timedelta(0)) -> wire.Batch:
    total = wire.Aggregate(time=NOW - late, machines=5, hashing=5, idle=0, paused=0, unreachable=0, fault=0)
    return own(served).model_copy(update={"readings": (), "aggregates": (total,)})


async def test_totals_are_stored_once_and_read_by_site_and_time(served: Served) -> None:
    sent = totals(served)
    for is_new in (True, False):
        answer = await served.send(sent, served.ours.agent)
        assert answer.json == {"stored": is_new, "readings": 0, "aggregates": 1}
    asked = {"from": NOW.isoformat(), "to": (NOW + timedelta(minutes=1)).isoformat()}
    [found] = (await served.get("/v1/totals", served.ours.read, **asked)).json["totals"]
    assert (found["site"], found["total"]["machines"]) == (served.ours.site, 5)
    assert (await served.get("/v1/totals", served.theirs.read, **asked)).json == {"totals": []}
    wrong = {"site": "sit_nothing"}, {"from": asked["to"], "to": asked["from"]}
    assert [(await served.get("/v1/totals", served.ours.read, **one)).status for one in wrong] == [404, 400]
    assert await stored(served) == 0


async def test_the_times_of_totals_are_checked_as_those_of_readings(served: Served) -> None:
    answer = await served.send(totals(served, timedelta(days=31)), served.ours.agent)
    assert (answer.status, kind(answer.json)) == (422, "time")
    assert answer.json["detail"].startswith("aggregates.0.time: ")


async def test_a_batch_of_a_foreign_site_and_of_none_get_the_same_answer(served: Served) -> None:
    answers = [
        await served.send(batch([reading()], site=site), served.ours.agent)
        for site in (served.theirs.site, "sit_nothing")
    ]
    assert [answer.status for answer in answers] == [422, 422]
    assert answers[0].body == answers[1].body
    assert kind(answers[0].json) == "wrong-site"
    assert (await served.get("/v1/machines", served.theirs.read)).json == {"machines": []}


async def test_only_an_agents_valid_token_may_send(served: Served) -> None:
    assert (await served.send(own(served), None)).status == 401
    assert (await served.send(own(served), "imt_" + "A" * 43)).status == 401
    assert (await served.send(own(served), served.ours.read)).status == 403
    assert await stored(served) == 0


async def test_batches_beyond_the_limit_at_once_are_told_to_come_back(served: Served) -> None:
    served.judge.may_go_on.clear()
    waiting = [asyncio.create_task(served.send(own(served), served.ours.agent)) for _ in range(8)]
    async with asyncio.timeout(10):
        for _ in waiting:
            await served.judge.entered.acquire()
    answer = await served.send(own(served), served.ours.agent)
    assert answer.status == 503
    assert (kind(answer.json), answer.headers["Retry-After"]) == ("busy", "1")
    served.judge.may_go_on.set()
    assert [(await one).status for one in waiting] == [200] * 8
    assert (await served.send(own(served), served.ours.agent)).status == 200


async def begun(served: Served, rest: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection on which a batch has begun to arrive."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(served.url.rpartition(":")[2]))
    head = f"POST /v1/batches HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {served.ours.agent}\r\n"
    writer.write(f"{head}Content-Type: application/json\r\n{rest}".encode())
    await writer.drain()
    return reader, writer


async def test_an_agent_that_hangs_up_in_the_middle_is_no_failure_of_ours(served: Served) -> None:
    _reader, writer = await begun(served, "Content-Length: 1000\r\n\r\n{")
    writer.close()
    await writer.wait_closed()
    for _ in range(10):
        assert (await served.send(own(served), served.ours.agent)).status == 200
    assert len(served.judge.judged) == 10
    assert 'status="500"' not in (await served.get("/metrics")).body.decode()


@pytest.mark.parametrize(
    "rest",
    ["Content-Length: 1000\r\n\r\n{", "Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n"],
)
async def test_a_body_that_does_not_come_to_its_end_is_given_up(served: Served, rest: str) -> None:
    reader, writer = await begun(served, rest)
    async with asyncio.timeout(10):
        answer = await reader.readline()
    assert b" 408 " in answer
    writer.close()
    await writer.wait_closed()
    assert served.judge.judged == []


async def test_what_was_stored_and_refused_is_counted(served: Served) -> None:
    sent = own(served, reading(1), reading(2, at(1)))
    for _ in range(2):
        await served.send(sent, served.ours.agent)
    await served.send(b"", served.ours.agent)
    text = (await served.get("/metrics")).body.decode()
    for line in (
        'itsminer_batches_total{outcome="stored"} 1.0',
        'itsminer_batches_total{outcome="repeated"} 1.0',
        'itsminer_batches_total{outcome="refused"} 1.0',
        "itsminer_readings_total 2.0",
        "itsminer_ingest_seconds_count 2.0",
    ):
        assert line in text.splitlines()
