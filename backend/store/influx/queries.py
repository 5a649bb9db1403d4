"""Everything that is ever asked of the server, or deleted from it: objects that cannot be without an account.

The client takes these and no text. Names become tag values in `names`, which no quote or operator survives; fields
and functions are our own words, and are checked to be words. InfluxQL stays inside what 1.6, 2.x and 3.x share:
`=`, `AND`, a bracket of `OR`s over one tag, both ends of the time always given.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, Literal, get_args

from agent.wire import MachineId
from backend.ids import AccountId, SiteId
from backend.store.influx import names
from backend.store.influx.schema import Measurement

Function = Literal["mean", "min", "max", "sum", "last", "first", "count"]
Tag = Literal["board", "data_class", "digest", "group", "machine", "member", "site", "slot"]

FIRST_US: Final = 0
LAST_US: Final = 2**63 // 1000 - 1
"""The times that are ever stored; the server's own end in 2262."""

_WORD: Final = re.compile(r"[a-z][a-z0-9_]*")
_FUNCTIONS: Final = get_args(Function)
_MEASUREMENTS: Final = get_args(Measurement)
_TAGS: Final = get_args(Tag)


@dataclass(frozen=True, slots=True)
class Column:
    """A field, or what is made of it."""

    name: str
    function: Function | None = None

    def text(self) -> str:
        """As InfluxQL."""
        quoted = f'"{_word(self.name)}"'
        return quoted if self.function is None else f"{_one_of(self.function, _FUNCTIONS)}({quoted})"


@dataclass(frozen=True, slots=True)
class Tags:
    """Conditions on tags, by names: a tag may have one of several. None of them: no condition."""

    of: tuple[tuple[Tag, tuple[str, ...]], ...] = ()

    @classmethod
    def where(cls, *, site: SiteId | None = None, machines: Iterable[MachineId] = ()) -> Tags:
        """Of one site and of some machines; without them, of all."""
        conditions: list[tuple[Tag, tuple[str, ...]]] = []
        if site is not None:
            conditions.append(("site", (site,)))
        if values := tuple(machines):
            conditions.append(("machine", values))
        return cls(tuple(conditions))


@dataclass(frozen=True, slots=True, kw_only=True)
class Select:
    """Points of one account in one measurement, `start_us` ≤ time < `end_us`, oldest first in each group."""

    account: AccountId
    measurement: Measurement
    columns: tuple[Column, ...]
    start_us: int
    end_us: int
    tags: Tags = field(default_factory=Tags)
    fields: tuple[tuple[str, str], ...] = ()  # string fields that have to have a value
    by: tuple[Tag, ...] = ()
    step_us: int | None = None  # one row a step, on the grid of whole steps since 1970
    newest: int | None = None  # only so many of each group, newest first
    most: int | None = None  # only so many of each group, oldest first

    def __post_init__(self) -> None:
        names.account_tag(self.account)
        if not self.columns:
            raise ValueError("a question is about something")

    def text(self) -> str:
        """As InfluxQL."""
        columns = ", ".join(f'{column.text()} AS "c{number}"' for number, column in enumerate(self.columns))
        groups = [f'"{_one_of(tag, _TAGS)}"' for tag in self.by]
        if self.step_us is not None:
            groups.append(f"time({int(self.step_us)}u)")
        text = f'SELECT {columns} FROM "{_one_of(self.measurement, _MEASUREMENTS)}" WHERE {self._where()}'  # noqa: S608 - checked words
        if groups:
            text += f" GROUP BY {', '.join(groups)}"
        if self.step_us is not None:
            text += " fill(none)"
        if self.newest is not None:
            text += f" ORDER BY time DESC LIMIT {int(self.newest)}"
        elif self.most is not None:
            text += f" LIMIT {int(self.most)}"
        return text

    def _where(self) -> str:
        conditions = [f"\"account\" = '{names.account_tag(self.account)}'"]
        for tag, values in self.tags.of:
            alternatives = [f"\"{_one_of(tag, _TAGS)}\" = '{names.tag(value)}'" for value in values]
            conditions.append(alternatives[0] if len(alternatives) == 1 else f"({' OR '.join(alternatives)})")
        conditions += [f"\"{_word(name)}\" = '{names.tag(value)}'" for name, value in self.fields]
        conditions.append(_between(self.start_us, self.end_us))
        return " AND ".join(conditions)


@dataclass(frozen=True, slots=True, kw_only=True)
class Across:
    """One value a step over the groups (machines) of a question with one column."""

    inner: Select
    function: Function

    def text(self) -> str:
        """As InfluxQL; the time stands inside too, for 3.x does not carry it there."""
        step_us = self.inner.step_us
        if step_us is None or len(self.inner.columns) != 1:
            raise ValueError("a total is over the steps of one column")
        return (
            f'SELECT {_one_of(self.function, _FUNCTIONS)}("c0") AS "c0" FROM ({self.inner.text()})'  # noqa: S608 - checked words
            f" WHERE {_between(self.inner.start_us, self.inner.end_us)} GROUP BY time({int(step_us)}u) fill(none)"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Delete:
    """Points of one account, `start_us` ≤ time < `end_us`; without a measurement, of all of them."""

    account: AccountId
    measurement: Measurement | None = None
    start_us: int = FIRST_US
    end_us: int = LAST_US
    tags: tuple[tuple[Tag, str], ...] = ()

    def __post_init__(self) -> None:
        names.account_tag(self.account)

    def predicate(self) -> str:
        """As the delete predicate of 2.x: `=` and `AND` only."""
        conditions = [f'account="{names.account_tag(self.account)}"']
        if self.measurement is not None:
            conditions.insert(0, f'_measurement="{_one_of(self.measurement, _MEASUREMENTS)}"')
        conditions += [f'{_one_of(tag, _TAGS)}="{names.tag(value)}"' for tag, value in self.tags]
        return " AND ".join(conditions)


Question = Select | Across


def _between(start_us: int, end_us: int) -> str:
    return f"time >= {_ns(start_us)} AND time < {_ns(end_us)}"


def _ns(time_us: int) -> int:
    return min(max(int(time_us), FIRST_US), LAST_US) * 1000


def _word(name: str) -> str:
    if not _WORD.fullmatch(name):
        raise ValueError("this is no name of a field")
    return name


def _one_of(value: str, values: tuple[str, ...]) -> str:
    if value not in values:
        raise ValueError(f"there is no {value!r} here")
    return value
