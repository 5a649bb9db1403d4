"""A dispatcher that runs on: servers that hang, news, a registry that is away."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import event
from sqlalchemy.exc import OperationalError

from backend.config import Sms as SmsSettings
from backend.config import Smtp
from backend.notify.email import Email
from backend.notify.routing import Channel
from backend.notify.sms.gateway import Sms
from backend.notify.sms.twilio import Twilio
from backend.registry import members
from tests.backend.farm import Farm
from tests.backend.notify.scripted import Scripted
from tests.backend.notify.sending import eventually, fire, rows, running
from tests.backend.notify.servers import mail_server, sms_gateway
from tests.backend.readings import at


async def test_a_mail_server_that_hangs_holds_up_no_text_and_no_other_mail(north: Farm) -> None:
    async with north.database.begin() as session:
        await members.add(session, north.account, email="two@example.com", verified=True, now=at(0))
    await fire(north)

    async def all_have_failed() -> bool:
        return all(row.last_error for row in await rows(north))

    async with mail_server() as mails, sms_gateway() as texts:
        mails.behaviour = "hangs"
        smtp = Smtp(host="127.0.0.1", port=mails.port, tls="none", sender="farm@example.com")
        gateway = SmsSettings(
            url=f"http://127.0.0.1:{texts.port}", account="AC1", token=SecretStr("x"), sender="+12025550100"
        )
        dispatcher = north.dispatcher(
            {Channel.EMAIL: Email(smtp), Channel.SMS: Sms(Twilio(gateway, None))}, clock=lambda: at(6), deadline_s=2
        )
        async with running(dispatcher):
            await mails.entered.wait()
            await eventually(lambda: texts.arrived)
            await eventually(lambda: len(mails.arrived) == 2)  # both wait for their answer at the same time
            await eventually(all_have_failed)
    assert {row.last_error for row in await rows(north)} == {"no answer within the deadline"}
    assert all(row.body for row in await rows(north))  # they may have arrived: told again as they were


async def test_no_more_than_eight_messages_of_a_channel_are_under_way(north: Farm) -> None:
    async with north.database.begin() as session:
        for number in range(20):
            await members.add(session, north.account, email=f"m{number}@example.com", verified=True, now=at(0))
    await fire(north)
    mail = Scripted(held=asyncio.Event())
    async with running(north.dispatcher({Channel.EMAIL: mail}, clock=lambda: at(6))):
        await eventually(lambda: mail.at_once == 8)
        assert mail.held
        mail.held.set()
        await eventually(lambda: len(mail.messages) == 21)
    assert mail.most_at_once == 8


async def test_a_running_dispatcher_wakes_for_what_is_written_and_for_what_gets_due(north: Farm) -> None:
    mail = Scripted()
    started, offset = asyncio.get_running_loop().time(), at(5.495)

    def clock() -> datetime:
        return offset + timedelta(seconds=asyncio.get_running_loop().time() - started)

    dispatcher = north.dispatcher({Channel.EMAIL: mail}, clock=clock)
    async with running(dispatcher):
        await asyncio.sleep(0)
        await fire(north)  # due at 5:30, which is 0.3 s from now
        dispatcher.wake()
        await eventually(lambda: mail.messages)
    assert clock() < at(5.5) + timedelta(seconds=4)  # it did not wait for its next look


async def test_a_message_that_is_under_way_when_the_program_ends_is_finished(north: Farm) -> None:
    await fire(north)
    mail = Scripted(held=asyncio.Event())
    dispatcher = north.dispatcher({Channel.EMAIL: mail}, clock=lambda: at(6))
    task = asyncio.create_task(dispatcher.run())
    await mail.entered.wait()
    task.cancel()
    await asyncio.sleep(0)
    assert mail.held
    mail.held.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [row.sent_at for row in await rows(north) if row.attempts] == [at(6)]


async def test_a_registry_that_is_away_for_a_moment_ends_nothing(north: Farm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backend.notify.dispatcher.POLL_S", 0.05)
    await fire(north)
    mail, failures = Scripted(), iter(range(3))

    @event.listens_for(north.database._reader.sync_engine, "before_cursor_execute")
    def fail(_c: Any, _cursor: Any, _statement: str, *_rest: Any) -> None:
        if next(failures, None) is not None:
            raise OperationalError("SELECT", {}, RuntimeError("connection lost"))

    async with running(north.dispatcher({Channel.EMAIL: mail}, clock=lambda: at(6))):
        await eventually(lambda: mail.messages)
