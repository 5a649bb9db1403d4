"""Walks every route of the API as one account, with the names of another's things and with names that nobody has.

The walk is made from the table of routes: each field of a route's query and body is either the name of a thing
(`NAMES`) or has a harmless value (`VALUES`). A field that is neither stops the walk and says what to add.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import uuid4

from sqlalchemy import Engine, Table, event, select

from backend import ids
from backend.accounts.rights import RIGHTS
from backend.api.route import Route
from backend.api.routes import routes
from backend.config import Limits
from backend.console.pages import ROUTES as PAGES
from backend.registry.account_tables import Member
from backend.registry.base import Base
from backend.registry.login_tables import Login, LoginSession
from backend.registry.notify_tables import Contact
from backend.registry.rights_tables import Export
from backend.registry.site_tables import Token
from backend.registry.warning_tables import Silence, Warning, WarningReview
from tests.backend.readings import batch, machine, reading
from tests.promises.deployed import Answer, Customer, Service

TABLE = {f"{route.method} {route.path}": route for route in (*routes(Limits()), *PAGES)}

NOBODYS = {
    "account": "acc_0000000000000000",
    "share": "shr_0000000000000000",
    "site": "sit_0000000000000000",
    "member": "mem_0000000000000000",
    "token": "tok_0000000000000000",
    "session": "ses_0000000000000000",
    "warning": "wrn_0000000000000000",
    "contact_id": "ctc_0000000000000000",
    "grant": "grt_0000000000000000",
    "request": "req_0000000000000000",
    "digest": "dig_0000000000000000",
    "disclosure": "ldc_0000000000000000",
    "export": "exp_0000000000000000",
    "visit": "vis_0000000000000000",
    "registration": "imr_0000000000000000",
    "machine": "mnr-0000000000000000",
    "silence": "sil_0000000000000000",
    "review": "rvw_0000000000000000",
    "email": "nobody@nowhere.example",
}
"""Field → such a name; what an account has of each is in its `Tenant.names`."""

VALUES: Mapping[str, Any] = {
    "address": "walker@nowhere.example",
    "after_min": 5,
    "channel": "email",
    "critical_passes": True,
    "digests": "daily",
    "message": "msg_0000000000000000",
    "quiet_from": "22:00",
    "quiet_to": "06:00",
    "severity": "warning",
    "sites": None,
    "t": "0000000000000000" + "0" * 20,
    "time_zone": "UTC",
    "across": None,
    "after": 0,
    "agent": "1.0",
    "aggregate": "mean",
    "aggregates": None,
    "answer": "given",
    "authority": "a court",
    "backlog_s": 0,
    "basis": "the walker's order of today",
    "before": None,
    "birth_date": "1990-01-31",
    "code": "000000",
    "contact": None,
    "contract": 1,
    "currency": "USD",
    "data_class": "warnings",
    "day": "2026-01-01",
    "days": 30,
    "declared": [],
    "details": "",
    "end": None,
    "lan_url": "http://192.168.1.5:8700",
    "tariff_per_kwh": 0.07,
    "ends_at": "2099-01-01T00:00:00Z",
    "epoch": None,
    "expires_at": None,
    "field": "language",
    "format": "series",
    "guardian_email": None,
    "hours": 1,
    "how": "by the phone number that we have",
    "is_required": False,
    "is_restricted": True,
    "do_not_sell_or_share": False,
    "this_too": False,
    "kind": "access",
    "kinds": ["machines"],
    "recipient": "Walkers Ltd",
    "label": "walker",
    "language": "en",
    "limit": None,
    "metric": "hashrate_ths",
    "model": None,
    "name": "Walker's",
    "new_password": "another horse battery",
    "numbers": {"warning": 88},
    "of_account": False,
    "outcome": "done",
    "password": "correct horse battery",
    "phone": "+14155550199",
    "purpose": "marketing",
    "reason": "the walker walks here",
    "received_at": None,
    "requester": "letter@nowhere.example",
    "role": "viewer",
    "rule": "chip_hot",
    "scope": "read",
    "page": "",
    "q": "",
    "since": None,
    "sort": "",
    "spent_s": 1,
    "start": None,
    "starts_at": None,
    "state": None,
    "step": None,
    "text": "walked",
    "token_sha256": "0" * 64,
    "value": "de",
}
"""Field → what is sent; None is left out."""

MADE = ("id", "sent_at", "created_at", "readings")
"""Fields whose values are made for each request."""


@dataclass(frozen=True)
class Tenant:
    """An account with one of everything."""

    customer: Customer
    names: Mapping[str, str]

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must be in no answer that another account gets."""
        customer = self.customer
        return (*self.names.values(), customer.session, customer.agent, customer.read)


@dataclass(frozen=True)
class Heard:
    """An answer, with the names taken out that were asked with, and what the database was asked for it."""

    status: int
    said: str
    statements: tuple[str, ...]


async def tenant(service: Service, number: int) -> Tenant:
    """A new account: it has a site, an agent, tokens, a session, a machine that reported, a warning, a grant on it."""
    customer = await service.customer(f"tenant{number}")
    now = service.now()
    sent = batch(
        [reading(number, now - timedelta(minutes=2), hashrate_ths=100.0)], site=customer.site, sent_at=service.now()
    )
    assert (await service.send(sent, customer.agent)).json["stored"]
    _, helper = await service.staff(f"help{number}@itsminer.example", "support")
    granted = await service.done("/v1/staff/grants", helper, account=customer.account, reason="a walker's account")
    share = {"recipient": "Walkers Ltd", "contact": "w@walkers.example", "purpose": "to walk here", "kinds": ["series"]}
    shared = await service.done("/v1/shares", customer.session, **share)
    asked = await service.done("/v1/requests", customer.session, kind="access", details="all of it")
    async with service.database.begin() as session:
        login = await session.scalar(select(Login.id).where(Login.member_id == customer.owner))
        warning = Warning(
            id=ids.new("wrn"), account_id=customer.account, site_id=customer.site, machine=machine(number),
            rule="chip_hot", severity="critical", since=now, started_at=now,
        )  # fmt: skip
        export = Export(
            id=ids.new("exp"), account_id=customer.account, asked_by=customer.owner, asked_at=now, file_key="none",
            ready_at=now, expires_at=now + timedelta(days=1),
        )  # fmt: skip
        silence = Silence(
            id=ids.new("sil"), account_id=customer.account, starts_at=now, ends_at=now + timedelta(days=1)
        )
        session.add_all((warning, export, silence))
        await session.flush()
        review = WarningReview(
            id=ids.new("rvw"), account_id=customer.account, warning_id=warning.id, member_id=customer.owner,
            reason="it looks wrong", asked_at=now,
        )  # fmt: skip
        session.add(review)
        names = {
            "account": str(customer.account),
            "site": str(customer.site),
            "member": customer.owner,
            "token": str(await session.scalar(select(Token.id).where(Token.account_id == customer.account))),
            "session": str(await session.scalar(select(LoginSession.id).where(LoginSession.login_id == login))),
            "warning": warning.id,
            "contact_id": str(await session.scalar(select(Contact.id).where(Contact.account_id == customer.account))),
            "grant": granted["grant"],
            "request": asked["request"],
            "share": shared["share"],
            "disclosure": NOBODYS["disclosure"],  # is of the staff
            "export": export.id,
            "machine": machine(number),
            "silence": silence.id,
            "review": review.id,
            "email": customer.email,
        }
    return Tenant(customer, names)


async def newcomer(service: Service, number: int) -> Tenant:
    """A new account with a site, an owner, an agent, and nothing else yet."""
    customer = await service.customer(f"newcomer{number}")
    return Tenant(customer, {"account": customer.account, "site": customer.site, "member": customer.owner})


def named(route: Route[Any]) -> list[str]:
    """The fields of a route that name a thing. Raises `LookupError` for a field that the walker does not know."""
    fields = [name for model in (route.query, route.body) if model is not None for name in model.model_fields]
    for name in fields:
        if name not in NOBODYS and name not in VALUES and name not in MADE:
            raise LookupError(
                f"{route.method} {route.path}: the walker does not know the field `{name}`. If it names a thing of an "
                "account, add it to NOBODYS and to the names that `tenant` collects; otherwise add a value to VALUES."
            )
    return [name for name in fields if name in NOBODYS]


def filled(service: Service, model: type[Any] | None, names: Mapping[str, str]) -> dict[str, Any]:
    """What to send: each field of a model that has a name or a value here."""
    now = service.now()
    one = reading(1, now).model_dump(mode="json", exclude_none=True) | {
        "machine": names.get("machine", NOBODYS["machine"])
    }
    made = {"id": str(uuid4()), "sent_at": now.isoformat(), "created_at": now.isoformat(), "readings": [one]}
    sent: dict[str, Any] = {}
    for name in model.model_fields if model is not None else ():
        value = made.get(name) or names.get(name) or NOBODYS.get(name) or VALUES.get(name)
        if value is not None:
            sent[name] = value
    return sent


def who(route: Route[Any], us: Tenant, staff: str) -> str | None:
    """The strongest token that we have for a route."""
    right = RIGHTS[route.access]
    if "agent" in right.tokens:
        return us.customer.agent
    if right.members:
        return us.customer.session
    return staff if right.staff else None


async def ask(service: Service, route: Route[Any], token: str | None, names: Mapping[str, str]) -> Answer:
    """One request with these names in it."""
    params = filled(service, route.query, names)
    path = route.path.format_map(params)
    options: dict[str, Any] = {"params": {name: params[name] for name in params if f"{{{name}}}" not in route.path}}
    if route.body is not None:
        options["json"] = filled(service, route.body, names)
    return await service.ask(route.method, path, token, **options)


async def hear(service: Service, route: Route[Any], token: str | None, names: Mapping[str, str]) -> Heard:
    """One request, and the work that it was."""
    with statements() as done:
        answer = await ask(service, route, token, names)
    said = answer.body.decode()
    for name in names.values():
        said = said.replace(name, "NAME")
    said = re.sub(r"\b[a-z]{3}_[\w-]{12,}", "ID", said)  # of what was made, and of us
    said = re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+(Z|\+00:00)", "TIME", said)
    return Heard(answer.status, said, tuple(done))


@contextmanager
def statements() -> Iterator[list[str]]:
    """What requests ask the database, in order. What the service's jobs ask meanwhile is left out."""
    found: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        task = asyncio.current_task()
        if task is not None and "RequestHandler" in repr(task.get_coro()):
            found.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        event.remove(Engine, "before_cursor_execute", note)


async def everything_of(service: Service, one: Tenant) -> dict[str, list[str]]:
    """Every row of an account in every table, and its readings. But for the audit log: a refused look belongs there."""
    account = one.customer.account
    people = select(Login.id).join(Member, Member.id == Login.member_id).where(Member.account_id == account)
    found: dict[str, list[str]] = {}
    async with service.database.read() as session:
        for table in Base.metadata.sorted_tables:
            where = _of(table, account, people)
            if where is not None and table.name != "audit_log":
                rows = await session.execute(select(table).where(where))
                found[table.name] = sorted(map(repr, rows))
    seen = await service.seen("/v1/series", one.customer.read, metric="hashrate_ths")
    found["readings"] = [str(each["points"]) for each in seen["series"]]
    return found


def _of(table: Table, account: str, logins: Any) -> Any:
    if table.name == "accounts":
        return table.c.id == account
    if "account_id" in table.c:
        return table.c.account_id == account
    if table.name == "logins":
        return table.c.id.in_(logins)
    return table.c.login_id.in_(logins) if "login_id" in table.c else None
