"""What the service keeps of a customer, as the customer and the disk see it."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

from backend.operator_socket import ask
from backend.registry.notify_tables import OutboxMessage
from backend.registry.privacy_tables import Feedback, SupportBundle
from backend.registry.rights_tables import Disclosure, Share
from backend.registry.warning_tables import Warning
from tests.backend.readings import batch, full_reading
from tests.promises.deployed import Customer, Service, until

SEALED = {"readings", "boards", "rollup_1h"}
IN_REGISTRY = ("warnings", "notifications", "support", "feedback", "disclosures")


async def classes(service: Service, customer: Customer) -> dict[str, dict[str, Any]]:
    """What the operator is told of each class."""
    told = await ask(service.folder / "data", "retention", customer.account)
    return {one["data_class"]: one for one in told["classes"]}


async def shown(service: Service, customer: Customer) -> dict[str, dict[str, Any]]:
    """What a member is told of each class; logs in anew, since time passed."""
    _, session = await service.member(customer, f"{uuid4().hex}@north.example")
    return {one["data_class"]: one for one in (await service.seen("/v1/retention", session))["classes"]}


async def oldest(service: Service, customer: Customer, data_class: str) -> str | None:
    """The time of the oldest record of a class."""
    age: str | None = (await classes(service, customer))[data_class].get("oldest")
    return age


async def gone(service: Service, customer: Customer, *data_classes: str) -> bool:
    """Nothing past its window is left of these classes; warnings and messages about what happens meanwhile may be."""
    kept = await classes(service, customer)
    return not any(is_past(service, kept[name]) for name in data_classes)


def is_past(service: Service, kept: dict[str, Any]) -> bool:
    """Whether the oldest record of a class is past the class's window."""
    oldest = kept.get("oldest")
    return oldest is not None and datetime.fromisoformat(oldest) < service.now() - timedelta(days=kept["window_days"])


def sealed(service: Service, customer: Customer) -> set[str]:
    """The kinds of files of closed days on the disk."""
    folder: Path = service.folder / "data" / "accounts" / customer.account / "sealed"
    return {file.name.partition("-")[0] for file in folder.glob("*.parquet")}


async def with_all_classes(service: Service, *customers: Customer) -> datetime:
    """Give each customer a record of every class, of now; two days later the readings are rolled up and sealed."""
    now = service.now().replace(microsecond=0)
    for customer in customers:
        sent = batch([full_reading(1, now)], site=customer.site, sent_at=now)
        assert (await service.send(sent, customer.agent)).status == 200
        await _in_registry(service, customer, now)
    await service.stop()
    service.ahead += timedelta(days=2)
    await service.start()  # rolls up and seals at once

    async def is_sealed() -> bool:
        return all(sealed(service, customer) == SEALED for customer in customers)

    await until(is_sealed)
    return now


async def _in_registry(service: Service, customer: Customer, now: datetime) -> None:
    account, site = customer.account, customer.site
    async with service.database.begin() as session:
        session.add_all(
            [
                Warning(
                    id=f"wrn_{account}",
                    account_id=account,
                    site_id=site,
                    machine="",
                    rule="agent_silent",
                    severity="critical",
                    since=now,
                    started_at=now,
                    resolved_at=now,
                    resolution="recovered",
                ),
                OutboxMessage(
                    id=f"msg_{account}",
                    account_id=account,
                    member_id=customer.owner,
                    channel="email",
                    kind="warnings",
                    dedup_key=f"old {account}",
                    body={},
                    created_at=now,
                    due_at=now,
                    expires_at=now,
                    sent_at=now,
                ),
                SupportBundle(
                    id=f"sup_{account}",
                    account_id=account,
                    site_id=site,
                    bundle_id=str(uuid4()),
                    created_at=now,
                    received_at=now,
                    text="mnr-1: hot",
                ),
                Feedback(id=f"fbk_{account}", account_id=account, text="Nice", received_at=now),
                Share(
                    id=f"shr_{account}",
                    account_id=account,
                    recipient="An auditor",
                    contact="auditor@example.com",
                    purpose="a study of energy",
                    method="a token",
                    kinds=["machines"],
                    proposed_by="staff",
                    proposed_at=now,
                ),
            ]
        )
        await session.flush()
        session.add(
            Disclosure(
                id=f"dsc_{account}", account_id=account, share_id=f"shr_{account}", kind="machines", rows=1, at=now
            )
        )
