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
import asyncio, sys
from datetime import datetime
from backend.config import Contact, Notify, Smtp
from backend.notify.dispatcher import Dispatcher
from backend.notify.email import Email
from backend.notify.routing import Channel
from backend.registry.database import Database
from backend.warnings.catalogue import Catalogue

async def main(url, port, now):
    email = Email(Smtp(host="127.0.0.1", port=int(port), tls="none", sender="farm@example.com"))
    dispatcher = Dispatcher(Database(url), {Channel.EMAIL: email}, Notify(), catalogue=Catalogue.load(),
        public_url="https://farm.example.com", contact=Contact(), clock=lambda: datetime.fromisoformat(now))
    await dispatcher.dispatch(now=datetime.fromisoformat(now))

asyncio.run(main(*sys.argv[1:]))
"""


def child(north: Farm, port: int, now: datetime) -> subprocess.Popen[bytes]:
    url = f"sqlite:///{north.folder / 'registry.db'}"
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])}
    arguments = [sys.executable, "-c", _CHILD, url, str(port), now.isoformat()]
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
