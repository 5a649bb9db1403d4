"""What a route is: one row of a table from which the server, the checks and the OpenAPI document derive."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, Literal, TypeVar

from aiohttp import web
from pydantic import BaseModel, ConfigDict

from backend.accounts.rights import Access
from backend.api.services import Services
from backend.ids import AccountId, MemberId, SiteId
from backend.registry.tokens import Bearer

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
        """Whose data this request may see. Only for routes of members, tokens and agents."""
        account = self.bearer_known.account
        if account is None:
            raise LookupError("this route is for staff")
        return account

    @property
    def site(self) -> SiteId:
        """The site that this agent serves. Only for routes of agents."""
        site = self.bearer_known.site
        if site is None:
            raise LookupError("this route is not for agents")
        return site

    @property
    def login(self) -> str:
        """The login of the person who asks. Only for routes of people."""
        login = self.bearer_known.login
        if login is None:
            raise LookupError("this route is not for people")
        return login

    @property
    def member(self) -> MemberId:
        """The member who asks. Only for routes that no token and none of the staff may use."""
        member = self.bearer_known.member
        if member is None:
            raise LookupError("this route is not for members")
        return member

    @property
    def staff(self) -> str:
        """Who of the staff asks. Only for routes of staff."""
        staff = self.bearer_known.staff
        if staff is None:
            raise LookupError("this route is not for staff")
        return staff

    @property
    def bearer_known(self) -> Bearer:
        """Who asks. Only for routes that are not public."""
        if self.bearer is None:
            raise LookupError("this route is public")
        return self.bearer


@dataclass(frozen=True, slots=True, kw_only=True)
class Route(Generic[Q]):
    """One method of one path. The handler answers with a model (sent as JSON) or a whole response."""

    method: Literal["GET", "POST", "PUT", "DELETE"]
    path: str  # "/v1/things/{thing}": `thing` is a field of `query`
    handler: Callable[[Call[Q]], Awaitable[BaseModel | web.StreamResponse]]
    access: Access
    summary: str
    query: type[Q]
    body: type[BaseModel] | None = None
    reply: type[BaseModel] | None = None
    status: int = 200
    media_type: str = JSON
    collects: bool = False  # data comes in by it: not when the service ends
    problems: tuple[int, ...] = ()  # statuses beyond those that follow from `access` and `query`
