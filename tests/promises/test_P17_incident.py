"""P17: an incident is recorded, whom it affects is found from the audit trail, they are told, each delivery tracked."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs

from backend.registry import members
from tests.promises.deployed import Service, until

WORDS = (
    "--title", "A stolen laptop", "--what", "Somebody read contacts.", "--measures", "The log-in was ended.",
    "--advice", "Expect mails that pretend to be ours.",
)  # fmt: skip


async def test_those_whom_somebody_looked_at_are_told_by_mail_and_text_and_the_rest_by_an_announcement(
    service: Service,
) -> None:
    seen, unseen = await service.customer("North"), await service.customer("South")
    async with service.database.begin() as session:
        hidden = await members.add(session, seen.account, email="unverified@north.example", now=service.now())
    thief, token = await service.staff("help@itsminer.example", "support")
    await service.done("/v1/staff/grants", token, account=seen.account, reason="an owner asked for help")
    await service.seen("/v1/staff/members", token, account=seen.account)
    now = service.now()
    since, until_ = (f"{now + timedelta(hours=hours):%Y-%m-%dT%H:%M}" for hours in (-1, 1))
    span = ("--since", since, "--until", until_)
    record = ("incident", "record", *WORDS, *span, "--actor", thief, "--json")
    dry = json.loads(await service.command(*record, "--dry-run"))
    assert dry == {"members": "2", "by_email": "1", "by_sms": "1", "by_announcement": "1"}
    made = json.loads(await service.command(*record))
    assert service.mail.mails == []
    assert (await service.seen("/v1/announcements"))["announcements"] == []
    await service.command("incident", "tell", made["id"])

    _, auditor = await service.staff("auditor@itsminer.example", "auditor")

    async def delivered() -> Any:
        [incident] = (await service.seen("/v1/staff/incidents", auditor))["incidents"]
        return incident if not any(each["under way"] for each in incident["deliveries"].values()) else None

    incident = await until(delivered)
    assert incident["members"] == 2
    assert incident["deliveries"] == {
        "email": {"sent": 1, "failed": 0, "under way": 0},
        "sms": {"sent": 1, "failed": 0, "under way": 0},
    }
    assert [mail["To"] for mail in service.mail.mails] == [seen.email]
    assert "Expect mails" in service.mail.mails[0].get_content()
    assert [parse_qs(body.decode())["To"][0] for body in service.sms.raw] == ["+14155550123"]
    [public] = (await service.seen("/v1/announcements"))["announcements"]
    page = (await service.get("/announcements")).body.decode()
    for text in (public["text"], page):
        assert "Somebody read contacts." in text
        assert not any(name in text for name in (seen.email, hidden.email, seen.account, unseen.account))
    report = await service.command("incident", "report", made["id"])
    assert "Persons affected: 2, of 1 accounts" in report
    assert "email: 1 sent, 0 failed, 0 under way" in report
    assert "push: the service has no app" in report
