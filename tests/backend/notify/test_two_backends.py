"""Two backends over one registry, SQLite's and PostgreSQL's: nothing fires twice, nothing is sent twice."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from backend.config import Notify
from backend.notify.routing import Channel
from backend.registry import members
from backend.registry.database import Database
from tests.backend.farm import Farm, farm, idle, rounds
from tests.backend.notify.scripted import Scripted
from tests.backend.readings import at, batch
from tests.backend.registry import databases

CONTACTS = 12


@pytest.fixture(params=databases.KINDS)
async def both(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[tuple[Farm, Database]]:
    """A farm with some members, and the same registry as another backend opens it."""
    first = databases.migrated(request.param, tmp_path)
    north = await farm(tmp_path, first)
    async with first.begin() as session:
        for number in range(1, CONTACTS):
            await members.add(
                session,
                north.account,
                email=f"m{number}@example.com",
                phone=f"+120255502{number:02}",
                verified=True,
                now=at(0),
            )
    url = first._url.render_as_string(hide_password=False)
    second = Database(re.sub(r"^(\w+)\+\w+:", r"\1:", url), keys=first._keys)
    yield north, second
    await first.close()
    await second.close()


async def test_one_batch_at_two_backends_fires_once_and_each_contact_is_told_once(both: tuple[Farm, Database]) -> None:
    north, second = both
    engines = [north.engine(), north.engine(database=second)]
    sent = batch(rounds(idle, [1, 2, 3], range(6)), site=north.site, sent_at=at(5))
    await asyncio.gather(*(engine.judge(north.account, north.site, sent, now=at(5)) for engine in engines * 2))
    assert len(await north.firing()) == 3
    mail, text = Scripted(), Scripted()
    dispatchers = [
        north.dispatcher({Channel.EMAIL: mail, Channel.SMS: text}, database=database)
        for database in (north.database, second) * 2
    ]
    await asyncio.gather(*(dispatcher.dispatch(now=at(6)) for dispatcher in dispatchers))
    for told in (mail, text):
        assert Counter(Counter(message.to for message in told.messages).values()) == {1: CONTACTS}


async def test_the_cap_holds_over_two_backends(both: tuple[Farm, Database]) -> None:
    north, second = both
    await north.judge(north.engine(), rounds(idle, [1], range(6)))
    text = Scripted()
    dispatchers = [north.dispatcher({Channel.SMS: text}, database=database) for database in (north.database, second)]
    for dispatcher in dispatchers:
        dispatcher._claims._settings = Notify(sms_per_day=5)
    await asyncio.gather(*(dispatcher.dispatch(now=at(6)) for dispatcher in dispatchers))
    assert Counter(message.subject.split(" - ")[0] for message in text.messages) == {
        "CRITICAL": 5,
        "No more texts today": 1,
    }
