"""What has to be done about personal data while time passes; done by the running service, safe to do again."""

from __future__ import annotations

from datetime import datetime, timedelta

from backend.config import BackendSettings
from backend.privacy import digests, incidents, requests
from backend.privacy.letters import Post
from backend.registry.database import Database


class Duties:
    """All of them."""

    def __init__(self, database: Database, settings: BackendSettings, post: Post) -> None:
        self._database = database
        self._settings = settings
        self._post = post

    async def do(self, *, now: datetime) -> None:
        """Write down the audit log's end; send digests, reminders and letters."""
        async with self._database.begin() as session:
            await digests.anchor(session, self._settings.anchor_file, now=now)
            await digests.digest(session, timedelta(days=self._settings.privacy.digest_days), now=now)
            await requests.remind(session, now=now)
            await incidents.watch(session, now=now)
        await self._post.deliver(now=now)
