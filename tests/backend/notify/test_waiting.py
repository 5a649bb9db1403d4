"""Messages that wait, and for whom they do not."""

from __future__ import annotations

import dataclasses
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from backend.accounts import mailing
from backend.notify.claims import PURPOSES
from backend.notify.protocol import TryLater
from backend.notify.routing import Channel
from backend.privacy import purposes
from backend.registry.account_tables import Member
from backend.registry.notify_tables import OutboxMessage
from tests.backend.farm import M1, M2, Farm
from tests.backend.notify.scripted import Scripted
from tests.backend.notify.sending import fire
from tests.backend.readings import at


async def test_an_outbox_for_a_channel_that_is_not_set_up_waits(north: Farm) -> None:
    await fire(north, [1])
    dispatcher = north.dispatcher({})
    assert await dispatcher.next_due() is None
    assert await dispatcher.dispatch(now=at(6)) == 0
    assert len(await north.outbox()) == 2
    text = Scripted([TryLater("away")])
    late = north.dispatcher({Channel.SMS: text})
    await late.dispatch(now=at(6) + timedelta(days=3))
    await late.dispatch(now=at(7) + timedelta(days=3))  # its 24 hours begin with the first try
    assert len(text.messages) == 1


async def test_messages_wait_for_nobody_who_left(north: Farm) -> None:
    await fire(north, [1, 2])
    async with north.database.begin() as session:
        member = await session.get_one(Member, north.member)
        await session.delete(member)
    async with north.database.read() as session:
        assert (await session.scalars(select(OutboxMessage))).all() == []
    assert M2 in [warning.machine for warning in await north.warnings()]


async def test_a_message_waits_while_what_it_is_for_may_not_be_done_and_what_is_owed_goes_on(
    north: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fire(north)
    async with north.database.begin() as session:
        await mailing.tell(session, "registered", account=north.account, member=north.member, now=at(5))
    asks = dataclasses.replace(purposes.REGISTER["monitoring"], basis="consent", version=2)
    mail = Scripted()
    with monkeypatch.context() as changed:
        changed.setattr(purposes, "REGISTER", {**purposes.REGISTER, "monitoring": asks})
        await north.dispatcher({Channel.EMAIL: mail}).dispatch(now=at(6))
        assert mail.subjects == ["ItsMiner: you have an account already"]
        async with north.database.begin() as session:
            member = await session.get_one(Member, north.member)
            await purposes.say(session, member, "monitoring", "given", now=at(7))
        await north.dispatcher({Channel.EMAIL: mail}).dispatch(now=at(11))
    assert mail.subjects[1:] == [f"CRITICAL - North: Machine not hashing: {M1}, since 12:00 UTC"]
    assert set(PURPOSES.values()) <= purposes.REGISTER.keys()


async def test_messages_of_other_kinds_are_left_to_whoever_knows_their_words(north: Farm) -> None:
    await fire(north)
    async with north.database.begin() as session:
        await session.execute(update(OutboxMessage).values(kind="letter"))
    mail = Scripted()
    dispatcher = north.dispatcher({Channel.EMAIL: mail})
    assert await dispatcher.next_due() is None
    await dispatcher.dispatch(now=at(6))
    assert (mail.messages, len(await north.outbox())) == ([], 2)
