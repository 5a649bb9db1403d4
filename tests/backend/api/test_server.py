"""Every answer is clean, whatever happens; the document says what there is."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from pydantic import BaseModel
from structlog.testing import capture_logs

from backend.api.openapi import document
from backend.api.problems import TITLES
from backend.api.route import Call, Query, Route
from backend.api.routes import routes
from backend.api.server import application, runner
from backend.config import Limits
from backend.registry import tokens
from backend.registry.errors import Taken
from tests.backend.api.conftest import Served

EXPECTED_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Server": "itsminer",
}


def headers_of(answer: Any) -> dict[str, str]:
    return {name: answer.headers.get(name) for name in EXPECTED_HEADERS}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("GET", "/v1/../../etc/passwd", 404),
        ("DELETE", "/v1/machines", 405),
        ("GET", "/v1/batches", 405),
        ("GET", "/v1/machines", 401),
        ("POST", "/v1/enroll", 415),
        ("GET", "/healthz?x=1", 400),
    ],
)
async def test_every_error_is_a_problem_document(served: Served, method: str, path: str, status: int) -> None:
    answer = await served.ask(method, path)
    assert answer.status == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json["status"] == status
    assert answer.json["title"] == TITLES[status]
    assert answer.json["type"]
    assert answer.json["detail"]
    assert headers_of(answer) == EXPECTED_HEADERS
    assert "Set-Cookie" not in answer.headers


async def test_a_refused_method_says_which_are_allowed(served: Served) -> None:
    answer = await served.ask("DELETE", "/v1/batches")
    assert answer.headers["Allow"] == "POST"


async def test_good_answers_carry_the_same_headers(served: Served) -> None:
    for path in ("/healthz", "/metrics", "/v1/openapi.json"):
        answer = await served.get(path)
        assert answer.status == 200
        assert headers_of(answer) == EXPECTED_HEADERS


async def test_nobody_elses_page_may_read_an_answer(served: Served) -> None:
    for method in ("GET", "OPTIONS"):
        origin = {"Origin": "https://elsewhere.example", "Access-Control-Request-Method": "GET"}
        answer = await served.ask(method, "/v1/sites", served.ours.read, headers=origin)
        assert not [name for name in answer.headers if name.lower().startswith("access-control-")]


async def test_head_is_get_without_the_body(served: Served) -> None:
    answer = await served.ask("HEAD", "/healthz")
    assert (answer.status, answer.body) == (200, b"")
    assert (await served.ask("HEAD", "/v1/sites")).status == 401


async def test_health_asks_the_registry_and_the_store(served: Served, tmp_path: Path) -> None:
    assert (await served.get("/healthz")).json == {"status": "ok", "registry": "ok", "store": "ok"}
    shutil.rmtree(tmp_path / "accounts", ignore_errors=True)
    (tmp_path / "accounts").write_text("in the way")
    with capture_logs() as logged:
        answer = await served.get("/healthz")
    assert (answer.status, answer.json["part"]) == (503, "store")
    assert [(event["event"], event["part"]) for event in logged] == [("health.failed", "store")]
    assert str(tmp_path).encode() not in answer.body
    (tmp_path / "accounts").unlink()
    assert (await served.get("/healthz")).status == 200


async def test_health_names_a_registry_that_is_gone(served: Served, tmp_path: Path) -> None:
    await served.services.database.close()
    (tmp_path / "registry.db").unlink()
    with capture_logs():
        answer = await served.get("/healthz")
    assert (answer.status, answer.json["part"]) == (503, "registry")


async def test_metrics_name_routes_and_nobody(served: Served) -> None:
    await served.get("/v1/machines", served.ours.read)
    await served.get("/nothing/acc_secret")
    answer = await served.get("/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain; version=")
    text = answer.body.decode()
    assert 'itsminer_requests_total{method="GET",route="/v1/machines",status="200"} 1.0' in text
    assert 'itsminer_requests_total{method="other",route="other",status="404"} 1.0' in text
    assert "itsminer_outbox_messages 0.0" in text
    for name in (served.ours.account, served.ours.site, "acc_secret", "ours"):
        assert name not in text


async def test_the_document_tells_of_every_route_and_of_its_errors(served: Served) -> None:
    told = (await served.get("/v1/openapi.json")).json
    assert told == document(routes(Limits()))
    assert told["openapi"] == "3.1.0"
    for route in routes(Limits()):
        operation = told["paths"][route.path][route.method.lower()]
        assert operation["summary"] == route.summary
        assert str(route.status) in operation["responses"]
        assert (operation["security"] == []) is (route.access == "public")
        assert {name for one in operation["security"] for name in one} <= told["components"]["securitySchemes"].keys()
    references = [part.split('"')[0] for part in str(told).replace("'", '"').split("#/components/schemas/")[1:]]
    assert set(references) <= told["components"]["schemas"].keys()
    assert {one["$ref"].rpartition("/")[2] for one in told["components"]["schemas"]["SeriesOrRows"]["anyOf"]} == {
        "SeriesReply",
        "Rows",
    }
    series = {one["name"]: one for one in told["paths"]["/v1/series"]["get"]["parameters"]}
    assert series["metric"]["required"]
    assert series["from"]["schema"]["anyOf"][0]["description"] == "ISO 8601 with zone, or milliseconds since 1970"


async def test_answers_that_the_tests_saw_are_in_the_document(served: Served) -> None:
    told = (await served.get("/v1/openapi.json")).json["paths"]
    for method, path, token in (
        ("GET", "/v1/machines?site=x", served.ours.read),
        ("GET", "/v1/machines", None),
        ("GET", "/v1/machines", served.ours.agent),
        ("GET", "/v1/series", served.ours.read),
        ("POST", "/v1/batches", served.ours.agent),
        ("POST", "/v1/enroll", None),
    ):
        answer = await served.ask(method, path, token)
        assert str(answer.status) in told[path.partition("?")[0]][method.lower()]["responses"]


class Broken(Exception):
    """What no handler should raise."""


async def broken(_call: Call[Query]) -> BaseModel:
    raise Broken("sentinel: a secret of ours")


async def taken(_call: Call[Query]) -> BaseModel:
    raise Taken("somebody has it")


async def moved(_call: Call[Query]) -> BaseModel:
    raise web.HTTPFound("/healthz")


async def page(_call: Call[Query]) -> web.Response:
    return web.Response(text="<p>", content_type="text/html", headers={"Content-Security-Policy": "default-src 'self'"})


async def whose(call: Call[Query]) -> web.Response:
    return web.Response(text=call.account)


async def which_site(call: Call[Query]) -> web.Response:
    return web.Response(text=call.site)


@pytest.fixture
async def odd(served: Served) -> AsyncIterator[str]:
    """A server whose routes do what ours do not."""
    table: list[Route[Any]] = [
        Route(method="GET", path=f"/{handler.__name__}", handler=handler, access="public", summary="", query=Query)
        for handler in (broken, taken, moved, page, whose)
    ]
    table.append(Route(method="GET", path="/which_site", handler=which_site, access="read", summary="", query=Query))
    serving = runner(application(served.services, table))
    await serving.setup()
    await web.TCPSite(serving, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{serving.addresses[0][1]}"
    await serving.cleanup()


async def get(url: str, **options: Any) -> tuple[int, Any, bytes]:
    async with aiohttp.ClientSession() as session, session.get(url, **options) as answer:
        return answer.status, answer.headers, await answer.read()


async def test_a_failure_of_ours_is_recorded_and_says_nothing_of_us(odd: str) -> None:
    with capture_logs() as logged:
        status, headers, body = await get(f"{odd}/broken")
    assert (status, headers["Content-Type"]) == (500, "application/problem+json")
    assert b"sentinel" not in body
    assert b"Broken" not in body
    [failure] = logged
    assert (failure["event"], failure["route"]) == ("api.failed", "/broken")
    assert failure["incident"] in body.decode()


async def test_errors_of_the_registry_become_problems(odd: str) -> None:
    status, _, body = await get(f"{odd}/taken")
    assert status == 409
    assert b"somebody has it" in body


async def test_a_redirect_stays_one(odd: str) -> None:
    status, headers, _ = await get(f"{odd}/moved", allow_redirects=False)
    assert (status, headers["Location"]) == (302, "/healthz")


async def test_a_page_may_set_its_own_policy(odd: str) -> None:
    _, headers, _ = await get(f"{odd}/page")
    assert headers["Content-Security-Policy"] == "default-src 'self'"
    assert headers["X-Content-Type-Options"] == "nosniff"


async def test_a_handler_that_asks_for_more_than_its_route_gives_fails(odd: str, served: Served) -> None:
    allowed = {"Authorization": f"Bearer {served.ours.read}"}
    with capture_logs():
        assert (await get(f"{odd}/whose"))[0] == 500
        assert (await get(f"{odd}/which_site", headers=allowed))[0] == 500


@pytest.mark.parametrize("garbage", ["\x16\x03\x01\x02\x00", "GET / HTTP/9.9\r\n\r\n", "sentinel\r\n\r\n"])
async def test_what_is_no_http_is_refused_without_a_word_of_who_sent_it(
    served: Served, garbage: str, caplog: pytest.LogCaptureFixture
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(served.url.rpartition(":")[2]))
    writer.write(garbage.encode("latin-1"))
    answer = await reader.readline()
    writer.close()
    await writer.wait_closed()
    assert b" 400 " in answer
    assert "127.0.0.1" not in caplog.text
    assert "sentinel" not in caplog.text
    assert (await served.get("/healthz")).status == 200


async def test_one_accounts_changes_are_limited_and_anothers_are_not(served: Served) -> None:
    async with served.services.database.begin() as session:
        ours, theirs = [
            (await tokens.issue(session, farm.account, kind="manage", label="m", now=served.now))[1]
            for farm in (served.ours, served.theirs)
        ]

    async def change(token: str) -> int:
        headers = {"Content-Type": "application/json"}
        return (
            await served.ask("POST", "/v1/sites/revoke", token, data=b'{"site": "sit_none"}', headers=headers)
        ).status

    assert {await change(ours) for _ in range(600)} == {404}
    assert [await change(ours), await change(theirs)] == [429, 404]
    assert (await served.get("/v1/sites", ours)).status == 200
    served.now += timedelta(minutes=1)
    assert await change(ours) == 404
