"""P07: the only cookie the service ever sets holds the UI language; no page asks anybody else for anything."""

from __future__ import annotations

import re

from backend.api.routes import routes
from backend.config import Limits
from backend.console.pages import ROUTES
from tests.promises.service import Service


async def test_no_answer_sets_a_cookie_logged_in_or_not(here: Service) -> None:
    owner = await here.register("a@farm.example")
    for route in (*routes(Limits()), *ROUTES):
        for token in (None, owner.token):
            options: dict[str, dict[str, str]] = {} if route.body is None else {"json": {}}
            if route.path != "/v1/logout":
                await here.ask(route.method, route.path, token, **options)
    assert len(here.answers) > 80
    cookies = [cookie for answer in here.answers for cookie in answer.headers.getall("Set-Cookie", [])]
    assert [cookie for cookie in cookies if not cookie.startswith("language=")] == []


async def test_a_session_is_a_bearer_token_and_a_cookie_opens_nothing(here: Service) -> None:
    owner = await here.register("a@farm.example")
    for name in ("session", "token", "Authorization"):
        answer = await here.ask("GET", "/v1/me", headers={"Cookie": f"{name}={owner.token}"})
        assert answer.status == 401


async def test_pages_load_nothing_from_anybody_else(here: Service) -> None:
    for route in ROUTES:
        if route.access != "public":
            continue
        answer = await here.get(route.path)
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert not re.search(r"https?:|\*|data:", policy)
        loaded = re.findall(rb"""(?:src|href|action)=["'](?!mailto:|#|/(?!/))[^"']*""", answer.raw)
        assert loaded == [] or route.media_type != "text/html"
