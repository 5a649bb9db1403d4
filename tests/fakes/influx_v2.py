"""The part of InfluxDB 2's HTTP interface that the store uses, in front of a 1.6 engine.

Line protocol, InfluxQL and what becomes of them are the engine's own; buckets are its databases. Tokens, the delete
predicate and retention rules are ours: a rule is kept and shown, and removes nothing, for a test's clock is not the
engine's. As in 2.x, a predicate knows `=` and `AND` only.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import re
import secrets
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qs, urlencode
from urllib.request import urlopen

from aiohttp import ClientSession, web

ORG: Final = "farm"
ORG_ID: Final = "0f" * 8
TOKEN: Final = "an-all-access-token"

_PRECISIONS: Final = {"ns": "n", "us": "u", "ms": "ms", "s": "s"}
_CONDITION: Final = re.compile(r'([a-z_]+)="([^"\\]*)"')

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Asked:
    """One request that came."""

    path: str
    parameters: dict[str, str]
    body: bytes
    headers: dict[str, str]


@dataclass(slots=True)
class Trouble:
    """Answer this instead, to requests for a path."""

    path: str
    status: int
    headers: dict[str, str] = field(default_factory=dict)
    after_s: float = 0.0
    after_storing: bool = False  # the engine does it, and nobody hears of it
    skip: int = 0  # so many requests go well before


class InfluxV2:
    """The front; `serving` runs it."""

    def __init__(self, engine_url: str) -> None:
        self.url = ""
        self.asked: list[Asked] = []
        self.troubles: deque[Trouble] = deque()
        self.most_body_bytes = 25_000_000
        self.tokens: dict[str, set[tuple[str, str]] | None] = {TOKEN: None}  # None: may do everything
        self._engine_url = engine_url
        self._buckets: dict[str, dict[str, Any]] = {}
        self._session: ClientSession | None = None
        self._written: set[str] = set()

    @property
    def buckets(self) -> dict[str, int]:
        """Name → seconds that the rule keeps (0: for good)."""
        return {
            bucket["name"]: sum(rule["everySeconds"] for rule in bucket["retentionRules"])
            for bucket in self._buckets.values()
        }

    def questions(self) -> list[str]:
        """The InfluxQL that was asked."""
        bodies = [asked.body for asked in list(self.asked) if asked.path == "/query"]
        return [text for body in bodies for (text,) in [parse_qs(body.decode(), strict_parsing=True)["q"]]]

    def predicates(self) -> list[str]:
        """The predicates of the deletes that were asked for."""
        return [json.loads(asked.body)["predicate"] for asked in list(self.asked) if asked.path == "/api/v2/delete"]

    def lines(self) -> list[str]:
        """The line protocol that was written."""
        bodies = [asked.body for asked in list(self.asked) if asked.path == "/api/v2/write"]
        return [line for body in bodies for line in gzip.decompress(body).decode().splitlines()]

    def wipe(self) -> None:
        """Forget all points, requests and troubles, and keep the buckets: making them anew takes a second."""
        self.asked.clear()
        self.troubles.clear()
        for database in self._written:
            text = urlencode({"db": database, "q": "DROP SERIES FROM /.*/"})
            with urlopen(f"{self._engine_url}/query", data=text.encode(), timeout=30) as answer:
                assert "error" not in json.load(answer)["results"][0]
        self._written.clear()

    def app(self) -> web.Application:
        """The routes."""
        app = web.Application(middlewares=[self._first], client_max_size=100_000_000)
        app.add_routes(
            [
                web.post("/api/v2/write", self._write),
                web.post("/api/v2/delete", self._delete),
                web.post("/query", self._query),
                web.get("/api/v2/buckets", self._list_buckets),
                web.post("/api/v2/buckets", self._make_bucket),
                web.patch("/api/v2/buckets/{id}", self._change_bucket),
                web.delete("/api/v2/buckets/{id}", self._drop_bucket),
                web.get("/api/v2/orgs", self._orgs),
                web.post("/api/v2/authorizations", self._authorize),
            ]
        )
        app.cleanup_ctx.append(self._connected)
        return app

    async def _connected(self, _app: web.Application) -> Any:
        async with ClientSession(auto_decompress=True) as self._session:
            yield

    @web.middleware
    async def _first(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        body = await request.read()
        self.asked.append(Asked(request.path, dict(request.query), body, dict(request.headers)))
        for trouble in self.troubles:
            if trouble.path == request.path:
                if trouble.skip:
                    for other in self.troubles:
                        other.skip -= other.path == request.path
                    break
                self.troubles.remove(trouble)
                await asyncio.sleep(trouble.after_s)
                if trouble.after_storing:
                    await handler(request)
                return _problem(trouble.status, "as the test asked for", headers=trouble.headers)
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme != "Token" or token not in self.tokens:
            return _problem(401, "unauthorized access", code="unauthorized")
        return await handler(request)

    def _may(self, request: web.Request) -> set[tuple[str, str]] | None:
        return self.tokens[request.headers["Authorization"].removeprefix("Token ")]

    def _allowed(self, request: web.Request, action: str, bucket: dict[str, Any]) -> bool:
        may = self._may(request)
        return may is None or (action, bucket["id"]) in may

    async def _write(self, request: web.Request) -> web.StreamResponse:
        bucket = self._named(request.query["bucket"])
        if bucket is None or request.query["org"] != ORG:
            return _problem(404, f'bucket "{request.query["bucket"]}" not found', code="not found")
        if not self._allowed(request, "write", bucket):
            return _problem(403, "insufficient permissions for write", code="forbidden")
        if len(await request.read()) > self.most_body_bytes:
            return _problem(413, "unable to read data: points batch is too large", code="request too large")
        self._written.add(bucket["name"])
        assert self._session is not None
        async with self._session.post(
            f"{self._engine_url}/write",
            params={"db": bucket["name"], "precision": _PRECISIONS[request.query["precision"]]},
            data=await request.read(),
            headers={"Content-Encoding": request.headers.get("Content-Encoding", "identity")},
        ) as answer:
            if answer.status == 204:
                return web.Response(status=204)
            return _problem(answer.status, (await answer.json(content_type=None))["error"], code="invalid")

    async def _query(self, request: web.Request) -> web.StreamResponse:
        bucket = self._named(request.query["db"])
        if bucket is None or not self._allowed(request, "read", bucket):
            return _problem(404, "bucket not found", code="not found")
        assert self._session is not None
        async with self._session.post(
            f"{self._engine_url}/query",
            params=dict(request.query),
            data=await request.read(),
            headers={"Content-Type": "application/x-www-form-urlencoded"},
        ) as answer:
            return web.Response(status=answer.status, body=await answer.read(), content_type="application/json")

    async def _delete(self, request: web.Request) -> web.StreamResponse:
        bucket = self._named(request.query["bucket"])
        if bucket is None or not self._allowed(request, "write", bucket):
            return _problem(404, "bucket not found", code="not found")
        asked = json.loads(await request.read())
        conditions = []
        measurement = ""
        for condition in asked["predicate"].split(" AND "):
            match = _CONDITION.fullmatch(condition)
            if match is None:
                return _problem(400, "bad logical expression", code="invalid")
            key, value = match.groups()
            if key == "_measurement":
                measurement = f' FROM "{value}"'
            else:
                conditions.append(f"\"{key}\" = '{value}'")
        conditions += [f"time >= '{asked['start']}'", f"time <= '{asked['stop']}'"]
        return await self._tell(f"DELETE{measurement} WHERE {' AND '.join(conditions)}", bucket["name"])

    async def _tell(self, text: str, database: str = "") -> web.Response:
        assert self._session is not None
        async with self._session.post(f"{self._engine_url}/query", params={"db": database}, data={"q": text}) as answer:
            (result,) = (await answer.json())["results"]
            if "error" in result:
                return _problem(500, result["error"])
            return web.Response(status=204)

    async def _list_buckets(self, request: web.Request) -> web.StreamResponse:
        found = [bucket for bucket in self._buckets.values() if self._allowed(request, "read", bucket)]
        offset, limit = int(request.query.get("offset", 0)), int(request.query.get("limit", 20))
        if "after" in request.query:
            ids = [bucket["id"] for bucket in found]
            offset = ids.index(request.query["after"]) + 1
        page = found[offset : offset + limit]
        links = {"self": str(request.rel_url)}
        if len(found) > offset + limit:
            links["next"] = f"/api/v2/buckets?after={page[-1]['id']}&limit={limit}"
        return web.json_response({"links": links, "buckets": page})

    async def _make_bucket(self, request: web.Request) -> web.StreamResponse:
        if self._may(request) is not None:
            return _problem(403, "insufficient permissions to create a bucket", code="forbidden")
        asked = json.loads(await request.read())
        bucket = {"id": secrets.token_hex(8), **asked, "type": "user"}
        [rule] = asked["retentionRules"]
        shard = f"SHARD DURATION {rule['shardGroupDurationSeconds']}s"
        await self._tell(f'CREATE DATABASE "{asked["name"]}" WITH DURATION INF {shard} NAME "autogen"')
        self._buckets[bucket["id"]] = bucket
        return web.json_response(bucket, status=201)

    async def _change_bucket(self, request: web.Request) -> web.StreamResponse:
        bucket = self._buckets[request.match_info["id"]]
        if self._may(request) is not None:
            return _problem(403, "insufficient permissions to change a bucket", code="forbidden")
        bucket |= json.loads(await request.read())
        return web.json_response(bucket)

    async def _drop_bucket(self, request: web.Request) -> web.StreamResponse:
        bucket = self._buckets.pop(request.match_info["id"])
        return await self._tell(f'DROP DATABASE "{bucket["name"]}"')

    async def _orgs(self, request: web.Request) -> web.StreamResponse:
        if request.query.get("org", ORG) != ORG:
            return _problem(404, "organization not found", code="not found")
        return web.json_response({"orgs": [{"id": ORG_ID, "name": ORG}]})

    async def _authorize(self, request: web.Request) -> web.StreamResponse:
        if self._may(request) is not None:
            return _problem(403, "insufficient permissions to create a token", code="forbidden")
        asked = json.loads(await request.read())
        token = secrets.token_urlsafe(16)
        self.tokens[token] = {(one["action"], one["resource"]["id"]) for one in asked["permissions"]}
        return web.json_response({"id": secrets.token_hex(8), "token": token, **asked}, status=201)

    def _named(self, name: str) -> dict[str, Any] | None:
        return next((bucket for bucket in self._buckets.values() if bucket["name"] == name), None)


@contextmanager
def serving(engine_url: str) -> Iterator[InfluxV2]:
    """Run the front on a loopback port, in a thread of its own: it outlives a test's event loop."""
    front = InfluxV2(engine_url)
    started: threading.Event = threading.Event()
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()

    async def serve() -> None:
        runner = web.AppRunner(front.app(), access_log=None, auto_decompress=False)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        front.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        started.set()
        await stop.wait()
        await runner.cleanup()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()), name="influx-v2", daemon=True)
    thread.start()
    try:
        if not started.wait(10):
            raise RuntimeError("the front of InfluxDB did not start")
        yield front
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()


def _problem(status: int, message: str, *, code: str = "internal error", headers: Any = None) -> web.Response:
    return web.json_response({"code": code, "message": message}, status=status, headers=headers)
