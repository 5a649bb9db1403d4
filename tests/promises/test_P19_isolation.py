"""P19: no request of one account's reads, changes or counts another's data.

A walker calls every route of the table as account A, with the ids, tokens, batches and pseudonyms of account B, and
with ids that nobody has: the answers are the same, and nothing of B's is in them or changed by them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from agent.wire import Batch
from backend.api.routes import routes
from backend.config import Limits
from backend.console.pages import ROUTES as PAGES
from tests.backend.readings import batch, machine, reading
from tests.promises.service import PASSWORD, Answer, Person, Service

NOBODYS = {
    "site": "sit_0000000000000000",
    "member": "mem_0000000000000000",
    "token": "tok_0000000000000000",
    "session": "ses_0000000000000000",
    "machine": "mnr-0000000000000000",
}
TABLE = {f"{route.method} {route.path}": route for route in (*routes(Limits()), *PAGES)}

# What A's owner sends; the walker puts in B's names, then nobody's.
WITH_NAMES: dict[str, dict[str, str]] = {
    "GET /v1/machines": {"site": "{site}"},
    "GET /v1/warnings": {"site": "{site}", "state": "all"},
    "GET /v1/series": {"metric": "hashrate_ths", "machine": "{machine}"},
    "POST /v1/members/role": {"member": "{member}", "role": "viewer"},
    "POST /v1/members/remove": {"member": "{member}"},
    "POST /v1/tokens/revoke": {"token": "{token}"},
    "POST /v1/sites/code": {"site": "{site}"},
    "POST /v1/sites/revoke": {"site": "{site}"},
    "POST /v1/sessions/end": {"session": "{session}"},
    "POST /v1/erase": {"site": "{site}"},
}
WITHOUT_NAMES = (
    "GET /v1/machines", "GET /v1/series", "GET /v1/metrics", "GET /v1/sites", "GET /v1/warnings", "GET /console/farm",
    "GET /v1/members", "GET /v1/tokens", "GET /v1/sessions", "GET /v1/me", "GET /metrics", "GET /healthz", "GET /",
    "GET /confirm", "GET /v1/openapi.json", "GET /v1/audit", "GET /v1/processors", "GET /v1/erase",
    "GET /v1/account/cancel", "GET /v1/requests", "GET /v1/account/restriction",
)  # fmt: skip
# Each is called with nothing, or with A's own: there is no place for a name of B's.
NAMELESS = {
    "POST /v1/batches", "POST /v1/agent/token", "POST /v1/sites", "POST /v1/tokens", "POST /v1/invitations",
    "POST /v1/account/second-factor", "POST /v1/logout", "POST /v1/password", "POST /v1/second-factor",
    "POST /v1/second-factor/confirm", "POST /v1/second-factor/drop", "POST /v1/enroll", "POST /v1/register",
    "POST /v1/register/email", "POST /v1/register/phone", "POST /v1/guardian", "POST /v1/invitations/accept",
    "POST /v1/password/forgot", "POST /v1/password/reset", "POST /v1/login", "GET /v1/unsubscribe",
    "POST /v1/unsubscribe", "POST /v1/support", "POST /v1/retention", "POST /v1/account/cancel",
    "GET /v1/policy", "POST /v1/visits/spent",
    "POST /v1/requests", "GET /v1/requests/confirm", "POST /v1/requests/confirm",
    "POST /v1/account/restriction", "POST /v1/me/restriction", "POST /v1/consents", "GET /v1/consents",
    "POST /v1/feedback", "GET /v1/retention",
}  # fmt: skip


@dataclass
class Tenant:
    """An account with everything."""

    owner: Person
    agent: str
    names: dict[str, str]
    sent: Batch


async def tenant(here: Service, name: str, number: int) -> Tenant:
    owner = await here.register(f"{name}@farm.example")
    site = (await here.post("/v1/sites", {"name": "North"}, owner.token)).json["site"]
    code = (await here.post("/v1/sites/code", {"site": site}, owner.token)).json["code"]
    agent = (await here.post("/v1/enroll", {"code": code, "agent": "1.0", "contract": 1})).json["token"]
    token = (await here.post("/v1/tokens", {"label": "page"}, owner.token)).json["token"]
    session = (await here.get("/v1/sessions", owner.token)).json["sessions"][0]["session"]
    readings = [reading(number, here.now - timedelta(minutes=2), hashrate_ths=100.0 + number)]
    sent = batch(readings, site=site, sent_at=here.now)
    assert (await send(here, sent, agent)).json["stored"]
    names = {"site": site, "member": owner.id, "token": token, "session": session, "machine": machine(number)}
    return Tenant(owner, agent, names, sent)


async def send(here: Service, sent: Batch, token: str) -> Answer:
    return await here.ask("POST", "/v1/batches", token, json=sent.model_dump(mode="json", exclude_none=True))


async def all_of(here: Service, one: Tenant) -> list[Any]:
    """What an account sees of itself."""
    seen = []
    for path in ("/v1/machines", "/v1/sites", "/v1/members", "/v1/tokens", "/v1/warnings", "/v1/sessions", "/v1/me"):
        told = (await here.get(path, one.owner.token)).json
        for each in told.get("machines", ()):
            each.pop("age_s", None)
        for each in told.get("sessions", ()):
            each.pop("seen_at")
        seen.append(told)
    return seen


async def call(here: Service, name: str, token: str, sent: dict[str, str], names: dict[str, str]) -> Answer:
    """One route, with names put in, and taken out of what it answers."""
    filled = {key: value.format(**names) for key, value in sent.items()}
    method, _, path = name.partition(" ")
    if method == "GET":
        return await here.get(path, token, **filled)
    return await here.post(path, filled, token)


def neutral(answer: Answer, names: dict[str, str]) -> tuple[int, bytes]:
    raw = answer.raw
    for name in names.values():
        raw = raw.replace(name.encode(), b"NAME")
    return answer.status, raw


async def test_what_is_somebody_elses_answers_like_what_nobody_has_and_stays_as_it_is(here: Service) -> None:
    ours, theirs = await tenant(here, "a", 1), await tenant(here, "b", 2)
    before = await all_of(here, theirs)
    for name, sent in WITH_NAMES.items():
        of_b = await call(here, name, ours.owner.token, sent, theirs.names)
        of_nobody = await call(here, name, ours.owner.token, sent, NOBODYS)
        assert neutral(of_b, theirs.names) == neutral(of_nobody, NOBODYS), name
        assert of_b.status >= 400 or theirs.names["machine"].encode() not in of_b.raw, name
    assert await all_of(here, theirs) == before


async def test_an_agent_cannot_write_into_anothers_site_nor_use_up_its_batches(here: Service) -> None:
    ours, theirs = await tenant(here, "a", 1), await tenant(here, "b", 2)
    before = await all_of(here, theirs)
    foreign = await send(here, theirs.sent, ours.agent)
    unknown = await send(here, theirs.sent.model_copy(update={"site": NOBODYS["site"]}), ours.agent)
    assert neutral(foreign, theirs.names) == neutral(unknown, NOBODYS)
    assert foreign.status >= 400
    same_id = theirs.sent.model_copy(update={"site": ours.names["site"]})
    assert (await send(here, same_id, ours.agent)).json["stored"]
    assert await all_of(here, theirs) == before


async def test_nothing_of_anothers_is_in_any_answer(here: Service) -> None:
    ours, theirs = await tenant(here, "a", 1), await tenant(here, "b", 2)
    account = str(theirs.owner.account)
    secrets = [
        *theirs.names.values(),
        account,
        theirs.owner.email,
        theirs.owner.phone,
        theirs.owner.token,
        theirs.agent,
    ]
    for name in WITHOUT_NAMES:
        method, _, path = name.partition(" ")
        query = {"metric": "hashrate_ths"} if path == "/v1/series" else {}
        answer = await here.ask(method, path, ours.owner.token, params=query)
        assert answer.status == 200, name
        for secret in secrets:
            assert secret.encode() not in answer.raw, (name, secret)


async def test_another_accounts_people_and_tokens_open_nothing_here(here: Service) -> None:
    ours, theirs = await tenant(here, "a", 1), await tenant(here, "b", 2)
    mixed = await here.post("/v1/login", {"email": theirs.owner.email, "password": PASSWORD + "!"})
    assert mixed.status == 401
    invited = await here.post("/v1/invitations", {"email": theirs.owner.email, "role": "viewer"}, ours.owner.token)
    assert invited.status == 202  # as for an address that nobody has: what A may not know
    site = (await here.get("/v1/sites", theirs.owner.token)).json["sites"]
    assert [one["site"] for one in site] == [theirs.names["site"]]


def test_the_walker_walks_every_route() -> None:
    walked = {*WITH_NAMES, *WITHOUT_NAMES, *NAMELESS}
    missing = {
        name
        for name, route in TABLE.items()
        if name not in walked and not name.startswith("GET /static/") and "/staff" not in name
        and route.access in ("public", "read", "operate", "manage", "manage_members", "own", "self", "agent", "privacy")
    }  # fmt: skip
    assert missing == set()
