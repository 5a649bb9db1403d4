"""kill -9 in each step: nothing is lost, at most one duplicate, under the same id."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from backend.config import Smtp
from backend.notify.claims import LEASE
from backend.notify.email import Email
from backend.notify.routing import Channel
from tests.backend.farm import Farm
from tests.backend.notify.sending import fire, rows
from tests.backend.notify.servers import mail_server
from tests.backend.readings import at

_CHILD = """
import asyncio, os, signal, sys
from datetime import datetime
from sqlalchemy import event
from backend.config import Contact, Notify, Smtp
from backend.notify.dispatcher import Dispatcher
from backend.notify.email import Email
from backend.notify.routing import Channel
from backend.registry.database import Database
from backend.warnings.catalogue import Catalogue

async def main(url, port, now, dies_at):
    database = Database(url)
    steps = iter(range(int(dies_at), -1, -1))

    def step(*_arguments):  # a transaction begins, or is about to be committed
        if next(steps, None) == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    for name in ("begin", "commit"):
        event.listen(database._writer.sync_engine, name, step)
    email = Email(Smtp(host="127.0.0.1", port=int(port), tls="none", sender="farm@example.com"))
    dispatcher = Dispatcher(database, {Channel.EMAIL: email}, Notify(), catalogue=Catalogue.load(),
        public_url="https://farm.example.com", contact=Contact(), clock=lambda: datetime.fromisoformat(now))
    await dispatcher.dispatch(now=datetime.fromisoformat(now))

asyncio.run(main(*sys.argv[1:]))
"""


def child(north: Farm, port: int, now: datetime, dies_at: int = 1_000) -> subprocess.Popen[bytes]:
    url = f"sqlite:///{north.folder / 'registry.db'}"
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])}
    arguments = [sys.executable, "-c", _CHILD, url, str(port), now.isoformat(), str(dies_at)]
    return subprocess.Popen(arguments, env=environment, stdout=subprocess.DEVNULL)


@pytest.mark.parametrize("moment", ["before the mail", "after the mail, before it is marked"])
async def test_kill_9_loses_nothing_and_gives_at_most_one_duplicate_with_the_same_id(
    north: Farm, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fire(north)
    async with mail_server() as server:
        if moment == "before the mail":
            held = asyncio.Event()

            async def hold(*_args: Any) -> str:
                server.entered.set()
                await held.wait()
                return "250 OK"

            monkeypatch.setattr(server, "handle_MAIL", hold)
        else:
            server.behaviour = "hangs"  # it has the mail, and the sender does not know
        victim = child(north, server.port, at(6))
        async with asyncio.timeout(30):
            await server.entered.wait()
        victim.send_signal(signal.SIGKILL)
        await asyncio.to_thread(victim.wait)
        taken = len(server.mails)
        assert taken == (0 if moment == "before the mail" else 1)

    async with mail_server() as server:
        smtp = Smtp(host="127.0.0.1", port=server.port, tls="none", sender="farm@example.com")
        successor = north.dispatcher({Channel.EMAIL: Email(smtp)})
        await successor.dispatch(now=at(7))  # the lease still holds
        assert server.mails == []
        await successor.dispatch(now=at(6) + LEASE)
        await successor.dispatch(now=at(9))
        (row,) = [row for row in await rows(north) if row.sent_at]
        assert [mail["Message-ID"] for mail in server.mails] == [f"<{row.id}@example.com>"]


async def test_kill_9_at_each_begin_and_end_of_a_transaction_loses_nothing(north: Farm) -> None:
    await fire(north)
    now, dies_at, deaths = at(6), 0, 0
    async with mail_server() as server:
        while True:  # the dispatcher is killed at its first step, its successor at the second, …
            one = child(north, server.port, now, dies_at)
            if await asyncio.to_thread(one.wait) == 0:
                break
            assert one.returncode == -signal.SIGKILL
            now, dies_at, deaths = now + LEASE, dies_at + 1, deaths + 1
        ids = [mail["Message-ID"] for mail in server.mails]
    (sent,) = [row for row in await rows(north) if row.sent_at]
    assert deaths >= 4
    assert set(ids) == {f"<{sent.id}@example.com>"}
    assert len(ids) <= deaths + 1  # each death after a mail left, and before that was written down, gives one more
