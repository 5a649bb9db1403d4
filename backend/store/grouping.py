"""Batches of one account that come at once are stored in one commit: a commit costs as much as a few hundred polls.

While a commit is under way the next batches gather; when some have, they wait `PACE_S` more for others. Who comes to an
account that is idle waits for nobody. Each batch is answered when its own commit is durable.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from queue import SimpleQueue
from typing import Final

from backend.ids import AccountId
from backend.store.hot import Incoming

MOST_READINGS: Final = 10_000
"""In one commit, so that memory stays bounded and nobody waits long."""
PACE_S: Final = 0.1
"""Between two commits of an account that several agents send to at once."""

Store = Callable[[AccountId, Sequence[Incoming]], Sequence[bool]]


class Grouping:
    """What waits, by account. One commit an account is under way at a time."""

    def __init__(self, threads: Executor, store: Store) -> None:
        self._threads = threads
        self._store = store
        self._waiting: dict[AccountId, deque[tuple[Incoming, Future[bool]]]] = {}
        self._lock = threading.Lock()
        self._paced: SimpleQueue[tuple[float, AccountId] | None] = SimpleQueue()  # when each may commit again
        self._is_closing = False
        self._pacer = threading.Thread(target=self._pace, name="store-pace", daemon=True)
        self._pacer.start()

    def add(self, account: AccountId, incoming: Incoming) -> Future[bool]:
        """Store a batch; the future tells whether it was new, or why it could not be stored."""
        future: Future[bool] = Future()
        with self._lock:
            is_idle = account not in self._waiting
            self._waiting.setdefault(account, deque()).append((incoming, future))
        if is_idle:
            self._threads.submit(self._commit, account)
        return future

    def close(self) -> None:
        """Store what waits, without any pace; nothing is added after this. The threads are to be shut down then."""
        with self._lock:
            self._is_closing = True
            self._paced.put(None)  # behind all that is paced
        self._pacer.join()

    def _pace(self) -> None:
        """All wait equally long, so the first to come is the first to go."""
        while (paced := self._paced.get()) is not None:
            may_commit_at, account = paced
            if not self._is_closing:
                time.sleep(max(0.0, may_commit_at - time.monotonic()))
            self._threads.submit(self._commit, account)

    def _commit(self, account: AccountId) -> None:
        while group := self._take(account):
            try:
                stored = self._store(account, [incoming for incoming, _ in group])
            except BaseException as error:  # noqa: BLE001 - who waits has to hear of it, whatever it is
                for _, future in group:
                    future.set_exception(error)
            else:
                for (_, future), is_new in zip(group, stored, strict=True):
                    future.set_result(is_new)
            if self._is_paced(account):
                return

    def _is_paced(self, account: AccountId) -> bool:
        """Whether others have come meanwhile, and are to be stored later, together with those that still come."""
        with self._lock:
            if not self._waiting[account] or self._is_closing:
                return False
            self._paced.put((time.monotonic() + PACE_S, account))
            return True

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
