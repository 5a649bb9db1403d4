"""P31: a hold keeps what is past its window, of its class and account only, and nothing else does."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from tests.promises.deployed import Customer, Service, until
from tests.promises.kept import IN_REGISTRY, classes, gone, is_past, oldest, sealed, with_all_classes

CLASSES = ("telemetry_raw", "telemetry_rollup", *IN_REGISTRY)


async def hold(service: Service, customer: Customer, data_class: str) -> str:
    """Hold a class for 90 days; the hold's id."""
    words = (customer.account, data_class, "--basis", "order 12 of the court", "--days", "90")
    made: str = json.loads(await service.command("hold", "add", *words, "--json"))["id"]
    return made


async def test_a_hold_keeps_its_class_of_its_account_until_it_ends(service: Service) -> None:
    held, free = await service.customer("North"), await service.customer("South")
    for customer in (held, free):
        for data_class in CLASSES:
            await service.done("/v1/retention", customer.session, data_class=data_class, days=5)
    await with_all_classes(service, held, free)
    for data_class in ("telemetry_raw", "support"):
        await hold(service, held, data_class)
    service.ahead += timedelta(days=10)
    await until(lambda: gone(service, free, *CLASSES))
    await until(lambda: gone(service, held, "telemetry_rollup", "warnings", "notifications", "feedback"))
    kept = await classes(service, held)
    assert {name for name in CLASSES if is_past(service, kept[name])} == {"telemetry_raw", "support"}
    assert sealed(service, held) == {"readings", "boards"}
    assert sealed(service, free) == set()
    assert (await service.seen("/v1/machines", held.read))["machines"] == [], "kept, and not used"
    service.ahead += timedelta(days=80)
    await until(lambda: gone(service, held, *CLASSES))
    assert sealed(service, held) == set()


async def test_a_hold_that_is_ended_lets_go(service: Service) -> None:
    customer, other = await service.customer("North"), await service.customer("South")
    for one in (customer, other):
        await service.done("/v1/retention", one.session, data_class="telemetry_raw", days=5)
    await with_all_classes(service, customer, other)
    made = await hold(service, customer, "telemetry_raw")
    service.ahead += timedelta(days=5)
    await until(lambda: gone(service, other, "telemetry_raw"))
    assert sealed(service, other) == {"rollup_1h"}
    assert await oldest(service, customer, "telemetry_raw")
    await service.command("hold", "end", made)
    service.ahead += timedelta(minutes=31)
    await until(lambda: gone(service, customer, "telemetry_raw"))


async def test_a_hold_needs_a_class_and_a_basis(service: Service) -> None:
    customer = await service.customer()
    for words in (("nonsense", "--basis", "order 12 of the court"), ("telemetry_raw", "--basis", "because")):
        with pytest.raises(RuntimeError, match=r"class|basis"):
            await service.command("hold", "add", customer.account, *words, "--days", "1")
