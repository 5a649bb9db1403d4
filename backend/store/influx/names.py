"""Names as tag values: the only way from an id to text that the server reads.

What comes out has only letters, digits and `_ . - ~ %`. None of these means anything in line protocol, InfluxQL or a
delete predicate, so no name can end its quotes, its line or its place, whatever somebody called a site.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final
from urllib.parse import quote, unquote

from backend.ids import AccountId

ENGINE: Final = AccountId("~engine")
"""What belongs to no account is kept under this; no account can have the name."""

_ACCOUNT: Final = re.compile(r"[a-z0-9_-]{1,64}")


def check(account: AccountId) -> None:
    """Raise `ValueError` for what is no account id."""
    if not _ACCOUNT.fullmatch(account):
        raise ValueError("this is no account id")


def account_tag(account: AccountId) -> str:
    """The tag value of an account. Raises `ValueError` for what is no account id."""
    if account != ENGINE:
        check(account)
    return account


@lru_cache(maxsize=65_536)
def tag(name: str) -> str:
    """A name as a tag value; different names stay different. Raises `ValueError` for an empty one.

    An empty tag is none to the server: a condition on it would match what has no such tag at all.
    """
    if not name:
        raise ValueError("a name is not empty")
    return quote(name, safe="", errors="surrogatepass")


def text(value: str) -> str:
    """The value of a string field in line protocol."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def name(value: str) -> str:
    """The name behind a tag value."""
    return unquote(value, errors="surrogatepass")
