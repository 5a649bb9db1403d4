"""A message is one process's to send, for a while."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from typing import Any

from sqlalchemy import event
from sqlalchemy.exc import OperationalError

from backend.notify.claims import LEASE
from backend.notify.protocol import TryLater
from backend.notify.routing import Channel
from backend.registry import members
from tests.backend.farm import M1, Farm
from tests.backend.notify.scripted import Scripted
from tests.backend.notify.sending import fire, rows
from tests.backend.readings import at


async def test_who_dies_before_sending_leaves_it_to_the_next_when_the_lease_ends(north: Farm) -> None:
    await fire(north)
    dying = Scripted(held=asyncio.Event())
    task = asyncio.create_task(north.dispatcher({Channel.EMAIL: dying}).dispatch(now=at(6)))
    await dying.entered.wait()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    mail = Scripted()
    dispatcher = north.dispatcher({Channel.EMAIL: mail})
    assert await dispatcher.dispatch(now=at(7)) == 0
    assert await dispatcher.next_due() == at(6) + LEASE
    assert await dispatcher.dispatch(now=at(6) + LEASE) == 1
    assert len(mail.messages) == 1


async def test_what_was_sent_and_could_not_be_marked_is_sent_again_under_the_same_id(north: Farm) -> None:
    await fire(north)
    mail = Scripted()
    dispatcher = north.dispatcher({Channel.EMAIL: mail})

    @event.listens_for(north.database._writer.sync_engine, "before_cursor_execute")
    def fail(_c: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if "sent_at=?" in statement:
            raise OperationalError("UPDATE", {}, OSError("the disk is full"))

    await dispatcher.dispatch(now=at(6))
    event.remove(north.database._writer.sync_engine, "before_cursor_execute", fail)
    await dispatcher.dispatch(now=at(6) + LEASE)
    assert len(mail.messages) == 2
    assert len({message.id for message in mail.messages}) == 1
    assert {message.subject for message in mail.messages} == {
        f"CRITICAL - North: Machine not hashing: {M1}, since 12:00 UTC"
    }


async def test_whoever_comes_back_after_its_lease_changes_nothing_of_its_successors(north: Farm) -> None:
    await fire(north)
    slow = Scripted([TryLater("451")], held=asyncio.Event())
    task = asyncio.create_task(north.dispatcher({Channel.EMAIL: slow}).dispatch(now=at(6)))
    await slow.entered.wait()
    mail = Scripted()
    await north.dispatcher({Channel.EMAIL: mail}).dispatch(now=at(8))
    assert slow.held
    slow.held.set()
    await task
    sent, reminder = sorted(await rows(north), key=lambda row: row.due_at)
    assert (sent.sent_at, sent.last_error, reminder.attempts) == (at(8), None, 0)
    assert len(mail.messages) == 1


async def test_two_dispatchers_over_one_registry_send_each_message_once(north: Farm) -> None:
    async with north.database.begin() as session:
        for number in range(15):
            await members.add(session, north.account, email=f"m{number}@example.com", verified=True, now=at(0))
    await fire(north)
    other = north.other_process()
    mail = Scripted()
    await asyncio.gather(
        *(
            north.dispatcher({Channel.EMAIL: mail}, database=database).dispatch(now=at(6))
            for database in (north.database, other, north.database, other)
        )
    )
    assert Counter(Counter(message.to for message in mail.messages).values()) == {1: 16}
    await other.close()
