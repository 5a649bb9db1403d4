"""The files of the state folder that a running agent looks after: vault, list of machines, status."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

import structlog

from agent import status
from agent.errors import DiskTrouble
from agent.intake import Intake
from agent.known import KnownMachines
from agent.lan.desk import Desk
from agent.pause import Pause
from agent.poll import Poller
from agent.vault import Vault
from agent.vitals import Vitals

log = structlog.get_logger()


class Records:
    """Written where they are due. Trouble is logged once, and so is its end; nothing stops because of it."""

    def __init__(
        self,
        status_file: Path,
        vault: Vault,
        known: KnownMachines,
        poller: Poller,
        intake: Intake,
        desk: Desk,
        vitals: Vitals,
    ) -> None:
        self._status_file = status_file
        self._vault = vault
        self._known = known
        self._poller = poller
        self._intake = intake
        self._desk = desk
        self._vitals = vitals

    async def run(self, pause: Pause, write_s: float) -> None:
        """Look after them every `write_s`, until cancelled."""
        while True:
            self._intake.pass_totals_on()
            await self.write()
            with suppress(TimeoutError):
                async with asyncio.timeout(write_s):
                    await pause.until_changed()  # whoever pressed the button wants to see it

    async def write(self, *, everything: bool = False) -> None:
        """Write what is due, or all of it."""
        for address in self._poller.down.intersection(self._known.gone()):  # a clock that was set makes no machine gone
            self._poller.remove(address)
        for keeper in (self._known, self._desk, self._intake):
            keeper.keep(self._poller.miners)
        try:
            for file in (self._vault, self._known):
                if everything or file.due():
                    await file.write()
            await asyncio.to_thread(status.write, self._status_file, self._vitals.status())
        except DiskTrouble as error:
            if not self._vitals.file_trouble:
                log.error("files.trouble", why=str(error))
            self._vitals.file_trouble = str(error)
        else:
            if self._vitals.file_trouble:
                log.info("files.recovered")
            self._vitals.file_trouble = ""
