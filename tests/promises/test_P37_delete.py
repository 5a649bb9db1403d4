"""P37: a member, a site, a machine or a time can be deleted, in every store, and a receipt says what was."""

from __future__ import annotations

from datetime import timedelta

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


async def test_a_removed_member_is_forgotten(service: Service) -> None:
    customer = await service.customer()
    member, session = await service.member(customer, "leaver@north.example")
    await service.done("/v1/members/remove", customer.session, member=member)
    assert "leaver@north.example" not in str(await service.seen("/v1/members", customer.session))
    assert (await service.get("/v1/me", session)).status == 401
