"""A dry run: each text is a line of JSON in a file that only its owner may read, and goes nowhere else."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

from backend.notify import gsm
from backend.notify.protocol import Message, TryLater


class Dry:
    """A `Notifier` that writes."""

    def __init__(self, file: Path) -> None:
        self._file = file

    async def send(self, message: Message) -> None:
        """See `Notifier.send`. One write of one line: two processes do not mix theirs."""
        said = {"id": message.id, "to": message.to, "text": message.text, "parts": gsm.parts(message.text)}
        try:
            await asyncio.to_thread(self._append, json.dumps(said, ensure_ascii=False))
        except OSError as error:
            raise TryLater(f"the file for texts cannot be written ({error.strerror})") from error

    async def close(self) -> None:
        """Nothing is left open."""

    def _append(self, line: str) -> None:
        opened = os.open(self._file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(opened, f"{line}\n".encode())
        finally:
            os.close(opened)
