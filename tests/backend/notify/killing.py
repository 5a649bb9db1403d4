"""What a backend does about messages, in a process that is killed at its n-th step.

A step is the begin of a transaction, the moment before it is committed, and each command to the mail server before and
after it was answered.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Coroutine
from datetime import datetime
from pathlib import Path
from typing import Any

from aiosmtplib import SMTP
from sqlalchemy import event

from backend.config import Contact, Notify, Smtp
from backend.ids import AccountId, SiteId
from backend.notify import digests
from backend.notify.dispatcher import Dispatcher
from backend.notify.email import Email
from backend.notify.outbox import Outbox
from backend.notify.routing import Channel
from backend.registry.database import Database
from backend.warnings.catalogue import Catalogue
from backend.warnings.engine import Engine
from tests import forked
from tests.backend.farm import idle, rounds
from tests.backend.readings import at, batch

Work = Callable[..., Coroutine[Any, Any, None]]


async def judging(database: Database, account: str, site: str) -> None:
    """A batch of which something critical comes."""
    engine = Engine(database, Catalogue.load(), Outbox(Notify()))
    sent = batch(rounds(idle, [1], range(6)), site=SiteId(site), sent_at=at(5))
    await engine.judge(AccountId(account), SiteId(site), sent, now=at(5))


async def sending(database: Database, port: int, now: datetime) -> None:
    """All that is due."""
    email = Email(Smtp(host="127.0.0.1", port=port, tls="none", sender="farm@example.com"))
    dispatcher = Dispatcher(
        database,
        {Channel.EMAIL: email},
        Notify(),
        catalogue=Catalogue.load(),
        public_url="https://farm.example.com",
        contact=Contact(),
        clock=lambda: now,
    )
    await dispatcher.dispatch(now=now)
    await dispatcher.close()


async def opening_digests(database: Database, now: datetime) -> None:
    """Those that are due."""
    await digests.open_due(database, now=now)


async def is_killed(folder: Path, step: int, work: Work, *arguments: Any) -> bool:
    """Do the work over a folder's registry in another process. False: it came to its end before that step."""
    process = forked.processes().Process(target=_until_killed, args=(folder, step, work, *arguments))
    process.start()
    await asyncio.to_thread(process.join, 60)
    assert process.exitcode in (0, -signal.SIGKILL), "it failed by itself"
    return process.exitcode != 0


def _until_killed(folder: Path, step: int, work: Work, *arguments: Any) -> None:
    left = step

    def passed(*_arguments: Any) -> None:
        nonlocal left
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)

    async def deadly() -> None:
        # The disk's own promises are not asked here: what a killed process wrote, the system has.
        database = Database(f"sqlite:///{folder / 'registry.db'}", is_disposable=True)
        for name in ("begin", "commit"):
            event.listen(database._writer.sync_engine, name, passed)
        for name in ("connect", "mail", "rcpt", "data", "quit"):
            setattr(SMTP, name, _between(getattr(SMTP, name), passed))
        await work(database, *arguments)
        await database.close()

    asyncio.run(deadly())


def _between(command: Callable[..., Any], passed: Callable[[], None]) -> Callable[..., Any]:
    async def stepped(*arguments: Any, **more: Any) -> Any:
        passed()
        answer = await command(*arguments, **more)
        passed()
        return answer

    return stepped
