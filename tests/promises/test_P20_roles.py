"""P20: members and staff have a role, rights grow with it, and few of the staff may see personal data.

The table below is the promise: it names who may use each route, and is compared with what the service does.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import pytest

from backend.accounts.rights import RIGHTS
from backend.api.routes import routes
from backend.config import Limits
from backend.console.pages import ROUTES as PAGES
from backend.registry import tokens
from backend.registry.errors import Forbidden
from tests.promises.service import Person, Service

MEMBERS = ("viewer", "operator", "manager", "owner")
STAFF = ("auditor", "support", "admin")
TOKENS = ("read", "operate", "manage")
EVERYBODY = ("nobody", "agent", *TOKENS, *MEMBERS, *STAFF)

READ = {*TOKENS, *MEMBERS}
OPERATE = {"operate", "manage", "operator", "manager", "owner"}
MANAGE = {"manage", "manager", "owner"}
PEOPLE = {"manager", "owner"}
OWN = {*MEMBERS, *STAFF}
SUPPORT = {"admin", "support"}

ALLOWED: dict[str, set[str]] = {
    "POST /v1/batches": {"agent"},
    "POST /v1/agent/token": {"agent"},
    "GET /v1/machines": READ,
    "GET /v1/series": READ,
    "GET /v1/totals": READ,
    "GET /v1/metrics": READ,
    "GET /v1/sites": READ,
    "GET /v1/costs": READ,
    "GET /v1/warnings": READ,
    **{
        f"GET /console/{page}": READ
        for page in ("farm", "costs", "machine", "warning", "rules", "silences", "declared")
    },
    **{f"GET /console/{page}": set(MEMBERS) for page in ("contacts", "privacy")},
    "GET /v1/rules": READ,
    "GET /v1/rules/history": READ,
    "PUT /v1/rules": MANAGE,
    "GET /v1/declared": READ,
    "PUT /v1/declared": MANAGE,
    "GET /v1/silences": READ,
    "POST /v1/silences": OPERATE,
    "DELETE /v1/silences/{silence}": OPERATE,
    "GET /v1/maintenance": READ,
    "POST /v1/maintenance": OPERATE,
    "DELETE /v1/maintenance/{silence}": OPERATE,
    "POST /v1/mutes": set(MEMBERS),
    "DELETE /v1/mutes/{silence}": set(MEMBERS),
    "GET /v1/warnings/{warning}/explain": READ,
    "POST /v1/warnings/{warning}/acknowledge": OPERATE,
    "POST /v1/warnings/{warning}/review": set(MEMBERS),
    "GET /v1/staff/reviews": SUPPORT,
    "GET /v1/staff/review": SUPPORT,
    "POST /v1/staff/reviews/answer": SUPPORT,
    "POST /v1/sites": MANAGE,
    "POST /v1/sites/code": MANAGE,
    "POST /v1/sites/change": MANAGE,
    "POST /v1/sites/revoke": MANAGE,
    "GET /v1/members": PEOPLE,
    "POST /v1/invitations": PEOPLE,
    "GET /v1/tokens": PEOPLE,
    "POST /v1/tokens": PEOPLE,
    "POST /v1/tokens/revoke": PEOPLE,
    "POST /v1/members/role": {"owner"},
    "POST /v1/members/remove": {"owner"},
    "POST /v1/account/second-factor": {"owner"},
    "GET /console/manage": PEOPLE,
    "GET /console/account": OWN,
    "GET /v1/contacts": set(MEMBERS),
    "POST /v1/contacts": set(MEMBERS),
    "POST /v1/contacts/ask": set(MEMBERS),
    "POST /v1/contacts/verify": set(MEMBERS),
    "POST /v1/contacts/change": set(MEMBERS),
    "POST /v1/contacts/remove": set(MEMBERS),
    "POST /v1/logout": OWN,
    "GET /v1/me": OWN,
    "GET /v1/sessions": OWN,
    "POST /v1/sessions/end": OWN,
    "POST /v1/sessions/end-all": OWN,
    "POST /v1/password": OWN,
    "POST /v1/second-factor": OWN,
    "POST /v1/second-factor/confirm": OWN,
    "POST /v1/second-factor/drop": OWN,
    "POST /v1/second-factor/codes": OWN,
    "GET /v1/staff": {"admin", "auditor"},
    "GET /v1/staff/grants/all": {"admin", "auditor"},
    "GET /v1/staff/grants": set(STAFF),
    "POST /v1/staff/grants/end": set(STAFF),
    "POST /v1/staff/grants": {"admin", "support"},
    "GET /v1/staff/members": {"admin", "support"},
    "POST /v1/staff/erase-child": {"admin"},
    "GET /v1/staff/audit": {"admin", "auditor"},
    "GET /v1/staff/audit/digests": {"admin", "auditor"},
    "POST /v1/staff/audit/sign": {"admin", "auditor"},
    "GET /v1/visits": {"admin", "auditor"},
    "POST /v1/support": {"agent"},
    "GET /v1/consents": set(MEMBERS),
    "POST /v1/consents": set(MEMBERS),
    "POST /v1/feedback": set(MEMBERS),
    "GET /v1/retention": set(MEMBERS),
    "GET /v1/audit": {"owner"},
    "POST /v1/retention": {"owner"},
    "GET /v1/erase": {"owner"},
    "POST /v1/erase": {"owner"},
    "GET /v1/account/cancel": {"owner"},
    "POST /v1/account/cancel": {"owner"},
    "GET /v1/account/sharing": {"owner"},
    "POST /v1/account/sharing": {"owner"},
    "GET /v1/shares": {"owner"},
    "POST /v1/shares": {"owner"},
    "POST /v1/shares/consent": {"owner"},
    "POST /v1/shares/end": {"owner"},
    "GET /v1/disclosures": {"owner"},
    "POST /v1/staff/shares": {"admin"},
    "GET /v1/shared/machines": set(),
    "GET /v1/shared/series": set(),
    "GET /v1/shared/warnings": set(),
    "POST /v1/staff/disclosures": SUPPORT,
    "GET /v1/staff/disclosures": SUPPORT,
    "POST /v1/staff/disclosures/approve": SUPPORT,
    "POST /v1/staff/disclosures/prepare": SUPPORT,
    "GET /v1/staff/disclosures/archive": SUPPORT,
    "GET /v1/staff/incidents": {"admin", "auditor"},
    "POST /v1/corrections": set(MEMBERS),
    "POST /v1/corrections/confirm": set(MEMBERS),
    "GET /v1/corrections": set(MEMBERS),
    "POST /v1/staff/corrections": SUPPORT,
    "GET /v1/me/copy": set(MEMBERS),
    "POST /v1/export": {"owner"},
    "GET /v1/export": {"owner"},
    "GET /v1/export/archive": {"owner"},
    "POST /v1/requests": set(MEMBERS),
    "GET /v1/requests": set(MEMBERS),
    "POST /v1/staff/requests": SUPPORT,
    "GET /v1/staff/requests": SUPPORT,
    "GET /v1/staff/request": SUPPORT,
    "POST /v1/staff/requests/identify": SUPPORT,
    "POST /v1/staff/requests/answer": SUPPORT,
    "GET /v1/account/restriction": set(MEMBERS),
    "POST /v1/account/restriction": {"owner"},
    "POST /v1/me/restriction": set(MEMBERS),
    "POST /v1/staff/restriction": SUPPORT,
}
PUBLIC = {
    "POST /v1/enroll", "POST /v1/register", "POST /v1/register/email", "POST /v1/register/phone", "POST /v1/guardian",
    "POST /v1/invitations/accept", "POST /v1/password/forgot", "POST /v1/password/reset", "POST /v1/login",
    "GET /healthz", "GET /metrics", "GET /v1/openapi.json", "GET /", "GET /confirm", "GET /v1/processors",
    "GET /v1/policy", "GET /v1/unsubscribe", "POST /v1/unsubscribe",
    "POST /v1/visits/spent",
    "GET /v1/announcements", "GET /announcements", "GET /v1/cessation", "GET /v1/requests/confirm",
    "POST /v1/requests/confirm",
    "GET /register",
    "GET /verify",
    "GET /login",
    "GET /forgot",
    "GET /costs", "GET /machine", "GET /warning", "GET /rules", "GET /silences", "GET /contacts", "GET /declared",
    "GET /privacy",
    "GET /account",
    "GET /manage",
    "POST /v1/contacts/confirm",
    "GET /a",
    "POST /a",
    "GET /v1/digest/stop",
    "POST /v1/digest/stop",
    "POST /v1/callbacks/twilio",
    "POST /v1/callbacks/vonage",
}  # fmt: skip
TABLE = {f"{route.method} {route.path}": route for route in (*routes(Limits()), *PAGES)}
DECIDED = [name for name in TABLE if name in ALLOWED or name in PUBLIC or name.startswith("GET /static/")]


@dataclass
class Everybody:
    """One of each, of one account and of the staff."""

    tokens: dict[str, str | None]


async def everybody(here: Service) -> Everybody:
    owner = await here.register("owner@farm.example")
    people: dict[str, Person] = {"owner": owner}
    for role in MEMBERS[:-1]:
        people[role] = await here.join(owner, f"{role}@farm.example", role)
    for role in STAFF:
        people[role] = await here.employ(f"{role}@service.example", role)
    found: dict[str, str | None] = {"nobody": None} | {name: person.token for name, person in people.items()}
    for scope in TOKENS:
        found[scope] = (await here.post("/v1/tokens", {"label": scope, "scope": scope}, owner.token)).json["secret"]
    site = (await here.post("/v1/sites", {"name": "North"}, owner.token)).json["site"]
    code = (await here.post("/v1/sites/code", {"site": site}, owner.token)).json["code"]
    agent = await here.post("/v1/enroll", {"code": code, "agent": "1.0", "contract": 1})
    found["agent"] = agent.json["token"]
    return Everybody(found)


async def test_each_route_admits_whom_the_table_says_and_nobody_else(here: Service) -> None:
    who = await everybody(here)
    differences = []
    for name in sorted(DECIDED, key=lambda name: name == "POST /v1/logout"):  # which ends the session: last
        route = TABLE[name]
        options: dict[str, Any] = {} if route.body is None else {"json": {}}
        for person in EVERYBODY:
            path = route.path.replace("{", "").replace("}", "")  # any name
            answer = await here.ask(route.method, path, who.tokens[person], **options)
            is_admitted = answer.status not in (401, 403)
            is_allowed = name not in ALLOWED or person in ALLOWED[name]
            if is_admitted != is_allowed:
                differences.append((name, person, answer.status))
    assert differences == []


def test_the_table_decides_on_every_route_there_is_and_on_no_other() -> None:
    undecided = TABLE.keys() - set(DECIDED)
    assert not undecided, f"say in ALLOWED or PUBLIC of {__name__} who may use {sorted(undecided)}"
    assert ALLOWED.keys() | PUBLIC <= TABLE.keys()
    assert {name for name in DECIDED if TABLE[name].access == "public"} == TABLE.keys() - ALLOWED.keys()


def test_rights_grow_with_the_role() -> None:
    for right in RIGHTS.values():
        members = [role in right.members for role in MEMBERS]
        scopes = [scope in right.tokens for scope in TOKENS]
        assert members == sorted(members)
        assert scopes == sorted(scopes)


async def test_nobody_gives_more_than_they_have(here: Service) -> None:
    owner = await here.register("owner@farm.example")
    manager = await here.join(owner, "manager@farm.example", "manager")
    raised = await here.post("/v1/invitations", {"email": "x@farm.example", "role": "owner"}, manager.token)
    assert raised.status == 403
    own = {"member": manager.id, "role": "owner"}
    assert (await here.post("/v1/members/role", own, manager.token)).status == 403
    token = (await here.post("/v1/tokens", {"label": "t", "scope": "manage"}, manager.token)).json["secret"]
    assert (await here.post("/v1/sites", {"name": "North"}, token)).status == 201
    # Who made the token may less now, and so may it.
    await here.post("/v1/members/role", {"member": manager.id, "role": "viewer"}, owner.token)
    assert (await here.post("/v1/sites", {"name": "South"}, token)).status == 401
    assert (await here.get("/v1/members", manager.token)).status == 403


async def test_an_account_keeps_an_owner(here: Service) -> None:
    owner = await here.register("owner@farm.example")
    assert (await here.post("/v1/members/remove", {"member": owner.id}, owner.token)).status == 403
    assert (await here.post("/v1/members/role", {"member": owner.id, "role": "viewer"}, owner.token)).status == 403


async def test_who_is_removed_is_out_at_once_with_their_tokens(here: Service) -> None:
    owner = await here.register("owner@farm.example")
    manager = await here.join(owner, "manager@farm.example", "manager")
    token = (await here.post("/v1/tokens", {"label": "t"}, manager.token)).json["secret"]
    assert (await here.get("/v1/sites", token)).status == 200
    assert (await here.post("/v1/members/remove", {"member": manager.id}, owner.token)).status == 204
    assert [(await here.get("/v1/sites", each)).status for each in (token, manager.token)] == [401, 401]


async def test_so_many_of_the_staff_may_see_personal_data_and_no_more(here: Service) -> None:
    for number in range(here.settings.staff.with_personal_data):
        await here.employ(f"s{number}@service.example", "support")
    with pytest.raises(Forbidden, match="may see personal data"):
        await here.employ("one.more@service.example", "admin")
    await here.employ("auditor@service.example", "auditor")


async def test_an_agents_token_is_changed_and_revoked(here: Service) -> None:
    owner = await here.register("owner@farm.example")
    site = (await here.post("/v1/sites", {"name": "North"}, owner.token)).json["site"]
    code = (await here.post("/v1/sites/code", {"site": site}, owner.token)).json["code"]
    old = (await here.post("/v1/enroll", {"code": code, "agent": "1.0", "contract": 1})).json["token"]
    new, stolen = "imt_" + "n" * 43, "imt_" + "s" * 43
    for _ in range(2):  # an answer may get lost
        answer = await here.post("/v1/agent/token", {"token_sha256": sha256(new.encode()).hexdigest()}, old)
        assert (answer.status, answer.json) == (201, {"overlap_s": 600.0})
    for token_sha256 in (sha256(stolen.encode()).hexdigest(), "no hash"):  # whoever was replaced replaces nobody
        assert (await here.post("/v1/agent/token", {"token_sha256": token_sha256}, old)).status == 422
    ask = [here.post("/v1/batches", {}, token) for token in (old, new)]
    assert [answer.status for answer in await asyncio.gather(*ask)] == [422, 422]
    here.offset += tokens.OVERLAP
    assert [(await here.post("/v1/batches", {}, token)).status for token in (old, new, stolen)] == [401, 422, 401]
    assert (await here.post("/v1/sites/revoke", {"site": site}, owner.token)).status == 204
    assert (await here.post("/v1/batches", {}, new)).status == 401
