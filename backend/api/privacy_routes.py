"""The rows of the API's table that keep promises about personal data."""

from __future__ import annotations

from typing import Any

from backend.api import oversight
from backend.api.oversight import DigestsReply, LogQuery, LogReply, ProcessorsReply, SignRequest
from backend.api.route import Route
from backend.api.rows import get, post


def privacy_routes() -> tuple[Route[Any], ...]:
    """The rows."""
    return (*_oversight(),)


def _oversight() -> tuple[Route[Any], ...]:
    return (
        get(
            "/v1/audit",
            oversight.own_log,
            "own",
            "Who saw data of your account",
            LogReply,
            LogQuery,
        ),
        get("/v1/staff/audit", oversight.whole_log, "oversee", "The audit log", LogReply, LogQuery),
        get("/v1/staff/audit/digests", oversight.digests_listed, "oversee", "Its digests", DigestsReply),
        post("/v1/staff/audit/sign", oversight.sign, "oversee", "Sign that you read a digest", SignRequest),
        get(
            "/v1/processors",
            oversight.processors_listed,
            "public",
            "Who handles data for us",
            ProcessorsReply,
        ),
    )
