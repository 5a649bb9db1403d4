"""From a code to an agent that may send."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from tests.backend.api.conftest import Answer, Served
from tests.backend.readings import batch, reading


async def enrol(served: Served, code: str, sender: str | None = None, **changes: Any) -> Answer:
    headers = {"Content-Type": "application/json"} | ({"X-Forwarded-For": sender} if sender else {})
    body = {"code": code, "agent": "0.1.0", "contract": 1} | changes
    return await served.ask("POST", "/v1/enroll", json=body, headers=headers)


async def test_a_code_becomes_a_token_that_sends_for_its_site(served: Served) -> None:
    answer = await enrol(served, await served.code())
    assert answer.status == 201
    token = answer.json.pop("token")
    assert answer.json == {
        "account": served.ours.account,
        "site": served.ours.site,
        "site_name": "North",
        "contract": 1,
    }
    assert (await served.send(batch([reading()], site=served.ours.site), token)).status == 200
    assert (await served.send(batch([reading()], site=served.ours.site), served.ours.agent)).status == 401, (
        "a new agent"
    )


async def test_of_two_agents_with_one_code_one_is_enrolled(served: Served) -> None:
    code = await served.code()
    answers = await asyncio.gather(enrol(served, code), enrol(served, code))
    assert sorted(answer.status for answer in answers) == [201, 403]


@pytest.mark.parametrize("why", ["unknown", "used", "expired"])
async def test_codes_that_open_nothing_get_one_answer(served: Served, why: str) -> None:
    code = await served.code()
    if why == "used":
        await enrol(served, code)
    if why == "expired":
        served.now += timedelta(hours=1)
    answer = await enrol(served, "0000-0000-0000" if why == "unknown" else code)
    assert (answer.status, answer.json["detail"]) == (403, "this code is unknown, used or older than an hour")


async def test_an_agent_of_another_contract_keeps_its_code(served: Served) -> None:
    code = await served.code()
    answer = await enrol(served, code, contract=2)
    assert (answer.status, answer.json["contracts"]) == (422, [1])
    assert answer.json["type"] == "urn:itsminer:problem:unknown-contract"
    assert (await enrol(served, code)).status == 201


async def test_a_request_that_is_none_is_refused_by_field(served: Served) -> None:
    wrong: list[dict[str, Any]] = [
        {"code": ""}, {"code": "x" * 65}, {"agent": "<sentinel>"}, {"contract": -1}, {"sentinels": "sentinel"},
    ]  # fmt: skip
    for changes in wrong:
        answer = await enrol(served, **({"code": "sentinel"} | changes))
        assert answer.status == 422
        assert next(iter(changes)) in answer.json["detail"]
        assert b"sentinel" not in answer.body.replace(b"sentinels", b"")


async def test_a_body_that_is_no_small_json_is_refused(served: Served) -> None:
    refused = [
        ({"Content-Type": "text/plain"}, b"{}", 415),
        ({"Content-Type": "application/json", "Content-Encoding": "gzip"}, b"{}", 415),
        ({"Content-Type": "application/json"}, b"{" * 70_000, 413),
        ({"Content-Type": "application/json"}, b"", 422),
    ]
    for headers, body, status in refused:
        assert (await served.ask("POST", "/v1/enroll", data=body, headers=headers)).status == status


async def test_an_address_that_guesses_has_to_wait(served: Served) -> None:
    assert [(await enrol(served, "0000-0000-0000")).status for _ in range(5)] == [403] * 5
    code = await served.code()
    answer = await enrol(served, code)
    assert (answer.status, answer.headers["Retry-After"]) == (429, "60")
    served.now += timedelta(seconds=60)
    assert (await enrol(served, code)).status == 201


async def test_nobody_becomes_another_address_by_saying_so(served: Served) -> None:
    """The server believes X-Forwarded-For from 127.0.0.2 alone, and these requests come from 127.0.0.1."""
    statuses = [(await enrol(served, "0000-0000-0000", sender=f"192.0.2.{n}")).status for n in range(6)]
    assert statuses == [403] * 5 + [429]
