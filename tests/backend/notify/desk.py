"""Engine and dispatcher over a farm, with a clock that the test moves."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from agent.wire import Board, Reading
from backend.notify.dispatcher import Dispatcher
from backend.notify.routing import Channel
from backend.registry import contacts
from backend.registry.account_tables import Member
from backend.registry.notify_tables import Contact
from backend.warnings.engine import Engine
from tests.backend.farm import Farm
from tests.backend.notify.scripted import Scripted
from tests.backend.readings import at, reading


class Desk:
    """What was sent by each channel."""

    def __init__(self, farm: Farm) -> None:
        self.farm = farm
        self.engine: Engine = farm.engine()
        self.mail, self.text, self.hook = Scripted(), Scripted(), Scripted()
        notifiers = {Channel.EMAIL: self.mail, Channel.SMS: self.text, Channel.WEBHOOK: self.hook}
        self.dispatcher: Dispatcher = farm.dispatcher(notifiers)

    async def judge(self, readings: list[Reading], now: Any = None, **fields: object) -> None:
        await self.farm.judge(self.engine, readings, now=now, **fields)

    async def until(self, minute: float) -> list[int]:
        """Send what is due until then; how many mails and texts left so far."""
        while (due_at := await self.dispatcher.next_due()) is not None and due_at <= at(minute):
            await self.dispatcher.dispatch(now=due_at)
        return [len(self.mail.messages), len(self.text.messages)]

    async def set_contact(self, channel: str, **values: object) -> str:
        """Change the member's own contact of a channel; its id."""
        async with self.farm.database.begin() as session:
            found = await session.scalar(select(Contact).where(Contact.channel == channel, Contact.address.is_(None)))
            assert found
            for name, value in values.items():
                setattr(found, name, value)
            return found.id

    async def add(self, channel: str, address: str, **values: object) -> str:
        """One more contact, verified; its id."""
        async with self.farm.database.begin() as session:
            member = await session.get_one(Member, self.farm.member)
            made = await contacts.add(session, member, channel, address, "", now=at(0))
            made.verified_at = at(0)
            for name, value in values.items():
                setattr(made, name, value)
            return made.id


def hot(number: int, minute: float, temp_c: float = 95) -> Reading:
    """A machine with a chip that is too hot."""
    return reading(number, at(minute), hashrate_ths=110, boards=(Board(index=0, chip_temp_c=temp_c),))
