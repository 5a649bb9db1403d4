"""P22: every access to personal data is in a log that the database's own user cannot rewrite unnoticed."""

from __future__ import annotations

import sqlite3
from datetime import timedelta
from email.message import EmailMessage

import pytest

from backend.privacy import audit
from tests.promises.conftest import Logged
from tests.promises.deployed import Service, until
from tests.world.program import DidNotStart


async def test_what_members_staff_and_jobs_see_is_in_the_log_and_so_is_what_is_refused(service: Service) -> None:
    customer = await service.customer()
    helper, session = await service.staff("help@itsminer.example", "support")
    await service.seen("/v1/members", customer.session)
    assert (await service.get("/v1/staff/members", session, account=customer.account)).status == 403
    await service.done("/v1/staff/grants", session, account=customer.account, reason="the owner asked for help")
    await service.seen("/v1/staff/members", session, account=customer.account)
    await service.done("/v1/invitations", customer.session, email="new@north.example", role="viewer")

    async def jobs() -> bool:
        return "contact.used" in await service.command("audit", "list")

    await until(jobs)
    found = (await service.seen("/v1/audit", customer.session))["entries"]
    seen = {(entry["actor"], entry["action"], entry["outcome"]) for entry in found}
    assert (customer.owner, "GET /v1/members", "done") in seen
    assert (helper, "GET /v1/staff/members", "refused") in seen
    assert (helper, "POST /v1/staff/grants", "done") in seen
    assert (helper, "GET /v1/staff/members", "done") in seen
    assert "unchanged" in await service.command("audit", "verify")


async def test_another_account_is_not_in_what_an_owner_sees(service: Service) -> None:
    ours, theirs = await service.customer("North"), await service.customer("South")
    await service.seen("/v1/members", theirs.session)
    found = (await service.seen("/v1/audit", ours.session))["entries"]
    assert {entry.get("account") for entry in found} <= {ours.account}


@pytest.mark.parametrize("how", ["change", "remove", "cut", "rewrite", "rewrite and anchor"])
async def test_whatever_the_databases_user_does_to_the_log_shows(service: Service, how: str) -> None:
    customer = await service.customer()
    for _ in range(4):
        await service.seen("/v1/me", customer.session)
    await service.command("audit", "anchor")
    await service.stop()
    with sqlite3.connect(service.folder / "data" / "registry.db") as file:
        with pytest.raises(sqlite3.IntegrityError, match="never changed"):
            file.execute("UPDATE audit_log SET actor = 'mem_somebody'")
        with pytest.raises(sqlite3.IntegrityError, match="beginning only"):
            file.execute("DELETE FROM audit_log")
        for trigger in ("audit_log_stays", "audit_log_keeps"):
            file.execute(f"DROP TRIGGER {trigger}")  # who owns the database can
        if how == "change":
            file.execute("UPDATE audit_log SET actor = 'mem_somebody' WHERE seq = 2")
        elif how == "remove":
            file.execute("DELETE FROM audit_log WHERE seq = 2")
        else:
            file.execute("DELETE FROM audit_log WHERE seq >= 2")
            before = file.execute("SELECT digest FROM audit_log WHERE seq = 1").fetchone()[0]
            file.execute("UPDATE audit_head SET seq = 1, digest = ?", (before,))
    await service.start()
    service.ahead += timedelta(minutes=1)  # or the same would be written again
    if how == "rewrite":  # the chain anew, and longer than it was: only the anchor tells
        for _ in range(6):
            await service.seen("/v1/me", customer.session)
    elif how == "rewrite and anchor":  # the entry that was anchored has two anchors: the first one tells
        for _ in range(3):
            await service.seen("/v1/me", customer.session)
        await service.command("audit", "anchor")
    with pytest.raises(DidNotStart, match="the audit log is not what it was"):
        await service.command("audit", "verify")


async def test_administrators_are_sent_a_digest_with_the_logs_end_and_one_of_them_signs_it(service: Service) -> None:
    await service.staff("boss@itsminer.example")
    customer = await service.customer()
    await service.seen("/v1/members", customer.session)

    async def digests() -> list[EmailMessage]:
        return [mail for mail in service.mail.mails if "GET /v1/members (done)" in mail.get_content()]

    service.ahead += timedelta(days=8)
    [mail] = await until(digests)
    assert mail["To"] == "boss@itsminer.example"
    _, session = await service.staff("auditor@itsminer.example", "auditor")
    [newest, *_] = (await service.seen("/v1/staff/audit/digests", session))["digests"]
    assert newest["head"] in mail.get_content()
    await service.done("/v1/staff/audit/sign", session, digest=newest["digest"])
    [signed, *_] = (await service.seen("/v1/staff/audit/digests", session))["digests"]
    assert signed["signed_at"] is not None
    assert (await service.post("/v1/staff/audit/sign", session, digest=newest["digest"])).status == 409


async def test_the_logs_end_is_written_down_each_day_outside_of_the_database(logged: Logged, service: Service) -> None:
    file = service.settings.anchor_file

    for days in (1, 2, 3):

        async def written(days: int = days) -> bool:
            return len(audit.read_anchors(file)) == days

        await until(written)
        service.ahead += timedelta(days=1, minutes=1)
    assert file.stat().st_mode & 0o077 == 0
    assert all(anchor.digest in str(logged) for anchor in audit.read_anchors(file)[1:3])
    assert "unchanged" in await service.command("audit", "verify", "--anchors", str(file))
