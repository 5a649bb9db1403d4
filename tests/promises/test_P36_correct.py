"""P36: wrong data is corrected by the member or on request, and that it was is recorded."""

from __future__ import annotations

from urllib.parse import parse_qs

from tests.promises.deployed import Customer, Service, until


async def mailed(service: Service, address: str, word: str) -> str:
    """What a mail to an address says after a word."""

    async def found() -> str:
        texts = [str(mail.get_content()) for mail in service.mail.mails if mail["To"] == address]
        return next((text for text in texts if word in text), "")

    return (await until(found)).split(word)[1]


async def corrected(service: Service, customer: Customer) -> list[str]:
    found = (await service.seen("/v1/corrections", customer.session))["corrections"]
    return sorted(one["field"] for one in found)


async def test_a_member_corrects_their_contacts_which_count_when_they_are_shown_to_be_theirs(service: Service) -> None:
    customer = await service.customer()
    assert (await service.post("/v1/corrections", customer.session, field="email", value="no address")).status == 422
    await service.done("/v1/corrections", customer.session, field="email", value="right@north.example")
    assert (await service.seen("/v1/members", customer.session))["members"][0]["email"] == customer.email
    token = (await mailed(service, "right@north.example", "where you asked for it:")).split()[0]
    path = "/v1/corrections/confirm"
    assert (await service.post(path, customer.session, field="email", code=token + "0")).status == 403
    assert await corrected(service, customer) == []
    await service.done(path, customer.session, field="email", code=token)
    assert (await service.post(path, customer.session, field="email", code=token)).status == 403  # good once

    await service.done("/v1/corrections", customer.session, field="phone", value="+1 415 555 0199")

    async def texted() -> str:
        forms = [parse_qs(body.decode()) for body in service.sms.raw]
        return next((form["Body"][0][:6] for form in forms if form["To"][0] == "+14155550199"), "")

    await service.done(path, customer.session, field="phone", code=await until(texted))
    [member] = (await service.seen("/v1/members", customer.session))["members"]
    assert (member["email"], member["phone"]) == ("right@north.example", "+14155550199")
    assert await corrected(service, customer) == ["email", "phone"]
    entries = {(one["actor"], one["action"]) for one in (await service.seen("/v1/audit", customer.session))["entries"]}
    assert (customer.owner, "corrected email") in entries


async def test_an_owner_corrects_names_and_nobody_else_does(service: Service) -> None:
    customer = await service.customer()
    _, viewer = await service.member(customer, "viewer@north.example")
    of_account = {"field": "account_name", "value": "North Mining Ltd"}
    assert (await service.post("/v1/corrections", viewer, **of_account)).status == 403
    await service.done("/v1/corrections", customer.session, **of_account)
    await service.done("/v1/corrections", customer.session, field="site_name", value="Hall 2", site=customer.site)
    await service.done("/v1/corrections", viewer, field="language", value="de")
    assert (await service.seen("/v1/account/cancel", customer.session))["name"] == "North Mining Ltd"
    assert (await service.seen("/v1/sites", customer.read))["sites"][0]["name"] == "Hall 2"
    assert await corrected(service, customer) == ["account_name", "language", "site_name"]
    seen = (await service.seen("/v1/corrections", viewer))["corrections"]
    assert [one["field"] for one in seen] == ["language"]


async def test_an_address_that_somebody_else_logs_in_with_is_not_taken(service: Service) -> None:
    ours, theirs = await service.customer("North"), await service.customer("South")
    asked = await service.post("/v1/corrections", ours.session, field="email", value=theirs.email)
    assert asked.json == {"is_corrected": False}  # as for any address
    token = (await mailed(service, theirs.email, "where you asked for it:")).split()[0]
    assert (await service.post("/v1/corrections/confirm", theirs.session, field="email", code=token)).status == 403
    assert (await service.post("/v1/corrections/confirm", ours.session, field="email", code=token)).status == 409


async def test_staff_correct_for_who_asked_in_writing_and_the_record_names_the_request(service: Service) -> None:
    customer = await service.customer()
    staff, session = await service.staff("help@itsminer.example", "support")
    letter = {"kind": "correction", "requester": customer.email, "account": customer.account}
    asked = await service.done("/v1/staff/requests", session, **letter, received_at=service.now().isoformat())
    wanted = {"request": asked["request"], "field": "language", "value": "de"}
    assert (await service.post("/v1/staff/corrections", session, **wanted)).status == 403
    how = "called back at the number of the account"
    await service.done("/v1/staff/requests/identify", session, request=asked["request"], how=how)
    await service.done("/v1/staff/corrections", session, **wanted)
    [made] = (await service.seen("/v1/corrections", customer.session))["corrections"]
    assert (made["by"], made["request"], made["subject"]) == (staff, asked["request"], customer.owner)
