"""P21: staff see an account's personal data only under a grant that names a reason and an end; it ends by itself."""

from __future__ import annotations

from datetime import timedelta

from tests.promises.service import Person, Service

REASON = "ticket 4711: mails do not arrive"


async def look(here: Service, who: Person, account: str | None) -> int:
    return (await here.get("/v1/staff/members", who.token, account=str(account))).status


async def test_without_a_grant_nothing_is_seen_of_any_account(here: Service) -> None:
    owner, support = await here.register("a@farm.example"), await here.employ("s@service.example", "support")
    refused = [
        await here.get("/v1/staff/members", support.token, account=str(account))
        for account in (owner.account, "acc_0000000000000000")
    ]
    assert [answer.status for answer in refused] == [403, 403]
    assert refused[0].raw == refused[1].raw


async def test_a_grant_opens_one_account_to_one_person_and_ends_by_itself(here: Service) -> None:
    owner, other = await here.register("a@farm.example"), await here.register("b@farm.example")
    support, colleague = (
        await here.employ("s@service.example", "support"),
        await here.employ("t@service.example", "admin"),
    )
    wanted = {"account": owner.account, "reason": REASON, "hours": 1}
    grant = (await here.post("/v1/staff/grants", wanted, support.token)).json
    seen = await here.get("/v1/staff/members", support.token, account=str(owner.account))
    assert [one["email"] for one in seen.json["members"]] == [owner.email]
    assert await look(here, support, other.account) == 403
    assert await look(here, colleague, owner.account) == 403
    assert (grant["reason"], grant["staff"]) == (REASON, support.id)
    here.offset += timedelta(hours=1)
    assert await look(here, support, owner.account) == 403


async def test_a_grant_has_a_reason_and_an_end_that_is_near(here: Service) -> None:
    owner, support = await here.register("a@farm.example"), await here.employ("s@service.example", "support")
    for change in ({"reason": ""}, {"reason": "because"}, {"hours": 0}, {"hours": 8.1}):
        wanted = {"account": owner.account, "reason": REASON, "hours": 1} | change
        assert (await here.post("/v1/staff/grants", wanted, support.token)).status == 422


async def test_a_grant_can_be_ended_before_its_time_and_stays_visible(here: Service) -> None:
    owner, support = await here.register("a@farm.example"), await here.employ("s@service.example", "support")
    auditor = await here.employ("u@service.example", "auditor")
    grant = (await here.post("/v1/staff/grants", {"account": owner.account, "reason": REASON}, support.token)).json
    assert (await here.post("/v1/staff/grants/end", {"grant": grant["grant"]}, auditor.token)).status == 404
    assert (await here.post("/v1/staff/grants/end", {"grant": grant["grant"]}, support.token)).status == 204
    assert await look(here, support, owner.account) == 403
    told = (await here.get("/v1/staff/grants/all", auditor.token)).json["grants"]
    assert [(one["grant"], one["reason"]) for one in told] == [(grant["grant"], REASON)]


async def test_staff_need_a_second_factor_for_anything_but_their_own_log_in(here: Service) -> None:
    admin = await here.employ("x@service.example", "admin")
    assert (await here.get("/v1/staff", admin.token)).status == 200
    here.offset += timedelta(minutes=5)
    answer = await here.post("/v1/login", {"email": admin.email, "password": admin.password})
    assert (answer.status, answer.json["type"]) == (401, "urn:itsminer:problem:second-factor")
