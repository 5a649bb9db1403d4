"""P40: an export can be imported into a fresh instance, which then gives the same answers."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from backend.ids import AccountId, SiteId
from backend.registry import members, tokens
from tests.backend.readings import batch, machine, reading
from tests.promises.deployed import Customer, Service, running, until
from tests.world.program import DidNotStart


async def archive_of(service: Service, customer: Customer, file: Path) -> Path:
    """The account's export, fetched."""
    asked = await service.done("/v1/export", customer.session)

    async def fetched() -> bytes:
        answer = await service.get("/v1/export/archive", customer.session, export=asked["export"])
        return answer.body if answer.status == 200 else b""

    await asyncio.to_thread(file.write_bytes, await until(fetched))
    return file


async def answers(service: Service, session: str, read: str, site: str, end: datetime) -> Any:
    """What an account is told, without the names that differ from instance to instance."""
    span = {"from": (end - timedelta(hours=1)).isoformat(), "to": end.isoformat(), "step": "60s"}
    series = await service.seen("/v1/series", read, metric="hashrate_ths", **span)
    machines = (await service.seen("/v1/machines", read))["machines"]
    warnings = (await service.seen("/v1/warnings", read, state="all"))["warnings"]
    people = (await service.seen("/v1/members", session))["members"]
    for one in (*machines, *warnings, *people):
        for name in ("age_s", "id", "member"):
            one.pop(name, None)
    return json.loads(json.dumps([series, machines, warnings, people]).replace(site, "SITE"))


async def test_a_fresh_instance_gives_the_same_answers(service: Service, tmp_path: Path) -> None:
    customer = await service.customer()
    await service.member(customer, "viewer@north.example")
    now = service.now().replace(microsecond=0)
    end = now + timedelta(minutes=1)
    hot = [reading(1, now - timedelta(minutes=m), hashrate_ths=90.0 + m) for m in range(1, 30)]
    sent = batch([*hot, reading(1, now), reading(2, now, power_w=3_000.5)], site=customer.site, sent_at=now)
    assert (await service.send(sent, customer.agent)).status == 200
    before = await answers(service, customer.session, customer.read, customer.site, end)
    file = await archive_of(service, customer, tmp_path / "export.zip")

    (tmp_path / "fresh").mkdir()
    async with running(tmp_path / "fresh") as fresh:
        await fresh.stop()
        told = json.loads(await fresh.command("import", str(file), "--verified", "--json"))
        assert told["readings"] == "31"
        with pytest.raises(DidNotStart, match="imported already"):
            await fresh.command("import", str(file), "--name", "Another")
        await fresh.start()
        account = AccountId(told["account"])
        assert account != customer.account
        async with fresh.database.begin() as session:
            owner = next(one for one in await members.listed(session, account) if one.role == "owner")
            _, read = await tokens.issue(session, account, kind="read", label="read", now=fresh.now())
        moved = Customer(account, SiteId(""), owner.id, customer.email, "", "", read)
        session_token = await fresh.log_in_again(moved)
        [site] = (await fresh.seen("/v1/sites", read))["sites"]
        assert site["site"] != customer.site
        assert await answers(fresh, session_token, read, site["site"], end) == before
        assert machine(2) in str(before)
        consents = (await fresh.seen("/v1/consents", session_token))["purposes"]
        assert not [one for one in consents if one["said"]]
