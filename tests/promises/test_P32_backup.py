"""P32: an old backup of the registry shows nothing of who was erased, to whoever has the seal keys, of now or then."""

from __future__ import annotations

import asyncio
import re
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from backend.__main__ import main
from backend.config import Misconfigured
from backend.registry.account_keys import AccountKeys
from backend.registry.sealing import KeySource, NoKey
from tests.promises.deployed import Customer, Service

ANY_PURPOSE = ("email", "phone", "contact", "webhook", "totp", "challenge", "feedback", "feedback text", "request")


def backed_up(service: Service, name: str) -> Path:
    """The registry and the seal keys, as an operator copies them: not the folder of accounts' keys."""
    folder = service.folder / name
    folder.mkdir()
    data = service.folder / "data"
    with closing(sqlite3.connect(data / "registry.db")) as live, closing(sqlite3.connect(folder / "registry.db")) as to:
        live.backup(to)
    shutil.copy(data / "registry.db.keys", folder / "keys")
    return folder


def values(file: Path) -> Iterator[str]:
    """Every value of every table."""
    with closing(sqlite3.connect(file)) as registry:
        for (table,) in registry.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            for row in registry.execute(f'SELECT * FROM "{table}"'):
                yield from (value for value in row if isinstance(value, str))


def opened(service: Service, backup: Path, seal_keys: Path, of: Customer) -> tuple[int, set[str]]:
    """How many sealed values of the account the backup has, and what they say to who has these keys."""
    accounts = AccountKeys(service.folder / "data" / "account-keys", KeySource.of_file(seal_keys))
    services = KeySource.of_file(seal_keys).keys
    sealed = [one for one in values(backup / "registry.db") if re.match(rf"({of.account}\.)?v1\.\d+\.", one)]
    found = set()
    for one in sealed:
        for purpose in ANY_PURPOSE:
            try:
                found.add(services.open(one, purpose) if one.startswith("v1.") else accounts.open(one, purpose))
            except NoKey:
                continue
    return len(sealed), found


async def test_a_backup_from_before_cannot_be_read_with_todays_keys_nor_with_those_of_its_time(
    service: Service,
) -> None:
    gone, stays = await service.customer("North"), await service.customer("South")
    for one in (gone, stays):
        await service.done("/v1/feedback", one.session, text="It hums", contact=f"me@{one.account}.example")
        await service.done("/v1/contacts", one.session, channel="webhook", address="https://on-call.example/x")
        await service.done("/v1/requests", one.session, kind="access", details="all of it, for my files")
    backup = backed_up(service, "backup")
    keys = service.folder / "data" / "registry.db.keys"

    for one in (gone, stays):  # the backup is good
        count, told = opened(service, backup, keys, one)
        assert count >= 6
        assert {one.email, "+14155550123", "It hums", f"me@{one.account}.example"} <= told
        assert {"https://on-call.example/x", "all of it, for my files"} <= told
    name = (await service.seen("/v1/account/cancel", gone.session))["name"]
    await service.done("/v1/account/cancel", gone.session, name=name)

    assert not list((service.folder / "data").rglob(f"*{gone.account}*"))
    assert opened(service, backup, keys, gone)[1] == set()
    assert stays.email in opened(service, backup, backup / "keys", stays)[1]
    plain = b"".join(file.read_bytes() for file in backup.iterdir())
    assert gone.email.encode() not in plain

    await service.stop()
    rotated = await asyncio.to_thread(CliRunner().invoke, main, ["seal", "rotate", "--config", str(service.config)])
    assert rotated.exit_code == 0, rotated.output
    for seal_keys in (keys, backup / "keys"):
        count, told = opened(service, backup, seal_keys, gone)
        assert (count >= 6, told) == (True, set())
    await service.start()  # and who stays notices nothing
    assert stays.email in str(await service.seen("/v1/members", stays.session))


async def test_a_service_whose_backup_lacks_accounts_keys_says_so_instead_of_failing_later(service: Service) -> None:
    customer = await service.customer("North")
    await service.stop()
    keys = service.folder / "data" / "account-keys"
    keys.rename(service.folder / "elsewhere")
    with pytest.raises(Misconfigured, match=f"1 accounts .{customer.account}.*seal.accounts_dir"):
        await service.start()
    service._task = None
    (service.folder / "elsewhere").rename(keys)
    await service.start()
    assert (await service.get("/v1/members", customer.session)).status == 200
