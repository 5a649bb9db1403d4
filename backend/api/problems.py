"""Errors as RFC 9457 problem+json. What a client reads here never says how we are built."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from aiohttp import web
from pydantic import BaseModel, ConfigDict

MEDIA_TYPE: Final = "application/problem+json"

TITLES: Final = {
    400: "The request cannot be understood",
    401: "Who asks is not known",
    403: "This token may not do that",
    404: "There is nothing here",
    405: "This cannot be done here",
    408: "The request took too long to arrive",
    409: "There is one already",
    410: "The service ends",
    413: "The request is too large",
    415: "The encoding or type is not supported",
    422: "The request cannot be accepted",
    429: "Too many requests",
    500: "Something went wrong on our side",
    503: "Not now",
}


class ProblemDetails(BaseModel):
    """RFC 9457."""

    model_config = ConfigDict(extra="allow")
    type: str
    title: str
    status: int
    detail: str


class Problem(Exception):
    """Answer with this error. `detail` is for people, `kind` (in the type's URN) and `extra` for programs."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        kind: str | None = None,
        retry_after_s: int | None = None,
        headers: Mapping[str, str] | None = None,
        **extra: Any,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.kind = kind
        self.extra = extra
        self.headers = dict(headers or {})
        if retry_after_s is not None:
            self.headers["Retry-After"] = str(retry_after_s)

    def response(self) -> web.Response:
        """The answer itself."""
        details = ProblemDetails(
            type=f"urn:itsminer:problem:{self.kind}" if self.kind else "about:blank",
            title=TITLES.get(self.status, "The request failed"),
            status=self.status,
            detail=self.detail,
            **self.extra,
        )
        return web.Response(
            body=details.model_dump_json(), status=self.status, content_type=MEDIA_TYPE, headers=self.headers
        )
