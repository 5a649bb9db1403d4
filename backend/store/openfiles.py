"""Which accounts' files are open: a bounded number, the least recently used closed first.

For worker threads. A file is never closed under somebody who uses it: when more accounts are in use than
may be open, more are open, until they are not. A thread that uses a file must not ask for another one.
"""

from __future__ import annotations

import re
import shutil
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import duckdb
import structlog

from backend.durable import destroy
from backend.ids import AccountId
from backend.store.hot import HotFile
from backend.store.instance import Instance
from backend.store.keys import Keys

_SAFE: Final = re.compile(r"[a-z0-9_-]{1,64}")
"""An account id becomes a folder's name: nothing that could leave the folder, or fold two names into one."""
_HARMLESS: Final = (duckdb.OutOfMemoryException, duckdb.ConstraintException, duckdb.ConversionException)
"""Errors after which DuckDB is as good as before."""

log = structlog.get_logger()


@dataclass(slots=True, eq=False)
class _Entry:
    file: HotFile | None = None
    users: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)  # held while opening and closing


class OpenFiles:
    """The files under one folder, opened when needed."""

    def __init__(self, folder: Path, keys: Keys, *, most: int, memory_mb: int) -> None:
        self._folder = folder
        self._keys = keys
        self._most = most
        self._memory_mb = memory_mb
        self._entries: OrderedDict[AccountId, _Entry] = OrderedDict()
        self._instance: Instance | None = None
        self._is_broken = False
        self._users = 0
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)

    def accounts(self) -> list[AccountId]:
        """All that something was stored of."""
        return sorted(AccountId(path.parent.name) for path in self._folder.glob("*/key"))

    def check(self, account: AccountId) -> None:
        """Raise `ValueError` for what is no account id."""
        self._home(account)

    @contextmanager
    def existing(self, account: AccountId) -> Iterator[HotFile | None]:
        """The account's file for reading; None when nothing was ever stored. Raises `ValueError` for no account id."""
        if (self._home(account) / "key").exists():
            with self.made(account) as file:
                yield file
        else:
            yield None

    @contextmanager
    def made(self, account: AccountId) -> Iterator[HotFile]:
        """The account's file, made if need be. Raises `ValueError` for what is no account id."""
        home = self._home(account)
        entry, instance = self._enter(account)
        try:
            with entry.lock:
                if entry.file is None:
                    entry.file = HotFile.open(instance, account, home, self._keys)
                file = entry.file
            yield file
        except duckdb.Error as error:
            if not isinstance(error, _HARMLESS):
                self._mark_broken(error)
            raise
        finally:
            self._leave(account, entry)
            self._shrink(self._most)

    def remove(self, account: AccountId) -> None:
        """Destroy the account's key, then its files, when nobody uses them any more."""
        home = self._home(account)
        destroy(home / "key")
        with self._changed:
            self._changed.wait_for(lambda: account not in self._entries or self._entries[account].users == 0)
            entry = self._entries.pop(account, None)
            if entry is not None and entry.file is not None:
                entry.file.close()
        shutil.rmtree(home, ignore_errors=True)

    def close(self) -> None:
        """Close all; nobody may be using them."""
        self._shrink(0)
        with self._lock:
            self._drop_instance()

    def _home(self, account: AccountId) -> Path:
        if not _SAFE.fullmatch(account):
            raise ValueError("this is no account id")
        return self._folder / account

    def _enter(self, account: AccountId) -> tuple[_Entry, Instance]:
        with self._changed:
            # Errors such as a full disk leave the open DuckDB unusable: when the last user is gone, open it anew.
            self._changed.wait_for(lambda: not self._is_broken or self._users == 0)
            if self._is_broken:
                self._drop_instance()
            if self._instance is None:
                self._instance = Instance(self._folder / ".spill", memory_mb=self._memory_mb)
            entry = self._entries.setdefault(account, _Entry())
            entry.users += 1
            self._users += 1
            self._entries.move_to_end(account)
            return entry, self._instance

    def _leave(self, account: AccountId, entry: _Entry) -> None:
        with self._changed:
            entry.users -= 1
            self._users -= 1
            if entry.users == 0 and entry.file is None and self._entries.get(account) is entry:
                del self._entries[account]
            self._changed.notify_all()

    def _mark_broken(self, error: duckdb.Error) -> None:
        with self._changed:
            if not self._is_broken:
                log.warning("store.reopening", error=type(error).__name__, reason=str(error))
            self._is_broken = True

    def _drop_instance(self) -> None:
        self._entries.clear()
        if self._instance is not None:
            self._instance.close()
        self._instance = None
        self._is_broken = False

    def _shrink(self, most: int) -> None:
        while (idle := self._take_idle(most)) is not None:
            account, entry = idle
            try:
                with entry.lock:
                    if entry.file is not None and entry.users == 1:
                        entry.file.close()
                        entry.file = None
            finally:
                self._leave(account, entry)

    def _take_idle(self, most: int) -> tuple[AccountId, _Entry] | None:
        """The least recently used that nobody uses, now used by us; None when few enough are open."""
        with self._lock:
            if len(self._entries) > most and not self._is_broken:
                for account, entry in self._entries.items():
                    if entry.users == 0:
                        entry.users = 1
                        self._users += 1
                        return account, entry
        return None
