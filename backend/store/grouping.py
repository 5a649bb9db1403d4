"""Batches of one account that come at once are stored in one commit: to sync the disk is what a commit costs.

While a commit is under way the next batches gather. Each is answered when its own commit is durable.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from typing import Final

from backend.ids import AccountId
from backend.store.hot import Incoming

MOST_READINGS: Final = 10_000
"""In one commit, so that memory stays bounded and nobody waits long."""

Store = Callable[[AccountId, Sequence[Incoming]], Sequence[bool]]


class Grouping:
    """What waits, by account. One commit an account is under way at a time."""

    def __init__(self, threads: Executor, store: Store) -> None:
        self._threads = threads
        self._store = store
        self._waiting: dict[AccountId, deque[tuple[Incoming, Future[bool]]]] = {}
        self._lock = threading.Lock()

    def add(self, account: AccountId, incoming: Incoming) -> Future[bool]:
        """Store a batch; the future tells whether it was new, or why it could not be stored."""
        future: Future[bool] = Future()
        with self._lock:
            is_idle = account not in self._waiting
            self._waiting.setdefault(account, deque()).append((incoming, future))
        if is_idle:
            self._threads.submit(self._commit, account)
        return future

    def _commit(self, account: AccountId) -> None:
        group = self._take(account)
        if not group:
            return
        try:
            stored = self._store(account, [incoming for incoming, _ in group])
        except BaseException as error:  # noqa: BLE001 - who waits has to hear of it, whatever it is
            for _, future in group:
                future.set_exception(error)
        else:
            for (_, future), is_new in zip(group, stored, strict=True):
                future.set_result(is_new)
        # Behind what other accounts have waiting meanwhile.
        self._threads.submit(self._commit, account)

    def _take(self, account: AccountId) -> list[tuple[Incoming, Future[bool]]]:
        """What the next commit stores; nothing: from now on the account is idle."""
        group, readings = [], 0
        with self._lock:
            waiting = self._waiting[account]
            while waiting and readings < MOST_READINGS:
                group.append(waiting.popleft())
                readings += len(group[-1][0].batch.readings)
            if not group:
                del self._waiting[account]
        return group
