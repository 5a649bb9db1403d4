"""P10, P11: what is sent of one's own will goes when its window ends."""

# ruff: noqa: N802 (several promises in one module: each test carries its id)

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any
from uuid import uuid4

import zstandard

from tests.promises.deployed import Answer, Customer, Service, until
from tests.promises.kept import oldest


async def bundle(service: Service, customer: Customer, **fields: Any) -> Answer:
    """Send a support bundle as an agent does."""
    sent = {"id": str(uuid4()), "site": customer.site, "created_at": service.now().isoformat(), "text": "mnr-1: hot"}
    headers = {"Content-Type": "application/json", "Content-Encoding": "zstd"}
    data = zstandard.compress(json.dumps(sent | fields).encode())
    return await service.ask("POST", "/v1/support", customer.agent, data=data, headers=headers)


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
