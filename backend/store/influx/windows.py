"""How long each account's data is kept, as decided; kept on the server itself, so that every process knows."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from backend.ids import AccountId
from backend.store.influx import names, tiers
from backend.store.influx.client import Client
from backend.store.influx.queries import FIRST_US, LAST_US, Column, Delete, Select, Tags
from backend.store.influx.tiers import Decision, Kept
from backend.store.influx.times import microseconds, moment
from backend.store.protocol import DEFAULT_WINDOWS, DataClass

_TRUSTED: Final = timedelta(minutes=1)
"""How long another process's decision may be unknown here."""
_MOST: Final = 20_000


class Windows:
    """The decisions of all accounts. Those made here hold here at once, elsewhere within a minute."""

    def __init__(self, client: Client, prefix: str, clock: Callable[[], datetime]) -> None:
        self._client = client
        self._bucket = tiers.accounts_bucket(prefix)
        self._clock = clock
        self._known: dict[tuple[AccountId, DataClass], tuple[datetime, list[Decision]]] = {}

    async def of(self, account: AccountId, data_class: DataClass) -> Kept:
        """How a class of an account's data is kept now; without a decision, by the default."""
        now = self._clock()
        read_at, decisions = self._known.get((account, data_class), (None, []))
        if read_at is None or not timedelta(0) <= now - read_at < _TRUSTED:
            decisions = await self._read(account, data_class)
            self._remember(account, data_class, decisions)
        return tiers.kept(decisions or [_default(data_class)], now)

    async def settled(self, account: AccountId, data_class: DataClass) -> Kept:
        """The same, before a write: the default becomes a decision, so that a later default does not move the data."""
        kept = await self.of(account, data_class)
        if not self._known[account, data_class][1]:
            await self.decide(account, data_class, DEFAULT_WINDOWS[data_class])
        return kept

    async def accounts(self) -> list[AccountId]:
        """Every account that there is a decision about."""
        question = Select(
            account=names.ENGINE,
            measurement="known",
            columns=(Column("is"),),
            start_us=FIRST_US,
            end_us=LAST_US,
            by=("member",),
        )
        (tables,) = await self._client.select(self._bucket, question)
        return [AccountId(table.tags["member"]) for table in tables]

    async def decide(self, account: AccountId, data_class: DataClass, window: timedelta) -> None:
        """From now on. Raises `ValueError` for a window that no tier holds."""
        tiers.tier_days(window)
        before = await self._read(account, data_class)
        now = max([self._clock(), *(decision.since + timedelta(microseconds=1) for decision in before)])
        tags = f"account={names.account_tag(account)},data_class={data_class}"
        line = f"window,{tags} window_s={int(window.total_seconds())}i {microseconds(now)}"
        known = f"known,account={names.ENGINE},member={names.account_tag(account)} is=1i 0"
        await self._client.write(self._bucket, [known, line])
        self._known.pop((account, data_class), None)

    async def erase(self, account: AccountId) -> None:
        """Forget the account and all its decisions."""
        await self._client.delete(self._bucket, Delete(account=account))
        await self._client.delete(
            self._bucket, Delete(account=names.ENGINE, measurement="known", tags=(("member", account),))
        )
        for key in [key for key in self._known if key[0] == account]:
            del self._known[key]

    async def _read(self, account: AccountId, data_class: DataClass) -> list[Decision]:
        question = Select(
            account=account,
            measurement="window",
            columns=(Column("window_s"),),
            start_us=FIRST_US,
            end_us=LAST_US,
            tags=Tags((("data_class", (data_class,)),)),
        )
        ((*tables,),) = await self._client.select(self._bucket, question)
        rows = [row for table in tables for row in table.rows]
        return [Decision(since=moment(at), window=timedelta(seconds=window_s)) for at, window_s in sorted(rows)]

    def _remember(self, account: AccountId, data_class: DataClass, decisions: list[Decision]) -> None:
        if len(self._known) >= _MOST:
            self._known.clear()
        self._known[account, data_class] = (self._clock(), decisions)


def _default(data_class: DataClass) -> Decision:
    return Decision(since=moment(0), window=DEFAULT_WINDOWS[data_class])
