"""Archives there and back: what is left out, what is refused, what a crash leaves."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from agent.wire import Aggregate
from backend.ids import AccountId, SiteId
from backend.privacy import archive, erasing
from backend.privacy.importing import import_archive
from backend.privacy.unpacking import Archive, BadArchive
from backend.registry import accounts, members, sites
from backend.registry.account_tables import Account, Member
from backend.registry.database import Database
from backend.registry.errors import Invalid, RegistryError, Taken
from backend.registry.warning_tables import Silence, Warning
from backend.store.embedded import EmbeddedStore
from tests.backend.readings import NOW, at, batch, full_reading, machine

EXPORT = "exp_0000000000000000"
LATER = NOW + timedelta(days=1)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[EmbeddedStore]:
    made = EmbeddedStore(tmp_path / "accounts", clock=lambda: LATER)
    yield made
    await made.close()


@pytest.fixture
async def exported(database: Database, store: EmbeddedStore, tmp_path: Path) -> Path:
    """The archive of an account that is gone since: what comes back comes from the archive."""
    async with database.begin() as session:
        account = AccountId((await accounts.add(session, "North", region="eu", now=NOW)).id)
        site = SiteId((await sites.add(session, account, "Hall", now=NOW)).id)
        await members.add(session, account, email="owner@north.example", verified=True, now=NOW)
        session.add_all((
            Warning(id="wrn_0000000000000001", account_id=account, site_id=site, machine=machine(1), rule="chip_hot",
                    severity="critical", since=NOW, started_at=NOW),
            Silence(id="sil_0000000000000001", account_id=account, site_id=site, starts_at=NOW, ends_at=LATER),
        ))  # fmt: skip
    await store.write(account, batch([full_reading(n, at(m)) for n in (1, 2) for m in range(3)], site=site), now=NOW)
    total = Aggregate(time=at(-60), machines=5, hashing=5, idle=0, paused=0, unreachable=0, fault=0)
    await store.write(account, batch(aggregates=(total,), site=site), now=NOW)
    file = tmp_path / "export.zip"
    with file.open("wb") as sink:
        await archive.write(sink, database, store, account, export=EXPORT, format="parquet", now=LATER)
    await erasing.cancel(database, store, account, erased_file=tmp_path / "erased.accounts", actor="mem_x", now=LATER)
    return file


async def test_what_fires_ends_with_the_move_and_contacts_are_not_believed(
    database: Database, store: EmbeddedStore, exported: Path
) -> None:
    with Archive(exported) as found:
        made = await import_archive(database, store, found, name=None, region="eu", verified=False, now=LATER)
    assert made.readings == 7  # and a total
    [told] = await store.told(made.account, start=at(-61), end=NOW)
    assert told.total.machines == 5
    async with database.read() as session:
        member = (await session.scalars(select(Member).where(Member.account_id == made.account))).one()
        warning = (await session.scalars(select(Warning).where(Warning.account_id == made.account))).one()
        silence = (await session.scalars(select(Silence).where(Silence.account_id == made.account))).one()
        site = (await sites.listed(session, made.account))[0]
    assert (member.email, member.email_verified_at) == ("owner@north.example", None)
    assert (warning.resolution, warning.resolved_at, warning.site_id) == ("moved", LATER, site.id)
    assert (silence.site_id, silence.ends_at) == (site.id, LATER)
    assert {each.site for each in await store.latest(made.account)} == {site.id}


async def test_who_is_killed_while_importing_runs_it_again_and_nothing_is_there_twice(
    database: Database, store: EmbeddedStore, exported: Path
) -> None:
    async with database.begin() as session:
        await accounts.add(session, "Blocker", region="eu", now=NOW)

    class Killed(EmbeddedStore):
        async def import_(self, account: AccountId, parts: object) -> int:
            await store.import_(account, parts)  # type: ignore[arg-type]
            raise KeyboardInterrupt

    with Archive(exported) as found, pytest.raises(KeyboardInterrupt):
        await import_archive(
            database, Killed(exported.parent / "other"), found, name=None, region="eu", verified=True, now=LATER
        )
    async with database.read() as session:
        assert [one.name for one in await accounts.listed(session)] == ["Blocker"]
    with Archive(exported) as found:
        made = await import_archive(database, store, found, name=None, region="eu", verified=True, now=LATER)
        with pytest.raises(Taken, match="imported already"):
            await import_archive(database, store, found, name="Again", region="eu", verified=True, now=LATER)
    points = [part async for part in store.export(made.account)]
    assert len(points) == 2
    assert len(await store.latest(made.account)) == 2


async def test_an_account_that_was_imported_and_cancelled_comes_back_as_another(
    database: Database, store: EmbeddedStore, exported: Path
) -> None:
    seen = set()
    for _ in range(2):
        with Archive(exported) as found:
            made = await import_archive(database, store, found, name=None, region="eu", verified=True, now=LATER)
        seen.add(made.account)
        await erasing.cancel(
            database, store, made.account, erased_file=exported.parent / "erased.accounts", actor="mem_x", now=LATER
        )
    assert len(seen) == 2


def replaced(name: str, content: Callable[[bytes], bytes]) -> Callable[[Path, Path], None]:
    """The archive with one file changed."""

    def write(source: Path, target: Path) -> None:
        with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as new:
            for each in old.namelist():
                is_it = each == name or (name.endswith("/") and each.startswith(name))
                new.writestr(each, content(old.read(each)) if is_it else old.read(each))

    return write


def added(name: str, content: bytes) -> Callable[[Path, Path], None]:
    """The archive with one file more."""

    def write(source: Path, target: Path) -> None:
        replaced("", bytes)(source, target)
        with zipfile.ZipFile(target, "a") as more:
            more.writestr(name, content)

    return write


def member_with(**fields: object) -> Callable[[bytes], bytes]:
    return lambda line: json.dumps(json.loads(line) | fields).encode()


def no_zip(source: Path, target: Path) -> None:
    shutil.copyfile(source.parent / "registry.db", target)


HOSTILE: dict[str, tuple[str, Callable[[Path, Path], None]]] = {
    "a path": ("no export has", added("../../etc/cron.d/x", b"* * * * * root x")),
    "a name twice": ("in it twice", added("manifest.json", b"{}")),
    "a bomb": ("too large when unpacked", replaced("registry/feedback.jsonl", lambda _: b" " * 20_000_000)),
    "no ZIP": ("no ZIP", no_zip),
    "another format": ("is not one", replaced("manifest.json", lambda _: b'{"format": "x"}')),
    "a deep hole": ("cannot be read", replaced("registry/members.jsonl", lambda _: b'{"a":' * 100_000)),
    "no object": ("no object", replaced("registry/members.jsonl", lambda _: b"[]")),
    "no account": ("no account in it", replaced("registry/accounts.jsonl", lambda _: b"")),
    "a stranger's site": ("refers to nothing", replaced("registry/silences.jsonl", member_with(site_id="sit_other"))),
    "a header in an address": (
        "no e-mail address",
        replaced("registry/members.jsonl", member_with(email="a@b.example\r\nBcc: x@y.example")),
    ),
    "a channel of its own": ("no such channel", replaced("registry/contacts.jsonl", member_with(channel="pigeon"))),
    "a row of nobody's": (
        "account_id is missing",
        replaced(
            "registry/rule_overrides.jsonl",
            lambda _: (
                b'{"account_id": null, "rule": "chip_hot", "site_id": "", "model": "", "machine": "", '
                b'"numbers": {"warning": "hot"}, "changed_at": "2026-01-01T00:00:00+00:00"}'
            ),
        ),
    ),
    "a role of its own": ("no such role", replaced("registry/members.jsonl", member_with(role="admin"))),
    "a time that is none": ("is no time", replaced("registry/members.jsonl", member_with(created_at="soon"))),
    "a number as a text": ("cannot be so", replaced("registry/members.jsonl", member_with(language=7))),
    "no Parquet": ("no file of an export", replaced("readings/", lambda _: b"PAR1 and no more")),
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_hostile_archive_is_refused_and_leaves_no_account(
    database: Database, store: EmbeddedStore, exported: Path, name: str
) -> None:
    reason, write = HOSTILE[name]
    bad = exported.parent / "bad.zip"
    write(exported, bad)
    with pytest.raises((BadArchive, RegistryError), match=reason), Archive(bad) as found:
        await import_archive(database, store, found, name=None, region="eu", verified=True, now=LATER)
    async with database.read() as session:
        assert (await session.scalars(select(Account))).all() == []


async def test_an_address_that_somebody_here_logs_in_with_is_not_taken_over(
    database: Database, store: EmbeddedStore, exported: Path
) -> None:
    with Archive(exported) as found:
        await import_archive(database, store, found, name=None, region="eu", verified=True, now=LATER)
    again = exported.parent / "again.zip"
    other = json.dumps({"export": "exp_1111111111111111"}).encode()
    replaced("manifest.json", lambda old: json.dumps(json.loads(old) | json.loads(other)).encode())(exported, again)
    with Archive(again) as found:
        with pytest.raises(Taken, match="named North already"):
            await import_archive(database, store, found, name=None, region="eu", verified=True, now=LATER)
        with pytest.raises(Taken, match="log-in here already"):
            await import_archive(database, store, found, name="South", region="eu", verified=True, now=LATER)
        with pytest.raises(Invalid):
            await import_archive(database, store, found, name="\n", region="eu", verified=True, now=LATER)
