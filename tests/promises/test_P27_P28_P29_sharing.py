"""P27, P29: nothing is shared without a switch that is on and a consent each; P28: two approve a legal disclosure."""

# ruff: noqa: N802 (several promises in one module: each test carries its id)

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

from tests.backend.readings import batch, machine, reading
from tests.promises.deployed import Customer, Service, until

TERMS = {
    "recipient": "Repairs Ltd",
    "contact": "privacy@repairs.example",
    "purpose": "find out which machines need repair",
    "kinds": ["machines"],
}


async def farm(service: Service, name: str, number: int) -> Customer:
    """An account with a machine that reported."""
    customer = await service.customer(name)
    now = service.now().replace(microsecond=0)
    sent = batch([reading(number, now, hashrate_ths=98.4)], site=customer.site, sent_at=now)
    assert (await service.send(sent, customer.agent)).status == 200
    return customer


async def agreed(service: Service, customer: Customer, **terms: Any) -> tuple[str, str]:
    """A share: its id and the recipient's token."""
    proposed = await service.done("/v1/shares", customer.session, **TERMS | terms)
    given = await service.done("/v1/shares/consent", customer.session, share=proposed["share"])
    return proposed["share"], given["secret"]


async def test_P27_a_recipient_reads_what_was_agreed_to_and_no_more_until_consent_ends(service: Service) -> None:
    customer, other = await farm(service, "North", 1), await farm(service, "South", 2)
    await service.done("/v1/account/sharing", customer.session, do_not_sell_or_share=False)
    proposed = await service.done("/v1/shares", customer.session, **TERMS)
    for shown in ("recipient", "contact", "purpose"):
        assert proposed[shown] == TERMS[shown]
    assert "HTTPS" in proposed["method"]
    assert "pseudonym" in proposed["kinds"]["machines"]
    assert (await service.post("/v1/shares/consent", other.session, share=proposed["share"])).status == 404
    given = await service.done("/v1/shares/consent", customer.session, share=proposed["share"])
    assert (await service.post("/v1/shares/consent", customer.session, share=proposed["share"])).status == 409

    seen = await service.seen("/v1/shared/machines", given["secret"])
    assert [one["machine"] for one in seen["machines"]] == [machine(1)]
    for path in ("/v1/shared/warnings", "/v1/machines", "/v1/members", "/v1/export", "/v1/sites"):
        assert (await service.get(path, given["secret"])).status == 403, path
    [disclosed] = (await service.seen("/v1/disclosures", customer.session))["disclosures"]
    assert (disclosed["share"], disclosed["kind"], disclosed["rows"]) == (proposed["share"], "machines", 1)
    assert (await service.seen("/v1/disclosures", other.session))["disclosures"] == []

    await service.done("/v1/shares/end", customer.session, share=proposed["share"])
    assert (await service.get("/v1/shared/machines", given["secret"])).status == 401
    [kept] = (await service.seen("/v1/shares", customer.session))["shares"]
    assert kept["consented_by"] == customer.owner
    assert kept["ended_at"]
    entries = {(one["actor"], one["action"]) for one in (await service.seen("/v1/audit", customer.session))["entries"]}
    assert {(customer.owner, "share.consented"), (customer.owner, "share.ended")} <= entries


async def test_P27_what_the_service_asks_for_is_shared_with_nobody_until_the_account_agrees(service: Service) -> None:
    customer = await farm(service, "North", 1)
    _, boss = await service.staff("boss@itsminer.example")
    asked = await service.done("/v1/staff/shares", boss, account=customer.account, **TERMS)
    [seen] = (await service.seen("/v1/shares", customer.session))["shares"]
    assert (seen["share"], seen.get("consented_at")) == (asked["share"], None)
    assert (await service.post("/v1/shares/consent", boss, share=asked["share"])).status == 403


async def test_P27_restricted_data_is_not_shared(service: Service) -> None:
    customer = await farm(service, "North", 1)
    await service.done("/v1/account/sharing", customer.session, do_not_sell_or_share=False)
    _, token = await agreed(service, customer)
    await service.seen("/v1/shared/machines", token)
    await service.done("/v1/account/restriction", customer.session, is_restricted=True, reason="until it is clear")
    assert (await service.get("/v1/shared/machines", token)).status == 403


async def test_P29_nothing_is_shared_by_default_and_one_switch_stops_all_at_once(service: Service) -> None:
    customer = await farm(service, "North", 1)
    path = "/v1/account/sharing"
    assert (await service.seen(path, customer.session))["do_not_sell_or_share"]
    proposed = await service.done("/v1/shares", customer.session, **TERMS)
    assert (await service.post("/v1/shares/consent", customer.session, share=proposed["share"])).status == 403
    await service.done(path, customer.session, do_not_sell_or_share=False)
    found = [await agreed(service, customer, recipient=f"Repairs {n}", kinds=["series", "warnings"]) for n in range(2)]
    for _, token in found:
        await service.seen("/v1/shared/series", token, metric="hashrate_ths")
    await service.done(path, customer.session, do_not_sell_or_share=True)
    await service.done(path, customer.session, do_not_sell_or_share=False)  # which brings nothing back
    for _, token in found:
        assert (await service.get("/v1/shared/series", token, metric="hashrate_ths")).status == 401
    shares = (await service.seen("/v1/shares", customer.session))["shares"]
    assert all(one["ended_at"] for one in shares if one["share"] != proposed["share"])


async def test_P28_a_legal_disclosure_has_a_basis_and_two_different_people_approve_it(service: Service) -> None:
    customer = await farm(service, "North", 1)
    first, one = await service.staff("one@itsminer.example", "support")
    second, two = await service.staff("two@itsminer.example", "admin")
    path = "/v1/staff/disclosures"
    demand = {"account": customer.account, "authority": "District Court", "basis": "order 12 K 34/26 of 1 May 2026"}
    assert (await service.post(path, one, **demand | {"basis": "asked"})).status == 422
    made = await service.done(path, one, **demand)
    which = {"disclosure": made["disclosure"]}
    assert (await service.post(f"{path}/prepare", one, **which)).status == 403
    await service.done(f"{path}/approve", one, **which)
    assert (await service.post(f"{path}/approve", one, **which)).status == 403  # the same person twice is one
    assert (await service.post(f"{path}/prepare", one, **which)).status == 403
    approved = await service.done(f"{path}/approve", two, **which)
    assert {approved["first_by"], approved["second_by"]} == {first, second}
    await service.done(f"{path}/prepare", one, **which)

    async def fetched() -> bytes:
        answer = await service.get(f"{path}/archive", one, **which)
        return answer.body if answer.status == 200 else b""

    archive = zipfile.ZipFile(io.BytesIO(await until(fetched)))
    assert json.loads(archive.read("manifest.json"))["account"] == customer.account
    [kept] = (await service.seen(path, two))["disclosures"]
    assert (kept["handed_over_by"], kept["basis"]) == (first, demand["basis"])
    entries = (await service.seen("/v1/audit", customer.session))["entries"]
    told = [entry["action"] for entry in entries if entry.get("subject") == made["disclosure"]]
    assert told.count("legal disclosure approved") == 2
    assert "legal disclosure handed over" in told
    assert (await service.seen("/v1/export", customer.session))["exports"] == []  # theirs are their own
