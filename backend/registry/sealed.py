"""Columns that are plain in Python and sealed in the database, each with the keys of the account that it is of.

What belongs to an account (its row has an `account_id`) is sealed with that account's keys, the rest (staff, a request
of somebody unknown) with the service's. The ORM's rows are told apart here as they are written; statements without the
ORM pass `of(account, value)`.
"""

from __future__ import annotations

from typing import Any, Final
from weakref import WeakKeyDictionary

from sqlalchemy import Dialect, String, Text, TypeDecorator, event, inspect
from sqlalchemy.engine import Connection
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapper
from sqlalchemy.types import TypeEngine

from backend.registry.account_keys import AccountKeys
from backend.registry.base import Base
from backend.registry.sealing import Keys, KeySource

LENGTH: Final = 512
"""Of a column that holds the longest address, sealed."""


class OfAccount(str):
    """A value, and the account whose it is."""

    __slots__ = ("account",)
    account: str


def of(account: str, value: str) -> OfAccount:
    """A value that is sealed with the account's keys."""
    made = OfAccount(value)
    made.account = account
    return made


class Sealed(TypeDecorator[str]):
    """A column that is plain in Python and sealed in the database. Equality in SQL never holds: use an index."""

    impl: TypeEngine[Any] | type[TypeEngine[Any]] = String
    cache_ok = True

    def __init__(self, purpose: str, *, is_long: bool = False) -> None:
        super().__init__()
        self.impl = Text() if is_long else String(LENGTH)
        self.purpose = purpose

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        if isinstance(value, OfAccount):
            return account_keys_of(dialect).seal(value.account, value, self.purpose)
        return None if value is None else keys_of(dialect).seal(value, self.purpose)

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        if value is None:
            return None
        is_services = value.startswith("v1.")
        return (keys_of(dialect) if is_services else account_keys_of(dialect)).open(value, self.purpose)


@event.listens_for(Base, "before_insert", propagate=True)
@event.listens_for(Base, "before_update", propagate=True)
def _say_whose(mapper: Mapper[Any], _connection: Connection, row: Any) -> None:
    """Each sealed value that is about to be written says whose it is."""
    account = getattr(row, "account_id", None)
    for attribute in mapper.column_attrs:
        if isinstance(attribute.columns[0].type, Sealed):
            for value in inspect(row).attrs[attribute.key].history.added or ():
                if value is not None:
                    setattr(row, attribute.key, str(value) if account is None else of(account, value))


_SERVICE: Final[WeakKeyDictionary[Dialect, KeySource]] = WeakKeyDictionary()
_ACCOUNTS: Final[WeakKeyDictionary[Dialect, AccountKeys]] = WeakKeyDictionary()
# SQLAlchemy hands a column's type the engine's dialect (each engine has one of its own) and nothing else of ours.


def give_keys(dialect: Dialect, service: KeySource, accounts: AccountKeys) -> None:
    """Let the columns of an engine use these keys."""
    _SERVICE[dialect] = service
    _ACCOUNTS[dialect] = accounts


def keys_of(dialect: Dialect) -> Keys:
    """The service's keys, of an engine. Raises `NoKey`."""
    return _SERVICE.get(dialect, KeySource.missing()).keys


def account_keys_of(dialect: Dialect) -> AccountKeys:
    """The accounts' keys, of an engine. What it does raises `NoKey` where there is no folder."""
    return _ACCOUNTS.get(dialect) or AccountKeys(None, KeySource.missing())


def keys_in(session: AsyncSession) -> Keys:
    """The service's keys, of a session's engine. Raises `NoKey`."""
    return keys_of(session.get_bind().dialect)


def account_keys_in(session: AsyncSession) -> AccountKeys:
    """The accounts' keys, of a session's engine."""
    return account_keys_of(session.get_bind().dialect)
