"""A notifier that does as it is told, and remembers."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from backend.notify.protocol import Message


@dataclass
class Scripted:
    """Takes messages; the first calls raise what `failures` has, one each. While `held`, nothing returns."""

    failures: list[Exception] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    held: asyncio.Event | None = None
    entered: asyncio.Event = field(default_factory=asyncio.Event)
    at_once: int = 0
    most_at_once: int = 0

    async def send(self, message: Message) -> None:
        self.at_once += 1
        self.most_at_once = max(self.at_once, self.most_at_once)
        try:
            self.entered.set()
            if self.held is not None:
                await self.held.wait()
            if self.failures:
                raise self.failures.pop(0)
            self.messages.append(message)
        finally:
            self.at_once -= 1

    async def close(self) -> None:
        pass

    @property
    def subjects(self) -> list[str]:
        return [message.subject for message in self.messages]
