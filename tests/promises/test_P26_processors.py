"""P26: nothing is sent through a processor that is not in the register, and ending one stops its use at once."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import select

from backend.registry.notify_tables import OutboxMessage
from tests.promises.deployed import Service, until


async def test_an_ended_processor_gets_nothing_more_until_another_is_registered(service: Service) -> None:
    customer = await service.customer()
    here, _webhooks = (await service.seen("/v1/processors"))["processors"]
    assert here["gets"]
    assert here["why"]
    await service.command("processor", "end", here["name"])
    await service.done("/v1/invitations", customer.session, email="new@north.example", role="viewer")

    async def put_off() -> bool:
        return "register of processors" in (await last_error(service) or "")

    await until(put_off)
    assert service.mail.mails == []
    await service.command("processor", "deleted", here["name"])
    ended, _webhooks = (await service.seen("/v1/processors"))["processors"]
    assert ended["ended_at"] <= ended["deleted_at"]
    await service.command("processor", "add", "Post", "--host", "127.0.0.1", "--gets", "mails", "--why", "to send them")
    service.ahead += timedelta(hours=2)

    async def arrived() -> bool:
        return len(service.mail.mails) == 1

    await until(arrived)


async def last_error(service: Service) -> str | None:
    """Why the message waits."""
    async with service.database.read() as session:
        error: str | None = await session.scalar(select(OutboxMessage.last_error))
        return error
