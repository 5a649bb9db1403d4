"""What a route is: one row of a table from which the server, the checks and the OpenAPI document derive."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, Literal, TypeVar

from aiohttp import web
from pydantic import BaseModel, ConfigDict

from backend.api.services import Services
from backend.ids import AccountId, SiteId
from backend.registry.tokens import Bearer

Access = Literal["public", "agent", "read"]
"""Who may ask: anybody, a site's agent, the holder of a read token."""

HTML = "text/html"
JSON = "application/json"


class Query(BaseModel):
    """Base of the models of query strings; this one takes no parameter at all."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


Q = TypeVar("Q", bound=Query)


@dataclass(frozen=True, slots=True)
class Call(Generic[Q]):
    """One request, checked: who asks and what for."""

    request: web.Request
    services: Services
    query: Q
    bearer: Bearer | None
    now: datetime

    @property
    def account(self) -> AccountId:
        """Whose data this request may see. Only for routes that are not public."""
        return self._bearer.account

    @property
    def site(self) -> SiteId:
        """The site that this agent serves. Only for routes of agents."""
        site = self._bearer.site
        if site is None:
            raise LookupError("this route is not for agents")
        return site

    @property
    def _bearer(self) -> Bearer:
        if self.bearer is None:
            raise LookupError("this route is public")
        return self.bearer


@dataclass(frozen=True, slots=True, kw_only=True)
class Route(Generic[Q]):
    """One method of one path. The handler answers with a model (sent as JSON) or a whole response."""

    method: Literal["GET", "POST"]
    path: str
    handler: Callable[[Call[Q]], Awaitable[BaseModel | web.StreamResponse]]
    access: Access
    summary: str
    query: type[Q]
    body: type[BaseModel] | None = None
    reply: type[BaseModel] | None = None
    status: int = 200
    media_type: str = JSON
    problems: tuple[int, ...] = ()  # statuses beyond those that follow from `access` and `query`
