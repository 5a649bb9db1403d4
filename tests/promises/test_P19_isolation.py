"""P19: no request of one account's reads, changes, counts or times another's data.

A walker calls every route of the table as account A, with the names of account B's things and with names that nobody
has: the answers are the same, and nothing of B's is in them or changed by them. That they take the same time follows
from the work being the same: the database is asked the same, statement for statement, and the store is asked for A's
data only, by its Protocol.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from backend.api.registering import UNHURRIED_S
from backend.api.route import Query, Route
from tests.backend.readings import batch, machine, reading
from tests.promises.deployed import Service, running
from tests.promises.walker import (
    NOBODYS,
    TABLE,
    Tenant,
    ask,
    everything_of,
    hear,
    named,
    newcomer,
    statements,
    tenant,
    who,
)

OF_STAFF = {
    "POST /v1/staff/grants": "it is how staff name an account; each grant is in the account's audit log",
    "POST /v1/staff/erase-child": "an administrator's duty, by any account's id",
    "GET /v1/staff/request": "staff see which requests there are; what one says needs a grant",
    "POST /v1/staff/requests/identify": "as above",
    "POST /v1/staff/requests/answer": "as above",
    "POST /v1/staff/restriction": "as above",
    "POST /v1/staff/corrections": "as above",
    "POST /v1/staff/shares": "an administrator asks an account, by its id",
    "POST /v1/staff/disclosures": "staff name the account that is demanded; it takes two to hand anything over",
    "GET /v1/staff/review": "as for requests",
    "POST /v1/staff/reviews/answer": "as for requests",
}
"""Routes that are meant to tell accounts from none."""

UNHURRIED = ("POST /v1/register", "POST /v1/password/forgot")
"""The owner of an address gets a mail. So more is done for some addresses than for others, and all answers wait."""


def with_names() -> list[str]:
    """The routes that take a name of a thing, those that may write to its owner last."""
    found = [name for name, route in TABLE.items() if named(route) and name not in OF_STAFF]
    return sorted(found, key=UNHURRIED.count)


LIMITS = "[accounts]\nlogins_per_min = 10000\nregistrations_per_h = 10000\n[limits]\nenrolments_per_min = 10000\n"


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    """A service whose limits do not stop a walker."""
    async with running(tmp_path, extra=LIMITS) as made:
        yield made


async def walk(service: Service, route: Route[Any], names: list[dict[str, str]], numbers: Any, staff: str) -> None:
    """One route with each set of names, each time as a new account: what the first call did changes nothing."""
    heard = []
    for each in names:
        us = await newcomer(service, next(numbers))
        heard.append(await hear(service, route, who(route, us, staff), each))
    theirs, nobodys = heard
    if f"{route.method} {route.path}" in UNHURRIED:
        theirs, nobodys = replace(theirs, statements=()), replace(nobodys, statements=())
    assert theirs == nobodys, f"{route.method} {route.path} tells what is another account's from what is nobody's"


async def test_what_is_somebody_elses_answers_and_works_like_what_nobody_has_and_stays_as_it_is(
    service: Service,
) -> None:
    numbers = count(1)
    theirs = await tenant(service, next(numbers))
    _, staff = await service.staff("boss@itsminer.example")
    before = await everything_of(service, theirs)
    for name in with_names():
        await walk(service, TABLE[name], [dict(theirs.names), NOBODYS], numbers, staff)
        after = await everything_of(service, theirs)
        if name in UNHURRIED:
            after |= {table: before[table] for table in ("outbox", "challenges")}
        assert after == before, name


async def test_nothing_of_anothers_is_in_any_answer_nor_changed_by_it(service: Service) -> None:
    numbers = count(1)
    theirs = await tenant(service, next(numbers))
    _, staff = await service.staff("boss@itsminer.example")
    before = await everything_of(service, theirs)
    for name, route in TABLE.items():
        us = await newcomer(service, next(numbers))
        token = who(route, us, staff)
        if token == staff:
            continue  # who oversees the service sees its accounts' ids
        answer = await ask(service, route, token, us.names)
        assert answer.status < 500, name
        for secret in theirs.secrets:
            assert secret.encode() not in answer.body, (name, secret)
    assert await everything_of(service, theirs) == before


async def test_the_walker_would_notice_a_change_and_the_work_of_a_request(service: Service) -> None:
    us = await tenant(service, 1)
    before = await everything_of(service, us)
    assert {"accounts", "members", "sites", "tokens", "logins", "sessions", "warnings"} <= before.keys()
    assert before["readings"] != []
    with statements() as done:
        await service.done("/v1/members/role", us.customer.session, member=us.customer.owner, role="owner")
        await service.done("/v1/sites", us.customer.session, name="South")
    assert any("INSERT INTO sites" in statement for statement in done)
    after = await everything_of(service, us)
    assert {name for name in before if before[name] != after[name]} == {"sites"}


def test_a_field_that_the_walker_does_not_know_stops_it() -> None:
    class Surprising(Query):
        surprise: str = ""

    with pytest.raises(LookupError, match="does not know the field `surprise`"):
        named(replace(TABLE["GET /v1/sites"], query=Surprising))
    assert len(with_names()) > 15


async def test_an_agent_does_not_use_up_anothers_batches(service: Service) -> None:
    ours, theirs = await tenant(service, 1), await tenant(service, 2)
    sent = batch([reading(7, service.now())], site=theirs.customer.site, sent_at=service.now())
    assert (await service.send(sent, theirs.customer.agent)).json["stored"]
    before = await everything_of(service, theirs)
    same_id = sent.model_copy(update={"site": ours.customer.site})
    assert (await service.send(same_id, ours.customer.agent)).json["stored"]
    assert await everything_of(service, theirs) == before


async def test_the_same_pseudonym_in_two_accounts_is_two_machines(service: Service) -> None:
    ours, theirs = await tenant(service, 1), await tenant(service, 2)
    sent = batch([reading(2, service.now(), hashrate_ths=1.0)], site=ours.customer.site, sent_at=service.now())
    before = await everything_of(service, theirs)
    assert (await service.send(sent, ours.customer.agent)).json["stored"]
    assert await everything_of(service, theirs) == before
    [_, ours_now] = (await service.seen("/v1/machines", ours.customer.read))["machines"]
    assert (ours_now["machine"], ours_now["reading"]["hashrate_ths"]) == (machine(2), 1.0)


async def test_places_in_the_audit_log_do_not_count_what_others_do(service: Service) -> None:
    ours, theirs = await tenant(service, 1), await tenant(service, 2)
    await service.seen("/v1/me", ours.customer.session)
    for _ in range(5):
        await service.seen("/v1/me", theirs.customer.session)
    await service.seen("/v1/me", ours.customer.session)
    entries = (await service.seen("/v1/audit", ours.customer.session))["entries"]
    assert len(entries) >= 2
    assert all("seq" not in entry for entry in entries)


async def test_the_services_own_numbers_are_not_for_who_comes_through_the_proxy(service: Service) -> None:
    assert (await service.get("/metrics")).status == 200
    through = await service.ask("GET", "/metrics", headers={"X-Forwarded-For": "192.0.2.7"})
    assert through.status == 404


@pytest.mark.parametrize("name", UNHURRIED)
async def test_where_more_is_done_for_some_all_answers_wait_for_the_longest(service: Service, name: str) -> None:
    clock = asyncio.get_running_loop().time
    for names in ((await tenant(service, 1)).names, NOBODYS):
        asked_at = clock()
        assert (await ask(service, TABLE[name], None, names)).status == 202
        assert clock() - asked_at >= UNHURRIED_S


async def test_another_accounts_people_open_nothing_here(service: Service) -> None:
    ours: Tenant = await tenant(service, 1)
    theirs = await tenant(service, 2)
    invited = await service.post("/v1/invitations", ours.customer.session, email=theirs.customer.email, role="viewer")
    assert invited.status == 202  # as for an address that nobody has: what A may not know
    sites = (await service.seen("/v1/sites", theirs.customer.session))["sites"]
    assert [one["site"] for one in sites] == [theirs.customer.site]
