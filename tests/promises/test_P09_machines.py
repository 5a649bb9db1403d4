"""P09: a member declares machines; what was discovered is compared with that, and the difference is shown."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from agent.wire import State
from tests.backend.readings import batch, machine, reading
from tests.promises.deployed import Customer, Service, until

S19: dict[str, Any] = {"make": "Antminer", "model": "S19 Pro"}
M50: dict[str, Any] = {"make": "MicroBT", "model": "M50S++"}


async def farm(service: Service, *, minutes_ago: float = 1) -> Customer:
    """Three S19 Pro and one M50S++ are there."""
    customer = await service.customer()
    await report(service, customer, service.now() - timedelta(minutes=minutes_ago))
    return customer


async def report(service: Service, customer: Customer, at: Any, **third: Any) -> None:
    readings = [
        reading(1, at, **S19),
        reading(2, at, **S19),
        reading(3, at, **({"state": State.HASHING} | third), **S19),
        reading(4, at, **M50),
    ]
    sent = batch(readings, site=customer.site, sent_at=service.now())
    assert (await service.send(sent, customer.agent)).status == 200


def declared(customer: Customer, quantity: int, **fields: Any) -> dict[str, Any]:
    return {"site": customer.site, "brand": "Bitmain Antminer", "model": "S19 Pro", "quantity": quantity} | fields


async def declare(service: Service, customer: Customer, *entries: dict[str, Any], token: str | None = None) -> int:
    answer = await service.ask("PUT", "/v1/declared", token or customer.session, json={"declared": entries})
    return answer.status


async def test_a_member_declares_machines_with_all_that_the_policy_names(service: Service) -> None:
    customer = await farm(service)
    whole = declared(customer, 3, category="ASIC, air-cooled", pool="pool.example.com", tariff="0.07 USD/kWh")
    assert await declare(service, customer, whole) == 204
    told = await service.seen("/v1/declared", customer.read)
    assert told["declared"] == [whole | {"machines": []}]


async def test_declared_and_discovered_are_compared_and_the_difference_is_shown(service: Service) -> None:
    customer = await farm(service)
    before = await service.seen("/v1/declared", customer.read)
    assert (before["declared"], before["difference"]) == ([], [])
    assert [(one["model"], one["quantity"]) for one in before["discovered"]] == [("S19 Pro", 3), ("M50S++", 1)]

    entry = declared(customer, 5, brand="Antminer")
    assert await declare(service, customer, entry) == 204
    difference = (await service.seen("/v1/declared", customer.read))["difference"]
    assert [(one["brand"], one["declared"], one["seen"], one["never_seen"]) for one in difference] == [
        ("Antminer", 5, 3, 2),
        ("MicroBT", 0, 1, 0),
    ]
    assert difference[1]["unknown"] == [machine(4)]

    assert await declare(service, customer, declared(customer, 2, brand="Antminer")) == 204
    first, *undeclared = (await service.seen("/v1/declared", customer.read))["difference"]
    assert (first["declared"], first["seen"], first["never_seen"]) == (2, 2, 0)
    assert sorted(name for one in undeclared for name in one["unknown"]) == [machine(3), machine(4)]


async def test_a_machine_that_is_not_declared_is_warned_of_and_no_more_when_it_is(service: Service) -> None:
    customer = await farm(service, minutes_ago=3)
    named = [declared(customer, 3), declared(customer, 1, brand="any", model="any", machines=[machine(4)])]
    assert await declare(service, customer, named[0]) == 204
    await report(service, customer, service.now() - timedelta(minutes=2))

    async def unknown() -> list[str]:
        warnings = (await service.seen("/v1/warnings", customer.read))["warnings"]
        return [one["machine"] for one in warnings if one["rule"] == "machine_unknown"]

    assert await unknown() == [machine(4)]
    assert await declare(service, customer, *named) == 204
    await report(service, customer, service.now() - timedelta(minutes=1))
    assert await unknown() == []


async def test_a_declared_machine_that_was_not_seen_for_a_day_is_warned_of(service: Service) -> None:
    customer = await farm(service)
    assert (
        await declare(service, customer, declared(customer, 3), declared(customer, 1, brand="MicroBT", model="M50S++"))
        == 204
    )
    for hours in (8, 8, 8.1):
        service.ahead += timedelta(hours=hours)
        await report(service, customer, service.now(), state=State.UNREACHABLE)

    async def missing() -> list[str]:
        warnings = (await service.seen("/v1/warnings", customer.read))["warnings"]
        return [one["machine"] for one in warnings if one["rule"] == "machine_missing"]

    assert await until(missing) == [machine(3)]
    difference = (await service.seen("/v1/declared", customer.read))["difference"]
    assert [one["missing"] for one in difference] == [[machine(3)], []]


async def test_who_may_declare_and_what_cannot_be(service: Service) -> None:
    customer = await farm(service)
    _, viewer = await service.member(customer, "viewer@north.example")
    assert await declare(service, customer, declared(customer, 1), token=viewer) == 403
    assert await declare(service, customer, declared(customer, 1), token=customer.read) == 403
    assert await declare(service, customer, declared(customer, 0)) == 422
    assert await declare(service, customer, declared(customer, 1, machines=[machine(1), machine(2)])) == 422
    assert await declare(service, customer, declared(customer, 1, serial="1234")) == 422
    assert await declare(service, customer, declared(customer, 1) | {"site": "sit_nowhere"}) == 404
    assert (await service.seen("/v1/declared", customer.read))["declared"] == []
