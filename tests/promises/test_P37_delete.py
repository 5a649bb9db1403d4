"""P37: a member, a site, a machine or a time can be deleted, in every store, and a receipt says what was."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, cast
from uuid import uuid4

import pytest
from sqlalchemy import select

from agent.wire import Board
from backend.ids import AccountId
from backend.privacy import erasing
from backend.registry.base import Base
from backend.store.protocol import Part, Removed, Store
from tests.backend.readings import batch, machine, reading
from tests.promises.deployed import Service


async def test_a_machine_and_a_time_are_deleted_and_the_receipt_says_how_much(service: Service) -> None:
    ours, theirs = await service.customer("North"), await service.customer("South")
    now = service.now().replace(microsecond=0)
    for customer in (ours, theirs):
        found = [reading(n, now - timedelta(minutes=m), hashrate_ths=98.4) for n in (1, 2) for m in range(3)]
        assert (await service.send(batch(found, site=customer.site, sent_at=now), customer.agent)).status == 200
    receipt = await service.done("/v1/erase", ours.session, machine=machine(1))
    assert receipt["removed"]["telemetry_raw"]["rows"] == 3
    left = (await service.seen("/v1/machines", ours.read))["machines"]
    assert machine(1) not in str(left)
    assert machine(2) in str(left)
    assert machine(1) in str(await service.seen("/v1/machines", theirs.read))
    await service.done("/v1/erase", ours.session, start=(now - timedelta(hours=1)).isoformat())
    assert (await service.seen("/v1/machines", ours.read))["machines"] == []
    assert len((await service.seen("/v1/erase", ours.session))["receipts"]) == 2
    assert (await service.post("/v1/erase", ours.session)).status == 422


async def test_a_member_is_deleted_everywhere_and_the_receipt_says_what_was(service: Service) -> None:
    customer = await service.customer()
    member, session = await service.member(customer, "leaver@north.example")
    await service.done("/v1/consents", session, purpose="marketing", answer="given")
    assert (await service.post("/v1/erase", customer.session, member=customer.owner)).status == 403  # the last owner
    assert (await service.post("/v1/erase", customer.session, member=member, site=customer.site)).status == 422
    receipt = await service.done("/v1/erase", customer.session, member=member)
    assert receipt["scope"] == {"member": member}
    assert {"members", "consents"} <= receipt["removed"].keys()
    assert "leaver@north.example" not in str(await service.seen("/v1/members", customer.session))
    assert (await service.get("/v1/me", session)).status == 401
    async with service.database.read() as reading_session:
        for table in Base.metadata.sorted_tables:
            if "member_id" in table.c:
                query = select(table).where(table.c.member_id == member)
                assert (await reading_session.execute(query)).first() is None, table.name


async def test_a_machine_goes_from_warnings_bundles_and_what_the_rules_remember(service: Service) -> None:
    customer = await service.customer()
    now = service.now().replace(microsecond=0)
    hot: dict[str, Any] = {"boards": (Board(index=0, chip_temp_c=120.0),), "is_meant_to_mine": True}
    found = [reading(n, now - timedelta(minutes=m), **hot) for n in (1, 2) for m in range(30, -1, -1)]
    assert (await service.send(batch(found, site=customer.site, sent_at=now), customer.agent)).status == 200
    bundle = {"id": str(uuid4()), "site": customer.site, "created_at": now.isoformat(), "text": f"of {machine(1)}"}
    assert (await service.post("/v1/support", customer.agent, **bundle)).status == 201

    receipt = await service.done("/v1/erase", customer.session, machine=machine(1))
    assert receipt["removed"]["warnings"]["rows"] >= 1
    assert receipt["removed"]["support_bundles"]["rows"] == 1
    async with service.database.read() as session:
        for table in Base.metadata.sorted_tables:
            if "machine" in table.c:
                assert (await session.execute(select(table).where(table.c.machine == machine(1)))).first() is None, (
                    table
                )
    left = (await service.seen("/v1/warnings", customer.read, state="all"))["warnings"]
    assert {one["machine"] for one in left} == {machine(2)}
    service.ahead += timedelta(minutes=1)
    later = service.now().replace(microsecond=0)
    sent = batch([reading(n, later, **hot) for n in (1, 2)], site=customer.site, sent_at=later)
    assert (await service.send(sent, customer.agent)).status == 200  # the rules go on, and know nothing of it
    again = (await service.seen("/v1/warnings", customer.read, state="all"))["warnings"]
    assert [one["machine"] for one in again if one["rule"] == "chip_hot"] == [machine(2)]


async def test_a_site_goes_with_its_agent_and_a_time_with_its_warnings(service: Service) -> None:
    ours = await service.customer()
    now = service.now().replace(microsecond=0)
    other = (await service.done("/v1/sites", ours.session, name="Annex"))["site"]
    hot: dict[str, Any] = {"boards": (Board(index=0, chip_temp_c=120.0),), "is_meant_to_mine": True}
    found = [reading(1, now - timedelta(minutes=m), **hot) for m in range(30, -1, -1)]
    assert (await service.send(batch(found, site=ours.site, sent_at=now), ours.agent)).status == 200
    span = {"start": (now - timedelta(hours=1)).isoformat(), "end": (now + timedelta(hours=1)).isoformat()}
    timed = await service.done("/v1/erase", ours.session, **span)
    assert timed["removed"]["warnings"]["rows"] >= 1
    assert (await service.seen("/v1/warnings", ours.read, state="all"))["warnings"] == []

    receipt = await service.done("/v1/erase", ours.session, site=ours.site)
    assert receipt["removed"]["sites"]["rows"] == 1
    assert [one["site"] for one in (await service.seen("/v1/sites", ours.read))["sites"]] == [other]
    refused = await service.send(batch([reading(1, now)], site=ours.site, sent_at=now), ours.agent)
    assert refused.status == 401


async def test_who_is_killed_between_registry_and_store_goes_on_at_the_next_start_and_leaves_a_receipt(
    service: Service,
) -> None:
    customer = await service.customer()
    now = service.now().replace(microsecond=0)
    sent = batch([reading(1, now, hashrate_ths=98.4)], site=customer.site, sent_at=now)
    assert (await service.send(sent, customer.agent)).status == 200

    class Dying:
        async def erase(self, account: AccountId, part: Part) -> list[Removed]:
            raise ConnectionError("the process was killed")

    with pytest.raises(ConnectionError):
        await erasing.erase_part(
            service.database,
            cast(Store, Dying()),
            customer.account,
            Part(machine=machine(1)),
            actor=customer.owner,
            now=now,
        )
    assert (await service.seen("/v1/erase", customer.session))["receipts"] == []
    await service.stop()
    await service.start()
    [receipt] = (await service.seen("/v1/erase", customer.session))["receipts"]
    assert receipt["removed"]["telemetry_raw"]["rows"] == 1
    assert receipt["scope"]["machine"] == machine(1)
    assert machine(1) not in str(await service.seen("/v1/machines", customer.read))
    await service.stop()
    await service.start()  # and once more there is nothing left to do
    assert len((await service.seen("/v1/erase", customer.session))["receipts"]) == 1
