"""What a thief of the disk sees, and what is left of an account whose key is destroyed."""

from __future__ import annotations

import base64
import shutil
from pathlib import Path
from unittest.mock import patch

import duckdb
import pytest

from backend.durable import destroy
from backend.ids import AccountId
from backend.store.instance import EXTENSION, SETTINGS, Instance
from backend.store.keys import BadKey, Keys, made_or_loaded, parsed
from backend.store.protocol import Everything
from tests.backend.readings import NOW, SITE, at, batch, full_reading, machine
from tests.backend.store.opened import MASTER, opened

A = AccountId("acc_a")
B = AccountId("acc_b")


async def stored(folder: Path, *accounts: AccountId) -> None:
    """Two days of readings, one of them sealed, and a log that is not folded in."""
    store = opened(folder)
    for account in accounts:
        await store.write(account, batch([full_reading(1, at(-2 * 1440)), full_reading(1)]), now=NOW)
    await store.tend(now=NOW)
    for account in accounts:
        await store.write(account, batch([full_reading(2, at(1))]), now=NOW)
    shutil.copytree(folder, folder.with_name("stolen"))
    await store.close()


def files_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_the_extension_that_encrypts_is_loaded_for_its_signature(tmp_path: Path) -> None:
    with patch.dict(SETTINGS, {"allow_unsigned_extensions": False}):
        Instance(tmp_path, memory_mb=64).close()
        forged = tmp_path / "httpfs.duckdb_extension"
        forged.write_bytes(EXTENSION.read_bytes()[:-1] + b"x")
        with patch("backend.store.instance.EXTENSION", forged), pytest.raises(duckdb.Error, match="signature"):
            Instance(tmp_path, memory_mb=64)


async def test_no_byte_on_disk_tells_what_is_stored(tmp_path: Path) -> None:
    await stored(tmp_path / "a", A)
    files = files_in(tmp_path)
    kinds = {path.name.split("-")[0] for path in files}
    assert kinds >= {"hot.duckdb", "hot.duckdb.wal", "readings", "boards", "rollup_1h", "key"}
    for path in files:
        content = path.read_bytes()
        for word in (SITE, machine(1), "M50S++", "pool.example.com", "whatsminer", "hashrate_ths", "telemetry_raw"):
            assert word.encode() not in content, (path.name, word)


async def test_another_master_key_opens_nothing(tmp_path: Path) -> None:
    await stored(tmp_path / "a", A)
    store = opened(tmp_path / "a", master=bytes(32))
    with pytest.raises(BadKey, match="another master key"):
        await store.latest(A)
    await store.close()


async def test_the_key_of_one_account_does_not_open_another(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    await stored(folder, A, B)
    shutil.copy(folder / A / "key", folder / B / "key")
    store = opened(folder)
    with pytest.raises(BadKey, match="another master key"):
        await store.latest(B)
    assert len(await store.latest(A)) == 2
    await store.close()
    shutil.copytree(folder / A, folder / B, dirs_exist_ok=True)
    Keys(MASTER).make(folder / B / "key", B)
    store = opened(folder)
    with pytest.raises(duckdb.Error):
        await store.latest(B)
    await store.close()


async def test_without_its_key_an_account_is_not_begun_anew_by_accident(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    await stored(folder, A)
    destroy(folder / A / "key")
    destroy(folder / A / "key")
    store = opened(folder)
    with pytest.raises(BadKey, match="is gone"):
        await store.write(A, batch([full_reading(3)]), now=NOW)
    await store.close()


async def test_an_erased_account_leaves_no_file(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    await stored(folder, A, B)
    store = opened(folder)
    await store.latest(A)
    await store.erase(A, Everything())
    assert not (folder / A).exists()
    assert len(await store.latest(B)) == 2
    await store.close()


async def test_a_master_key_is_made_once_for_nobody_else_to_read(tmp_path: Path) -> None:
    path = tmp_path / "new" / "master.key"
    made = made_or_loaded(path)
    assert made_or_loaded(path) == made
    assert (len(made), path.stat().st_mode & 0o777) == (32, 0o600)


@pytest.mark.parametrize("text", ["", "too short", base64.b64encode(bytes(31)).decode(), "%" * 44])
def test_what_is_no_master_key_is_refused_without_quoting_it(text: str) -> None:
    with pytest.raises(BadKey, match="MASTER: not 32 bytes in base64") as refused:
        parsed(text, of="MASTER")
    assert not text or text not in str(refused.value)


def test_a_damaged_key_file_says_so(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"half")
    with pytest.raises(BadKey, match="is no account's key"):
        Keys(MASTER).load(tmp_path / "key", A)
