"""Promises that wait, each with what it waits for; a strict xfail, so that the day one is kept shows."""

from __future__ import annotations

import pytest

from tests.promises.deployed import Service

WAITING = {
    "P09": ("GET", "/v1/declared", "issue 6: declared machines are not compared with discovered ones yet"),
}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        pytest.param(method, path, id=f"test_{promise}_waits", marks=pytest.mark.xfail(reason=reason, strict=True))
        for promise, (method, path, reason) in WAITING.items()
    ],
)
async def test_what_a_promise_needs_is_there(service: Service, method: str, path: str) -> None:
    assert (await service.ask(method, path)).status != 404
