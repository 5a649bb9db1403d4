"""What each answer of the server means, over real HTTP."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator

import pytest
import structlog
from pydantic import SecretStr

from backend.ids import AccountId
from backend.store.errors import Refused, StoreMisconfigured, StoreUnavailable
from backend.store.influx.client import Client
from backend.store.influx.errors import AnswerTooLarge, BadAnswer
from backend.store.influx.queries import LAST_US, Column, Delete, Select
from backend.store.influx.settings import InfluxSettings
from tests.fakes.influx_v2 import ORG, InfluxV2, Trouble

BUCKET = "itsminer_raw_90d"
WRITE = "/api/v2/write"
A = AccountId("acc_a")


def line(number: int, value: int = 1) -> str:
    return f"machine,account=acc_a,machine=m{number},site=s power_w={value}i 1767268800000000"


def count(account: AccountId = A) -> Select:
    return Select(
        account=account, measurement="machine", columns=(Column("power_w", "count"),), start_us=0, end_us=LAST_US
    )


async def stored(client: Client) -> int:
    (tables,) = await client.select(BUCKET, count())
    return int(tables[0].rows[0][1]) if tables else 0


@pytest.fixture
async def quick(settings: InfluxSettings, client: Client) -> AsyncIterator[Client]:
    """A client that waits half a second for an answer."""
    made = Client(settings.model_copy(update={"timeout_s": 0.5}))
    yield made
    await made.close()


async def test_a_write_is_one_body_packed_fast_with_its_precision(client: Client, front: InfluxV2) -> None:
    await client.write(BUCKET, [line(1), line(2)])
    [asked] = front.asked
    assert (asked.path, asked.parameters) == (WRITE, {"org": ORG, "bucket": BUCKET, "precision": "us"})
    assert asked.headers["Content-Encoding"] == "gzip"
    assert asked.body[8] == 4, "the header of gzip says: fastest"
    assert gzip.decompress(asked.body).decode() == f"{line(1)}\n{line(2)}"
    assert await stored(client) == 2


async def test_nothing_to_write_asks_nothing(client: Client, front: InfluxV2) -> None:
    await client.write(BUCKET, [])
    assert front.asked == []


async def test_lines_that_the_server_calls_wrong_are_refused(client: Client, front: InfluxV2) -> None:
    with pytest.raises(Refused, match="400"):
        await client.write(BUCKET, ["this is no line"])
    assert len(front.asked) == 1, "and not sent again"


@pytest.mark.parametrize("status", [400, 422])
async def test_a_refusal_is_for_good(client: Client, front: InfluxV2, status: int) -> None:
    front.troubles.append(Trouble(WRITE, status))
    with pytest.raises(Refused):
        await client.write(BUCKET, [line(1)])


async def test_too_large_a_body_is_halved_until_it_fits(client: Client, front: InfluxV2) -> None:
    front.most_body_bytes = 200
    try:
        await client.write(BUCKET, [line(number, number) for number in range(40)])
    finally:
        front.most_body_bytes = 25_000_000
    assert await stored(client) == 40
    assert len(front.asked) > 3


async def test_one_line_that_is_too_large_is_refused(client: Client, front: InfluxV2) -> None:
    front.troubles.append(Trouble(WRITE, 413))
    with pytest.raises(Refused, match="413"):
        await client.write(BUCKET, [line(1)])


@pytest.mark.parametrize("status", [401, 403, 404])
async def test_a_question_of_rights_is_an_alarm_said_once(client: Client, front: InfluxV2, status: int) -> None:
    with structlog.testing.capture_logs() as logs:
        for _ in range(2):
            front.troubles.append(Trouble(WRITE, status))
            with pytest.raises(StoreMisconfigured, match=str(status)) as caught:
                await client.write(BUCKET, [line(1)])
        await client.write(BUCKET, [line(1)])
    assert caught.value.retry_after_s >= 30
    assert [(log["event"], log["log_level"]) for log in logs] == [
        ("influx.misconfigured", "error"),
        ("influx.recovered", "info"),
    ]


async def test_a_wrong_token_is_an_alarm(settings: InfluxSettings, front: InfluxV2) -> None:
    client = Client(settings.model_copy(update={"token": SecretStr("wrong")}))
    with pytest.raises(StoreMisconfigured, match="401"):
        await client.write(BUCKET, [line(1)])
    with pytest.raises(StoreMisconfigured, match="401"):
        await client.select(BUCKET, count())
    await client.close()
    assert "wrong" not in repr(settings.model_copy(update={"token": SecretStr("wrong")}))


async def test_a_bucket_that_is_not_there_is_an_alarm(client: Client) -> None:
    with pytest.raises(StoreMisconfigured, match="404"):
        await client.write("itsminer_none", [line(1)])
    with pytest.raises(StoreMisconfigured, match="404"):
        await client.select("itsminer_none", count())


@pytest.mark.parametrize("status", [429, 500, 502, 503])
async def test_a_short_trouble_is_waited_out(client: Client, front: InfluxV2, status: int) -> None:
    front.troubles.append(Trouble(WRITE, status))
    await client.write(BUCKET, [line(1)])
    assert await stored(client) == 1


async def test_a_lasting_trouble_is_told_with_when_to_come_back(client: Client, front: InfluxV2) -> None:
    front.troubles.extend(Trouble(WRITE, 503) for _ in range(3))
    with pytest.raises(StoreUnavailable) as caught:
        await client.write(BUCKET, [line(1)])
    assert not isinstance(caught.value, StoreMisconfigured)
    assert caught.value.retry_after_s > 0
    assert len(front.asked) == 3
    assert await stored(client) == 0


async def test_a_server_that_names_a_time_is_left_alone_until_then(client: Client, front: InfluxV2) -> None:
    front.troubles.append(Trouble(WRITE, 429, headers={"Retry-After": "37"}))
    with pytest.raises(StoreUnavailable) as caught:
        await client.write(BUCKET, [line(1)])
    assert caught.value.retry_after_s == 37
    assert len(front.asked) == 1


async def test_a_server_that_is_not_there_is_unavailable(settings: InfluxSettings) -> None:
    client = Client(settings.model_copy(update={"url": "http://127.0.0.1:9"}))
    with pytest.raises(StoreUnavailable):
        await client.select(BUCKET, count())
    await client.close()


async def test_a_server_that_never_answers_is_unavailable(quick: Client, front: InfluxV2) -> None:
    front.troubles.extend(Trouble(WRITE, 500, after_s=1.0) for _ in range(3))
    with pytest.raises(StoreUnavailable, match="TimeoutError"):
        await quick.write(BUCKET, [line(1)])
    front.troubles.clear()


async def test_an_answer_that_is_too_long_is_cut_off(client: Client) -> None:
    await client.write(BUCKET, [line(number) for number in range(100)])
    question = Select(
        account=A, measurement="machine", columns=(Column("power_w"),), start_us=0, end_us=LAST_US, by=("machine",)
    )
    with pytest.raises(AnswerTooLarge):
        await client.select(BUCKET, question, most_bytes=1000)
    (tables,) = await client.select(BUCKET, question)
    assert len(tables) == 100


async def test_an_answer_of_another_shape_is_bad(client: Client, front: InfluxV2) -> None:
    front.troubles.append(Trouble("/query", 200))
    with pytest.raises(BadAnswer, match="shape"):
        await client.select(BUCKET, count())
    front.troubles.append(Trouble("/query", 400))
    with pytest.raises(BadAnswer, match="400"):
        await client.select(BUCKET, count())
    front.troubles.append(Trouble("/api/v2/delete", 400))
    with pytest.raises(BadAnswer, match="400"):
        await client.delete(BUCKET, Delete(account=A))


async def test_a_question_that_the_server_cannot_answer_is_bad(client: Client) -> None:
    await client.write(BUCKET, ['machine,account=acc_a,machine=m,site=s word="text" 1767268800000000'])
    question = Select(account=A, measurement="machine", columns=(Column("word", "sum"),), start_us=0, end_us=LAST_US)
    with pytest.raises(BadAnswer, match="failed"):
        await client.select(BUCKET, question)


async def test_a_delete_takes_its_range_and_leaves_both_sides(client: Client) -> None:
    times = [1767268800000000 + offset for offset in range(5)]
    await client.write(BUCKET, [f"machine,account=acc_a,machine=m,site=s power_w=1i {time}" for time in times])
    await client.delete(BUCKET, Delete(account=A, start_us=times[1], end_us=times[3]))
    question = Select(account=A, measurement="machine", columns=(Column("power_w"),), start_us=0, end_us=LAST_US)
    ((table,),) = await client.select(BUCKET, question)
    assert [row[0] for row in table.rows] == [times[0], times[3], times[4]]


async def test_a_delete_of_an_account_leaves_the_others(client: Client) -> None:
    await client.write(BUCKET, [line(1), line(1).replace("acc_a", "acc_b")])
    await client.delete(BUCKET, Delete(account=A))
    assert await stored(client) == 0
    (tables,) = await client.select(BUCKET, count(AccountId("acc_b")))
    assert len(tables) == 1
