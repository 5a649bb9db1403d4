"""P33: one command ends the service: nothing comes in, everybody is told, all personal data is erased."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import Any

from sqlalchemy import func, select

from backend.registry.account_tables import Member, Staff
from backend.registry.login_tables import Login
from tests.backend.readings import batch, reading
from tests.promises.deployed import Service, until

TEXT = "We close on this day. Thank you for these years."


async def test_one_command_ends_it_after_the_notice(service: Service) -> None:
    customers = [await service.customer(name) for name in ("North", "South")]
    await service.staff("boss@itsminer.example")
    now = service.now().replace(microsecond=0)
    for customer in customers:
        sent = batch([reading(1, now, hashrate_ths=98.4)], site=customer.site, sent_at=now)
        assert (await service.send(sent, customer.agent)).status == 200
    file = service.folder / "announcement.txt"
    await asyncio.to_thread(file.write_text, TEXT)
    command = ("cease", str(file), "--notice-days", "7", "--json")
    dry = json.loads(await service.command(*command, "--dry-run"))
    assert (dry["accounts"], dry["members"]) == ("2", "2")
    assert not (await service.seen("/v1/cessation"))["is_ending"]

    await service.command(*command, "--yes")
    late = batch([reading(1, now + timedelta(seconds=5))], site=customers[0].site, sent_at=now)
    assert (await service.send(late, customers[0].agent)).status == 410
    assert (await service.post("/v1/register", email="new@farm.example")).status == 410

    async def told() -> bool:
        return {mail["To"] for mail in service.mail.mails} >= {customer.email for customer in customers}

    await until(told)
    assert all(TEXT in mail.get_content() for mail in service.mail.mails)
    assert TEXT in (await service.get("/announcements")).body.decode()
    assert (await service.seen("/v1/machines", customers[0].read))["machines"]  # until then they may take it along

    service.ahead += timedelta(days=7)

    async def erased() -> Any:
        return (await service.seen("/v1/cessation")).get("erased_at")

    await until(erased)
    await service.stop()
    assert not list((service.folder / "data" / "accounts").glob("acc_*"))
    stored = b"".join(path.read_bytes() for path in (service.folder / "data").glob("registry.db*"))
    for customer in customers:
        assert customer.email.encode() not in stored
    await service.start()
    async with service.database.read() as session:
        for table in (Member, Staff, Login):
            assert await session.scalar(select(func.count()).select_from(table)) == 0
    assert TEXT in (await service.get("/announcements")).body.decode()
    assert "unchanged" in await service.command("audit", "verify")
