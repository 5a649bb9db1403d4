"""P10, P11, P30, P31: what is sent of one's own will goes when its window ends, and only a hold keeps it."""

# ruff: noqa: N802 (several promises in one module: each test carries its id)

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any
from uuid import uuid4

import zstandard

from tests.promises.deployed import Answer, Customer, Service, until


async def bundle(service: Service, customer: Customer, **fields: Any) -> Answer:
    """Send a support bundle as an agent does."""
    sent = {"id": str(uuid4()), "site": customer.site, "created_at": service.now().isoformat(), "text": "mnr-1: hot"}
    headers = {"Content-Type": "application/json", "Content-Encoding": "zstd"}
    data = zstandard.compress(json.dumps(sent | fields).encode())
    return await service.ask("POST", "/v1/support", customer.agent, data=data, headers=headers)


async def oldest(service: Service, customer: Customer, data_class: str) -> str | None:
    """The time of the oldest record of a class; logs in anew, since time passed."""
    _, session = await service.member(customer, f"{uuid4().hex}@north.example")
    found = (await service.seen("/v1/retention", session))["classes"]
    age: str | None = next(one.get("oldest") for one in found if one["data_class"] == data_class)
    return age


async def test_P10_support_bundle_is_kept_once_until_its_window_ends(service: Service) -> None:
    customer = await service.customer()
    id = str(uuid4())
    first, again = await bundle(service, customer, id=id), await bundle(service, customer, id=id)
    assert (first.status, again.status) == (201, 200)
    assert first.json == again.json
    assert (await bundle(service, customer, site="sit_other")).status == 422
    assert (await bundle(service, customer, text="x" * 1_000_001)).status == 422
    assert await oldest(service, customer, "support") is not None
    service.ahead += timedelta(days=31)

    async def gone() -> bool:
        return await oldest(service, customer, "support") is None

    await until(gone)


async def test_P11_feedback_keeps_a_contact_only_if_one_was_given(service: Service) -> None:
    customer = await service.customer()
    await service.done("/v1/feedback", customer.session, text="Nice")
    await service.done("/v1/feedback", customer.session, text="Call me", contact="me@north.example")
    await service.done("/v1/retention", customer.session, data_class="feedback", days=2)
    assert b"me@north.example" not in (service.folder / "data" / "registry.db").read_bytes()
    assert await oldest(service, customer, "feedback") is not None
    service.ahead += timedelta(days=3)

    async def gone() -> bool:
        return await oldest(service, customer, "feedback") is None

    await until(gone)


async def test_P30_retention_shows_each_class_its_window_and_the_owner_changes_it(service: Service) -> None:
    customer = await service.customer()
    await service.done("/v1/retention", customer.session, data_class="telemetry_raw", days=7)
    await service.done("/v1/retention", customer.session, data_class="warnings", days=10)
    found = (await service.seen("/v1/retention", customer.session))["classes"]
    kept = {one["data_class"]: one["window_days"] for one in found}
    assert kept["telemetry_raw"] == 7
    assert kept["warnings"] == 10
    assert {"telemetry_rollup", "notifications", "support", "feedback"} <= kept.keys()
    _, viewer = await service.member(customer, "viewer@north.example")
    assert (await service.post("/v1/retention", viewer, data_class="warnings", days=1)).status == 403


async def test_P31_hold_keeps_what_is_past_its_window_and_nothing_else(service: Service) -> None:
    held, free = await service.customer("North"), await service.customer("South")
    for customer in (held, free):
        await bundle(service, customer)
    await service.command("hold", "add", held.account, "support", "--basis", "order 12 of the court", "--days", "365")
    service.ahead += timedelta(days=40)

    async def gone() -> bool:
        return await oldest(service, free, "support") is None

    await until(gone)
    assert await oldest(service, held, "support") is not None
    service.ahead += timedelta(days=330)

    async def let_go() -> bool:
        return await oldest(service, held, "support") is None

    await until(let_go)
