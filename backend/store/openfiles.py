"""Which accounts' files are open: a bounded number, the least recently used closed first.

For worker threads. A file is never closed under somebody who uses it: when more accounts are in use than
may be open, more are open, until they are not.
"""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import duckdb

from backend.ids import AccountId
from backend.store.hot import HotFile

_SAFE: Final = re.compile(r"[a-z0-9_-]{1,64}")
"""An account id becomes a folder's name: nothing that could leave the folder, or fold two names into one."""


@dataclass(slots=True, eq=False)
class _Entry:
    file: HotFile | None = None
    users: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)  # held while opening and closing


class OpenFiles:
    """The files under one folder, opened when needed."""

    def __init__(self, folder: Path, *, most: int, memory_mb: int) -> None:
        self._folder = folder
        self._most = most
        self._memory_mb = memory_mb
        self._entries: OrderedDict[AccountId, _Entry] = OrderedDict()
        self._lock = threading.Lock()

    @contextmanager
    def existing(self, account: AccountId) -> Iterator[HotFile | None]:
        """The account's file for reading; None when nothing was ever stored. Raises `ValueError` for no account id."""
        if self._path(account).exists():
            with self.made(account) as file:
                yield file
        else:
            yield None

    @contextmanager
    def made(self, account: AccountId) -> Iterator[HotFile]:
        """The account's file, made if need be. Raises `ValueError` for what is no account id."""
        path = self._path(account)
        with self._lock:
            entry = self._entries.setdefault(account, _Entry())
            entry.users += 1
            self._entries.move_to_end(account)
        try:
            with entry.lock:
                if entry.file is None:
                    entry.file = HotFile(path, memory_mb=self._memory_mb)
                file = entry.file
            try:
                yield file
            except duckdb.Error:
                self._forget(entry, file)
                raise
        finally:
            self._release(account, entry)
            self._shrink(self._most)

    def close(self) -> None:
        """Close all; nobody may be using them."""
        self._shrink(0)

    def _path(self, account: AccountId) -> Path:
        if not _SAFE.fullmatch(account):
            raise ValueError("this is no account id")
        return self._folder / account / "hot.duckdb"

    def _forget(self, entry: _Entry, file: HotFile) -> None:
        """Close a file that may have become unusable; the next user opens it anew."""
        with entry.lock:
            if entry.file is file:
                entry.file = None
                file.close()

    def _release(self, account: AccountId, entry: _Entry) -> None:
        with self._lock:
            entry.users -= 1
            if entry.users == 0 and entry.file is None:
                del self._entries[account]

    def _shrink(self, most: int) -> None:
        while (idle := self._take_idle(most)) is not None:
            account, entry = idle
            try:
                with entry.lock:
                    if entry.file is not None and entry.users == 1:
                        entry.file.close()
                        entry.file = None
            finally:
                self._release(account, entry)

    def _take_idle(self, most: int) -> tuple[AccountId, _Entry] | None:
        """The least recently used that nobody uses, now used by us; None when few enough are open."""
        with self._lock:
            if len(self._entries) > most:
                for account, entry in self._entries.items():
                    if entry.users == 0:
                        entry.users = 1
                        return account, entry
        return None
