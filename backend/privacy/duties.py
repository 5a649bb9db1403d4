"""What has to be done about personal data while time passes; done by the running service, safe to do again."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

import structlog

from backend.config import BackendSettings
from backend.privacy import digests, requests, windows
from backend.privacy.letters import Post
from backend.registry.database import Database

log = structlog.get_logger()

_SWEEP_EVERY: Final = timedelta(minutes=1)


class Duties:
    """All of them."""

    def __init__(self, database: Database, settings: BackendSettings, post: Post) -> None:
        self._database = database
        self._settings = settings
        self._post = post
        self._swept_at: datetime | None = None

    async def do(self, *, now: datetime) -> None:
        """Delete what is past its window; write down the audit log's end; send digests, reminders and letters."""
        if self._swept_at is None or now - self._swept_at >= _SWEEP_EVERY:
            self._swept_at = now
            async with self._database.begin() as session:
                gone = await windows.sweep(session, now=now)
            if gone:
                log.info("retention.swept", **gone)
        async with self._database.begin() as session:
            await digests.anchor(session, self._settings.anchor_file, now=now)
            await digests.digest(session, timedelta(days=self._settings.privacy.digest_days), now=now)
            await requests.remind(session, now=now)
        await self._post.deliver(now=now)
