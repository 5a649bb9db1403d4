"""P32: cancelling erases an account for good; not even a backup of its files brings the readings back."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Sequence
from pathlib import Path

from backend.ids import AccountId
from backend.privacy import erasing
from backend.registry.account_tables import Account
from backend.store.embedded import EmbeddedStore
from backend.store.keys import BadKey
from backend.store.protocol import Latest
from tests.backend.readings import batch, reading
from tests.promises.deployed import Service


async def test_a_cancelled_account_is_gone_and_a_backup_of_its_files_is_of_no_use(service: Service) -> None:
    gone, stays = await service.customer("North"), await service.customer("South")
    for customer in (gone, stays):
        now = service.now()
        sent = batch([reading(1, now, hashrate_ths=98.4)], site=customer.site, sent_at=now)
        assert (await service.send(sent, customer.agent)).status == 200
    await service.stop()
    files = service.folder / "data" / "accounts"
    whole, backup = service.folder / "whole", service.folder / "backup"
    shutil.copytree(files, whole)
    shutil.copytree(files, backup, ignore=shutil.ignore_patterns("key"))  # as SECURITY.md says: without accounts' keys
    await service.start()

    told = await service.seen("/v1/account/cancel", gone.session)
    assert told["stays"]
    assert (await service.post("/v1/account/cancel", gone.session, name="another")).status == 422
    receipt = await service.done("/v1/account/cancel", gone.session, name=told["name"])
    assert receipt["removed"]["telemetry_raw"]["rows"] == 1

    for token in (gone.session, gone.read, gone.agent):
        assert (await service.get("/v1/machines", token)).status == 401
    registry = b"".join(file.read_bytes() for file in (service.folder / "data").glob("registry.db*"))
    assert gone.email.encode() not in registry
    assert (await service.seen("/v1/machines", stays.read))["machines"]

    again = await service.customer("North")
    assert again.account != gone.account
    assert (await service.seen("/v1/machines", again.read))["machines"] == []
    assert not list(files.rglob(f"*{gone.account}*"))
    assert len(await readings(whole, gone.account)) == 1  # the backup is good: it is the key that is missing
    assert list(whole.rglob("key"))
    assert not list(backup.rglob("key"))
    with contextlib.suppress(BadKey):
        assert await readings(backup, gone.account) == []
    plain = b"".join(file.read_bytes() for file in backup.rglob("*") if file.is_file())
    assert b"mnr-0000000000000001" not in plain


async def test_a_whole_backup_that_is_restored_brings_nothing_of_it_back(service: Service) -> None:
    gone, stays = await service.customer("North"), await service.customer("South")
    now = service.now()
    for customer in (gone, stays):
        sent = batch([reading(1, now, hashrate_ths=98.4)], site=customer.site, sent_at=now)
        assert (await service.send(sent, customer.agent)).status == 200
    data, backup = service.folder / "data", service.folder / "backup"
    await service.stop()
    shutil.copytree(data, backup)  # even with the accounts' keys: somebody was careless
    await service.start()
    name = (await service.seen("/v1/account/cancel", gone.session))["name"]
    await service.done("/v1/account/cancel", gone.session, name=name)
    await service.stop()
    erased = service.settings.erased_file.read_bytes()
    assert gone.account.encode() in erased
    shutil.rmtree(data)
    shutil.copytree(backup, data)
    service.settings.erased_file.write_bytes(erased)  # which is not in backups
    await service.start()

    for token in (gone.session, gone.read, gone.agent):
        assert (await service.get("/v1/machines", token)).status == 401
    assert (await service.seen("/v1/machines", stays.read))["machines"]
    assert not list((data / "accounts").rglob(f"*{gone.account}*"))
    async with service.database.read() as session:
        assert await session.get(Account, gone.account) is None
        [receipt] = await erasing.receipts(session, gone.account)
    assert receipt.removed["telemetry_raw"]["rows"] == 1
    await service.stop()
    await service.start()  # and once more it has nothing left to do
    async with service.database.read() as session:
        assert len(await erasing.receipts(session, gone.account)) == 1


async def readings(folder: Path, account: AccountId) -> Sequence[Latest]:
    """What can be read of an account in a folder."""
    store = EmbeddedStore(folder)
    try:
        return await store.latest(account)
    finally:
        await store.close()
