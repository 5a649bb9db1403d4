"""An archive into an instance that does not have its account: new ids, the same answers.

What is taken: account, members, sites, readings, warnings, rules' numbers, silences, paused machines, windows,
restrictions. What is not: consents and shares (they were given to who ran the other service), log-ins and tokens
(secrets are in no archive), messages, the audit log. Warnings that fire end with the move: no reading will end them.

Ids follow from the archive's under this instance's key. Whoever is killed while importing runs it again: readings go in
once, and the registry's rows, in one transaction, last.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import JSON, Boolean, Float, Integer, String, Table, insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from backend.accounts.passwords import Passwords
from backend.ids import AccountId
from backend.privacy import audit
from backend.privacy.unpacking import Archive, BadArchive
from backend.registry import contacts, names, sites
from backend.registry.account_keys import AccountKeys
from backend.registry.account_tables import Account
from backend.registry.base import Base, UtcDateTime
from backend.registry.database import Database
from backend.registry.errors import Taken
from backend.registry.login_tables import Login
from backend.registry.members import email_address, phone_number
from backend.registry.privacy_tables import Receipt
from backend.registry.sealed import Sealed, account_keys_in, keys_in, of
from backend.registry.sealing import Keys
from backend.store.protocol import Store
from backend.warnings.severity import Severity

_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"
_MOST_ROWS: Final = 5_000_000

_TAKEN: Final = (
    "members", "sites", "contacts", "warnings", "rule_overrides", "silences", "paused_machines", "retention_windows",
    "declared_machines", "restrictions",
)  # fmt: skip
"""Tables beside the account's own, in an order in which what is referred to comes first."""
_PRIVATE: Final = ("email_index", "address_index", "secret", "lan_url")
"""Columns that are not believed: they are made anew, or are links that members would follow."""
_CHANNELS: Final = ("email", "sms", "webhook")
_DIGESTS: Final = ("none", "daily", "weekly")
_MOST_LISTED: Final = 20_000
_ROLES: Final = ("owner", "manager", "operator", "viewer")


@dataclass(frozen=True, slots=True)
class Imported:
    """What came in."""

    account: AccountId
    name: str
    readings: int
    rows: Mapping[str, int]


class Ids:
    """Old id → new id; the same for the same archive, and not to be guessed."""

    def __init__(self, keys: Keys, export: str, number: int) -> None:
        self._keys = keys
        self._of = f"{export}:{number}"

    def new(self, old: str) -> str:
        """Of the same kind."""
        prefix, _, _ = old.partition("_")
        digest = bytes.fromhex(self._keys.macs(b"import", f"{self._of}:{old}")[0])
        return f"{prefix}_" + "".join(_ALPHABET[byte % 32] for byte in digest[:16])


async def import_archive(
    database: Database, store: Store, archive: Archive, *, name: str | None, region: str, verified: bool, now: datetime
) -> Imported:
    """All of it. `verified`: whoever imports vouches for the contacts. Raises `BadArchive`, `Taken` or `Invalid`."""
    async with database.read() as session:
        ids = await _free_ids(session, archive)
        [account] = [*_first(archive.rows("accounts"))]
        wanted = names.name(name if name is not None else str(account.get("name", "")))
        account_id = AccountId(ids.new(archive.manifest.account))
        await _refuse_taken(session, account_id, wanted)
    sites = {_text(row, "id"): ids.new(_text(row, "id")) for row in archive.rows("sites")}
    readings = 0
    for data_class, days in archive.manifest.windows_days.items():
        await store.set_window(account_id, data_class, timedelta(days=min(max(days, 1), 3_650)))
    parts = archive.readings(sites)
    while (part := await asyncio.to_thread(next, parts, None)) is not None:
        try:
            readings += await store.import_(account_id, [part])
        except ValueError as error:
            raise BadArchive(str(error)) from error
    async with database.begin() as session:
        await _refuse_taken(session, account_id, wanted)
        rows = await _rows(session, archive, ids, account_id, wanted, region, verified=verified, now=now)
        await audit.record(
            session,
            actor="command",
            action="account.imported",
            account=account_id,
            subject=archive.manifest.export,
            now=now,
        )
    return Imported(account_id, wanted, readings, rows)


async def _free_ids(session: AsyncSession, archive: Archive) -> Ids:
    """Ids that no erased account had: who imports again what was erased here starts anew."""
    for number in range(1_000):
        ids = Ids(keys_in(session), archive.manifest.export, number)
        receipt = select(Receipt.id).where(Receipt.account_id == ids.new(archive.manifest.account))
        if await session.scalar(receipt.limit(1)) is None:
            return ids
    raise Taken("this archive was imported and erased too often")


async def _refuse_taken(session: AsyncSession, account: AccountId, name: str) -> None:
    if await session.get(Account, account) is not None:
        raise Taken(f"this archive was imported already: {account}")
    if await session.scalar(select(Account.id).where(Account.name == name)) is not None:
        raise Taken(f"there is an account named {name} already: choose another with --name")


async def _rows(
    session: AsyncSession,
    archive: Archive,
    ids: Ids,
    account: AccountId,
    name: str,
    region: str,
    *,
    verified: bool,
    now: datetime,
) -> dict[str, int]:
    session.add(Account(id=account, name=name, region=region, created_at=now, activated_at=now))
    await session.flush()
    known = {archive.manifest.account: str(account)}
    counts: dict[str, int] = {}
    for table in (Base.metadata.tables[each] for each in _TAKEN):
        rows = []
        for row in archive.rows(table.name):
            value = _converted(table, row, ids, known)
            value = _adapted(table.name, value, account_keys_in(session), archive.manifest.made_at, verified=verified)
            rows.append(_sealed(table, value, account))
            if len(rows) > _MOST_ROWS:
                raise BadArchive(f"{table.name}: more than {_MOST_ROWS} rows")
        if rows:
            await (await session.connection()).execute(insert(table), rows)
        counts[table.name] = len(rows)
        if table.name == "members":
            await _logins(session, account, rows, ids, now)
    return counts


def _converted(table: Table, row: dict[str, Any], ids: Ids, known: dict[str, str]) -> dict[str, Any]:
    """A row with the columns' types and our ids. Raises `BadArchive`."""
    made: dict[str, Any] = {}
    for column in table.columns:
        raw = row.get(column.name) if column.name not in _PRIVATE else None
        if column.foreign_keys or (column.name == "site_id" and raw):
            if raw is not None and raw not in known:
                raise BadArchive(f"{table.name}: {column.name} refers to nothing in this archive")
            raw = known[raw] if raw is not None else None
        elif column.name == "id":
            raw = known.setdefault(_text(row, "id"), ids.new(_text(row, "id")))
        if raw is None and not column.nullable and column.name not in _PRIVATE:
            raise BadArchive(f"{table.name}: {column.name} is missing")
        if column.name == "sites" and isinstance(raw, list):
            raw = [known[each] for each in raw if each in known]
        made[column.name] = _value(table.name, column.name, column.type, raw)
    return made


def _value(table: str, name: str, kind: Any, raw: Any) -> Any:
    """What a column can hold. Raises `BadArchive`."""
    is_fine = True
    if raw is None:
        return None
    if isinstance(kind, UtcDateTime):
        try:
            moment = datetime.fromisoformat(raw)
        except (TypeError, ValueError) as error:
            raise BadArchive(f"{table}: {name} is no time") from error
        if moment.tzinfo is None:
            raise BadArchive(f"{table}: {name} is a time without a zone")
        return moment
    if isinstance(kind, Boolean):
        is_fine = isinstance(raw, bool)
    elif isinstance(kind, Integer):
        is_fine = isinstance(raw, int) and not isinstance(raw, bool) and abs(raw) < 2**31
    elif isinstance(kind, Float):
        is_fine = isinstance(raw, int | float) and not isinstance(raw, bool)
    elif isinstance(kind, JSON) and isinstance(raw, list):
        is_fine = len(raw) <= _MOST_LISTED and all(isinstance(each, str) and len(each) <= 64 for each in raw)
    elif isinstance(kind, JSON):
        is_fine = isinstance(raw, dict) and all(isinstance(each, int | float) for each in raw.values())
    elif isinstance(kind, String):
        is_fine = isinstance(raw, str) and len(raw) <= (kind.length or 1_000_000) and "\0" not in raw
    if not is_fine:
        raise BadArchive(f"{table}: {name} cannot be so")
    return raw


def _adapted(
    table: str, row: dict[str, Any], keys: AccountKeys, made_at: datetime, *, verified: bool
) -> dict[str, Any]:
    """What the registry's own checks ask for. Raises `Invalid` or `BadArchive`."""
    if table == "members":
        row["email"] = email_address(_text(row, "email"))
        row["email_index"] = keys.index(row["account_id"], row["email"])
        row["phone"] = phone_number(row["phone"]) if row["phone"] is not None else None
        if row["role"] not in _ROLES:
            raise BadArchive("members: there is no such role")
        if not verified:
            row["email_verified_at"] = row["phone_verified_at"] = None
    elif table == "sites":
        row |= sites.checked({name: row[name] for name in ("name", "time_zone", "tariff_per_kwh", "currency")})
    elif table == "warnings" and row["resolved_at"] is None:
        row["resolved_at"], row["resolution"] = made_at, "moved"
    elif table == "contacts":
        _adapt_contact(row, keys, verified=verified)
    return row


def _adapt_contact(row: dict[str, Any], keys: AccountKeys, *, verified: bool) -> None:
    """Raises `Invalid` or `BadArchive`."""
    is_known = row["channel"] in _CHANNELS and row["digests"] in _DIGESTS and row["severity"] in {*Severity, "none"}
    if not is_known or not isinstance(row["sites"], list):
        raise BadArchive("contacts: there is no such channel, digest or severity")
    contacts.checked_preferences({name: row[name] for name in ("time_zone", "quiet_from", "quiet_to")})
    if row["address"] is not None:
        checks = {"email": email_address, "sms": phone_number, "webhook": contacts.webhook_url}
        row["address"] = checks[row["channel"]](row["address"])
        row["address_index"] = keys.index(row["account_id"], row["address"])
    row["secret"] = secrets.token_urlsafe(32) if row["channel"] == "webhook" else None
    if not verified:
        row["verified_at"] = None


def _sealed(table: Table, row: dict[str, Any], account: AccountId) -> dict[str, Any]:
    """What is sealed in the table is the account's."""
    columns = [column.name for column in table.columns if isinstance(column.type, Sealed)]
    return row | {name: of(account, row[name]) for name in columns if row[name] is not None}


async def _logins(
    session: AsyncSession, account: AccountId, members: list[dict[str, Any]], ids: Ids, now: datetime
) -> None:
    """Each member can set a password by mail; until then nothing opens their log-in."""
    keys = keys_in(session)
    indexes = [keys.index(row["email"]) for row in members]
    taken = await session.scalar(select(Login.id).where(Login.email_index.in_(indexes)).limit(1))
    if taken is not None or len(set(indexes)) < len(indexes):
        raise Taken("an address of a member has a log-in here already: remove it there, or correct it before exporting")
    nobodys = await Passwords().hash(secrets.token_urlsafe(32))
    for row in members:
        session.add(
            Login(
                id=ids.new(f"log_{row['id']}"),
                account_id=account,
                member_id=row["id"],
                email_index=keys.index(row["email"]),
                password_hash=nobodys,
                created_at=now,
                changed_at=now,
                totp_step=0,
            )
        )
    await session.flush()


def _first(rows: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    found = next(rows, None)
    if found is None:
        raise BadArchive("there is no account in it")
    yield found


def _text(row: Mapping[str, Any], name: str) -> str:
    value = row.get(name)
    if not isinstance(value, str) or not 1 <= len(value) <= 300:
        raise BadArchive(f"{name} is no text")
    return value
