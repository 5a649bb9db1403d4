"""P30: every class has a window; what is past it cannot be read, and the disk has its space back."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from uuid import uuid4

from backend.operator_socket import NAME
from tests.backend.readings import batch, reading
from tests.promises.deployed import Customer, Service, until
from tests.promises.kept import IN_REGISTRY, SEALED, gone, is_past, oldest, sealed, shown, with_all_classes


async def hourly(service: Service, customer: Customer, start: datetime) -> list[object]:
    """What the rollups answer of a day."""
    asked = {"metric": "hashrate_ths", "from": start.isoformat(), "to": (start + timedelta(days=1)).isoformat()}
    found: list[object] = (await service.seen("/v1/series", customer.read, step="1h", **asked))["series"]
    return found


async def test_every_class_goes_when_its_window_ends_from_answers_and_from_the_disk(service: Service) -> None:
    short, long = await service.customer("North"), await service.customer("South")
    windows = {"telemetry_raw": 5, "telemetry_rollup": 20} | dict.fromkeys(IN_REGISTRY, 5)
    for data_class, days in windows.items():
        await service.done("/v1/retention", short.session, data_class=data_class, days=days)
    since = await with_all_classes(service, short, long)
    kept = await shown(service, short)
    assert (kept["telemetry_raw"]["window_days"], kept["telemetry_rollup"]["window_days"]) == (5, 20)
    assert all(kept[name].get("oldest") for name in ("telemetry_raw", "telemetry_rollup", *IN_REGISTRY))

    service.ahead += timedelta(days=5)
    assert (await service.seen("/v1/machines", short.read))["machines"] == [], "at once, whatever the disk still has"
    await until(lambda: gone(service, short, "telemetry_raw", *IN_REGISTRY))
    assert sealed(service, short) == {"rollup_1h"}
    assert await hourly(service, short, since)
    service.ahead += timedelta(days=15)
    assert await hourly(service, short, since) == []
    await until(lambda: gone(service, short, "telemetry_rollup"))
    assert sealed(service, short) == set()

    assert not any(is_past(service, one) for one in (await shown(service, short)).values())
    kept = await shown(service, long)
    assert all(kept[name].get("oldest") for name in ("telemetry_raw", "telemetry_rollup", *IN_REGISTRY))
    assert sealed(service, long) == SEALED
    assert await swept(service, short) == {"telemetry_raw", "telemetry_rollup", *IN_REGISTRY}
    assert await swept(service, long) == set()


async def swept(service: Service, customer: Customer) -> set[str]:
    """The classes that the audit log says something went of."""
    _, owner = await service.member(customer, f"{uuid4().hex}@north.example", "owner")
    entries = (await service.seen("/v1/audit", owner))["entries"]
    return {entry["subject"].partition(":")[0] for entry in entries if entry["action"] == "retention.swept"}


async def test_a_window_that_is_made_shorter_holds_at_once_and_the_disk_follows(service: Service) -> None:
    customer = await service.customer()
    await with_all_classes(service, customer)
    assert (await service.seen("/v1/machines", customer.read))["machines"]
    _, owner = await service.member(customer, "partner@north.example", "owner")
    await service.done("/v1/retention", owner, data_class="telemetry_raw", days=1)
    assert (await service.seen("/v1/machines", customer.read))["machines"] == []
    service.ahead += timedelta(minutes=31)
    await until(lambda: gone(service, customer, "telemetry_raw"))
    assert "readings" not in sealed(service, customer)
    assert await oldest(service, customer, "telemetry_rollup")


async def test_a_viewer_sees_the_windows_and_only_an_owner_moves_them(service: Service) -> None:
    customer = await service.customer()
    _, viewer = await service.member(customer, "viewer@north.example")
    assert (await service.get("/v1/retention", viewer)).status == 200
    assert (await service.post("/v1/retention", viewer, data_class="warnings", days=1)).status == 403
    for wrong in ({"data_class": "nonsense", "days": 1}, {"data_class": "telemetry_raw", "days": 0}):
        assert (await service.post("/v1/retention", customer.session, **wrong)).status == 422


async def test_the_operators_report_is_of_the_running_service(service: Service) -> None:
    customer = await service.customer()
    now = service.now().replace(microsecond=0)
    sent = batch([reading(1, now, hashrate_ths=98.4)], site=customer.site, sent_at=now)
    assert (await service.send(sent, customer.agent)).status == 200
    told = {
        one["class"]: one
        for one in json.loads(await service.command("retention", "report", customer.account, "--json"))
    }
    assert told.keys() == {"telemetry_raw", "telemetry_rollup", "access_log", *IN_REGISTRY}
    assert told["telemetry_raw"]["window_days"] == 90
    assert datetime.fromisoformat(told["telemetry_raw"]["oldest"]) == now
    assert told["telemetry_raw"]["bytes"] > 0
    assert told["warnings"]["bytes"] is None
    door = service.folder / "data" / NAME
    assert door.stat().st_mode & 0o077 == 0, "for the service's user alone"
