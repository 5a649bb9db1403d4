"""What gateways say later is written down once, in whatever order it comes, and a number that is gone is marked."""

from __future__ import annotations

import pytest

from backend.config import Notify
from backend.notify.outbox import Outbox
from backend.notify.sms import receipts
from backend.notify.sms.receipts import Receipt
from backend.registry.notify_tables import Contact, OutboxMessage
from tests.backend.farm import idle, rounds
from tests.backend.notify.desk import Desk
from tests.backend.readings import at

OUTBOX = Outbox(Notify())


async def sent_text(desk: Desk) -> str:
    await desk.judge(rounds(idle, [1], range(6)))
    assert await desk.until(6) == [1, 1]
    return desk.text.messages[0].id


@pytest.mark.parametrize(
    ("said", "state"),
    [
        (["sent", "delivered"], "delivered"),
        (["delivered", "sent"], "delivered"),
        (["failed", "delivered"], "delivered"),
        (["sent", "failed", "sent"], "failed"),
        (["delivered", "delivered"], "delivered"),
    ],
)
async def test_receipts_come_in_any_order_and_say_the_same(desk: Desk, said: list[str], state: str) -> None:
    message = await sent_text(desk)
    for number, each in enumerate(said):
        async with desk.farm.database.begin() as session:
            assert await receipts.record(session, message, Receipt(each, ""), OUTBOX, now=at(7 + number))
    async with desk.farm.database.read() as session:
        row = await session.get_one(OutboxMessage, message)
    assert row.delivery == state


async def test_a_number_that_is_gone_is_marked_and_gets_nothing_any_more(desk: Desk) -> None:
    message = await sent_text(desk)
    async with desk.farm.database.begin() as session:
        await receipts.record(session, message, Receipt("failed", "30005", is_contact_bad=True), OUTBOX, now=at(7))
    async with desk.farm.database.read() as session:
        row = await session.get_one(OutboxMessage, message)
        contact = await session.get_one(Contact, row.contact_id)
    assert contact.failed_at == at(7)
    assert contact.failure == row.last_error == "not delivered, says the SMS gateway: 30005"
    await desk.judge(rounds(idle, [2], range(7, 13)))
    assert (await desk.until(60))[1] == 1


async def test_a_receipt_for_no_text_changes_nothing(desk: Desk) -> None:
    await sent_text(desk)
    async with desk.farm.database.begin() as session:
        assert not await receipts.record(session, "msg_unknown", Receipt("failed", ""), OUTBOX, now=at(7))
        mail = desk.mail.messages[0].id
        assert not await receipts.record(session, mail, Receipt("failed", ""), OUTBOX, now=at(7))
