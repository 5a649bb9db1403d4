"""P42: a request is recorded, who asks is verified, a due date runs, administrators are reminded, the answer stays."""

from __future__ import annotations

from datetime import datetime, timedelta
from email.message import EmailMessage

from tests.promises.deployed import Service, until

REASON = "a letter of this account's owner"


async def mails_to(service: Service, address: str, word: str) -> list[EmailMessage]:
    return [mail for mail in service.mail.mails if mail["To"] == address and word in mail.get_content()]


async def test_a_letter_is_recorded_answered_only_when_its_writer_is_known_and_the_answer_stays(
    service: Service,
) -> None:
    customer = await service.customer()
    staff, session = await service.staff("help@itsminer.example", "support")
    letter = {"kind": "access", "requester": customer.email, "account": customer.account, "details": "all, please"}
    received = service.now() - timedelta(days=2)
    asked = await service.done("/v1/staff/requests", session, **letter, received_at=received.isoformat())
    due = datetime.fromisoformat(asked["due_at"]) - datetime.fromisoformat(asked["received_at"])
    assert due == timedelta(days=service.settings.privacy.request_days)
    answer = {"request": asked["request"], "outcome": "done", "answer": "Here it is."}
    assert (await service.post("/v1/staff/requests/answer", session, **answer)).status == 403

    async def asks() -> list[EmailMessage]:
        return await mails_to(service, customer.email, "/v1/requests/confirm?token=")

    [mail] = await until(asks)
    path = "/v1/requests/confirm?token=" + mail.get_content().split("confirm?token=")[1].split()[0]
    assert (await service.ask("POST", path + "0")).status == 404
    assert b"<form" in (await service.get(path)).body
    assert (await service.post("/v1/staff/requests/answer", session, **answer)).status == 403  # looking is not saying
    assert (await service.ask("POST", path)).status == 200
    await service.done("/v1/staff/requests/answer", session, **answer)
    assert (await service.post("/v1/staff/requests/answer", session, **answer)).status == 409
    [seen] = (await service.seen("/v1/requests", customer.session))["requests"]
    assert (seen["answer"], seen["outcome"], seen["came_by"]) == ("Here it is.", "done", "writing")

    async def told() -> list[EmailMessage]:
        return await mails_to(service, customer.email, "Here it is.")

    await until(told)
    entries = (await service.seen("/v1/audit", customer.session))["entries"]
    assert (staff, asked["request"]) in {(one["actor"], one.get("subject")) for one in entries}


async def test_what_staff_see_of_a_request_without_a_grant_says_nothing_of_who_asks(service: Service) -> None:
    customer = await service.customer()
    await service.done("/v1/requests", customer.session, kind="objection", details="no studies with my farm")
    _, session = await service.staff("help@itsminer.example", "support")
    listed = await service.get("/v1/staff/requests", session)
    [one] = listed.json["requests"]
    assert one["identified_at"]
    assert b"studies" not in listed.body
    assert customer.email.encode() not in listed.body
    assert (await service.get("/v1/staff/request", session, request=one["request"])).status == 403
    await service.done("/v1/staff/grants", session, account=customer.account, reason=REASON)
    whole = await service.seen("/v1/staff/request", session, request=one["request"])
    assert whole["details"] == "no studies with my farm"


async def test_somebody_who_is_no_member_is_identified_in_another_way(service: Service) -> None:
    _, session = await service.staff("help@itsminer.example", "support")
    letter = {"kind": "deletion", "requester": "somebody@else.example", "received_at": service.now().isoformat()}
    asked = await service.done("/v1/staff/requests", session, **letter)
    of_it = {"request": asked["request"]}
    assert (await service.post("/v1/staff/requests/identify", session, **of_it, how="seen")).status == 422
    await service.done("/v1/staff/requests/identify", session, **of_it, how="a notary's copy of the passport")
    await service.done("/v1/staff/requests/answer", session, **of_it, outcome="done", answer="We hold nothing.")
    await service.stop()
    stored = b"".join(file.read_bytes() for file in (service.folder / "data").glob("registry.db*"))
    assert b"somebody@else.example" not in stored
    await service.start()


async def test_administrators_are_reminded_before_it_is_due_and_again_when_it_is(service: Service) -> None:
    await service.staff("boss@itsminer.example")
    customer = await service.customer()
    made = await service.done("/v1/requests", customer.session, kind="portability")
    member, session = await service.member(customer, "viewer@north.example")
    assert (await service.seen("/v1/requests", session))["requests"] == [], member

    async def reminded() -> list[EmailMessage]:
        return await mails_to(service, "boss@itsminer.example", made["request"])

    assert await reminded() == []
    service.ahead += timedelta(days=service.settings.privacy.request_days - 6)
    [first] = await until(reminded)
    assert "OVERDUE" not in first.get_content()
    service.ahead += timedelta(days=7)

    async def again() -> bool:
        return any("OVERDUE" in mail.get_content() for mail in await reminded())

    await until(again)
