"""P38: restricted data is kept, and nothing is made of it: no rule, no message, no promotion; lifting is recorded."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from agent.wire import Board
from tests.backend.readings import batch, reading
from tests.promises.deployed import Customer, Service, until

WARM: dict[str, Any] = {"boards": (Board(index=0, chip_temp_c=120.0),), "is_meant_to_mine": True, "hashrate_ths": 90.0}


async def overheat(service: Service, customer: Customer) -> None:
    """Half an hour of a chip that is far too hot, until now."""
    now = service.now().replace(microsecond=0)
    hot = [reading(1, now - timedelta(minutes=minutes), **WARM) for minutes in range(30, -1, -1)]
    assert (await service.send(batch(hot, site=customer.site, sent_at=now), customer.agent)).status == 200


async def warnings(service: Service, customer: Customer) -> int:
    return len((await service.seen("/v1/warnings", customer.read, state="all"))["warnings"])


async def test_readings_are_stored_and_no_rule_looks_at_them_until_it_is_lifted(service: Service) -> None:
    restricted, free = await service.customer("North"), await service.customer("South")
    path = "/v1/account/restriction"
    await service.done(path, restricted.session, is_restricted=True, reason="these figures are wrong")
    assert (await service.post(path, restricted.session, is_restricted=True, reason="again")).status == 409
    for customer in (restricted, free):
        await overheat(service, customer)
    assert (await service.seen("/v1/machines", restricted.read))["machines"]
    assert await warnings(service, restricted) == 0
    assert await warnings(service, free) > 0

    await service.done(path, restricted.session, is_restricted=False)
    told = await service.seen(path, restricted.session)
    [record] = told["history"]
    assert not told["is_account_restricted"]
    assert record["lifted_by"] == record["by"] == restricted.owner
    service.ahead += timedelta(minutes=31)
    await overheat(service, restricted)
    assert await warnings(service, restricted) > 0


async def test_a_silent_site_of_a_restricted_account_warns_nobody(service: Service) -> None:
    restricted, free = await service.customer("North"), await service.customer("South")
    for customer in (restricted, free):
        now = service.now().replace(microsecond=0)
        sent = batch([reading(1, now, hashrate_ths=98.4)], site=customer.site, sent_at=now)
        assert (await service.send(sent, customer.agent)).status == 200
    await service.done("/v1/account/restriction", restricted.session, is_restricted=True, reason="we disagree")
    for _ in range(3):  # in steps: a longer break is the service's own outage

        async def heard(seen: list[int] = []) -> bool:  # noqa: B006
            seen.append(await warnings(service, free))
            return len(seen) > 20 or seen[-1] > 0

        service.ahead += timedelta(minutes=4)
        await until(heard)
    assert await warnings(service, restricted) == 0


async def test_a_members_own_restriction_keeps_their_contact_from_being_used(service: Service) -> None:
    customer = await service.customer()
    member, session = await service.member(customer, "viewer@north.example")
    for token in (customer.session, session):
        await service.done("/v1/consents", token, purpose="marketing", answer="given")
    await service.done("/v1/me/restriction", session, is_restricted=True, reason="not before this is cleared")
    (service.folder / "news.txt").write_text("News.")
    await service.command("promote", str(service.folder / "news.txt"), "--subject", "News")

    async def arrived() -> bool:
        return any(mail["Subject"] == "News" for mail in service.mail.mails)

    await until(arrived)
    await overheat(service, customer)
    service.ahead += timedelta(minutes=2)

    async def warned() -> bool:
        return len([mail for mail in service.mail.mails if mail["To"] == customer.email]) > 1

    await until(warned)
    assert not [mail for mail in service.mail.mails if mail["To"] == "viewer@north.example"], member
    seen = await service.seen("/v1/account/restriction", session)
    assert seen["am_i_restricted"]
    assert not seen["is_account_restricted"]
    assert (await service.seen("/v1/account/restriction", customer.session))["history"] == []


async def test_staff_restrict_for_who_asked_in_writing_once_it_is_known_who_that_is(service: Service) -> None:
    customer = await service.customer()
    _, session = await service.staff("help@itsminer.example", "support")
    received = service.now().isoformat()
    letter = {"requester": customer.email, "account": customer.account, "received_at": received}
    asked = await service.done("/v1/staff/requests", session, kind="restriction", **letter)
    wanted = {"request": asked["request"], "of_account": True, "is_restricted": True, "reason": "asked for by letter"}
    assert (await service.post("/v1/staff/restriction", session, **wanted)).status == 403
    how = "called back at the number that the account has"
    await service.done("/v1/staff/requests/identify", session, request=asked["request"], how=how)
    await service.done("/v1/staff/restriction", session, **wanted)
    assert (await service.seen("/v1/account/restriction", customer.session))["is_account_restricted"]
