"""What is the embedded engine's own: files, their number, their damage."""

from __future__ import annotations

import asyncio
import stat
import subprocess
import sys
from pathlib import Path

import duckdb
import psutil
import pytest

from backend.ids import AccountId
from backend.store.keys import Keys
from tests.backend.readings import NOW, at, batch, full_reading, reading
from tests.backend.store.opened import MASTER, opened

A = AccountId("acc_a")


def open_accounts(folder: Path) -> set[str]:
    """The accounts whose file this process has open."""
    paths = [Path(file.path) for file in psutil.Process().open_files()]
    return {path.parent.name for path in paths if path.is_relative_to(folder) and path.name == "hot.duckdb"}


def modes(folder: Path) -> dict[str, int]:
    """The permissions of all that is in a folder, but of the log: DuckDB makes it anew as it likes."""
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.rglob("*") if path.suffix != ".wal"}


async def test_no_more_files_are_open_than_allowed_and_the_least_used_is_closed(tmp_path: Path) -> None:
    store = opened(tmp_path, open_accounts=3)
    accounts = [AccountId(f"acc_{number}") for number in range(6)]
    for account in accounts:
        await store.write(account, batch([reading()]), now=NOW)
        await store.latest(accounts[0])
    assert open_accounts(tmp_path) == {"acc_0", "acc_4", "acc_5"}
    assert [len(await store.latest(account)) for account in accounts] == [1] * 6
    await store.close()
    assert open_accounts(tmp_path) == set()


async def test_an_open_account_takes_little_memory_and_a_closed_one_little_disk(tmp_path: Path) -> None:
    store, accounts = opened(tmp_path), [AccountId(f"acc_{number}") for number in range(6)]
    for minute in range(2):
        for account in accounts:
            await store.write(account, batch([full_reading(number, at(minute)) for number in range(20)]), now=NOW)
    with store.file(A) as file, file.reading() as cursor:
        [(held,)] = cursor.execute("SELECT sum(memory_usage_bytes)::BIGINT FROM duckdb_memory()").fetchall()
    assert held / len(accounts) < 3_000_000
    await store.close()
    assert (tmp_path / accounts[0] / "hot.duckdb").stat().st_size < 1_000_000


async def test_many_accounts_at_once_share_few_files(tmp_path: Path) -> None:
    store = opened(tmp_path, open_accounts=2)
    accounts = [AccountId(f"acc_{number}") for number in range(8)]
    sent = [(account, batch([reading(time=at(n))])) for n in range(5) for account in accounts]
    assert all(await asyncio.gather(*(store.write(account, one, now=NOW) for account, one in sent)))
    found = await asyncio.gather(*(store.latest(account) for account in accounts))
    assert [one[0].reading.time for one in found] == [at(4)] * 8
    assert len(open_accounts(tmp_path)) <= 2
    await store.close()


async def test_asking_about_an_account_makes_no_file(tmp_path: Path) -> None:
    store = opened(tmp_path)
    assert await store.latest(A) == []
    assert modes(tmp_path) == {}
    await store.close()


async def test_files_are_for_nobody_else_to_read(tmp_path: Path) -> None:
    store = opened(tmp_path / "accounts")
    await store.write(A, batch([reading()]), now=NOW)
    wanted = {"accounts": 0o700, "acc_a": 0o700, "sealed": 0o700, "hot.duckdb": 0o600, "key": 0o600}
    assert modes(tmp_path) == wanted
    await store.close()


async def test_a_write_whose_request_is_cancelled_is_whole_or_not_there(tmp_path: Path) -> None:
    store = opened(tmp_path)
    sent = batch([full_reading(number) for number in range(50)])
    await store.write(A, batch(), now=NOW)
    writing = asyncio.create_task(store.write(A, sent, now=NOW))
    await asyncio.sleep(0.001)
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    await store.write(A, sent, now=NOW)
    assert not await store.write(A, sent, now=NOW)
    assert len(await store.latest(A)) == 50
    await store.close()


async def test_a_damaged_account_fails_alone(tmp_path: Path) -> None:
    store = opened(tmp_path)
    damaged = AccountId("acc_damaged")
    (tmp_path / damaged).mkdir()
    (tmp_path / damaged / "hot.duckdb").write_bytes(b"this is no database" * 1000)
    Keys(MASTER).make(tmp_path / damaged / "key", damaged)
    for _ in range(2):
        with pytest.raises(duckdb.Error):
            await store.write(damaged, batch(), now=NOW)
    assert await store.write(A, batch([reading()]), now=NOW)
    await store.close()


async def test_a_store_that_cannot_write_is_not_healthy(tmp_path: Path) -> None:
    (tmp_path / "accounts").write_text("a file where the folder should be")
    store = opened(tmp_path / "accounts")
    with pytest.raises(OSError, match="accounts"):
        await store.check()
    await store.close()


async def test_check_leaves_nothing_behind(tmp_path: Path) -> None:
    store = opened(tmp_path)
    await store.check()
    assert modes(tmp_path) == {}
    await store.close()


FULL_DISK = """
import asyncio, resource, signal, sys
from pathlib import Path
import duckdb
from backend.ids import AccountId
from tests.backend.store.opened import opened
from tests.backend.readings import NOW, at, batch, full_reading

async def main() -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    store = opened(Path(sys.argv[1]))
    account = AccountId("acc_a")
    await store.write(account, batch([full_reading(1)]), now=NOW)
    big = batch([full_reading(n, at(1)) for n in range(2000)])
    resource.setrlimit(resource.RLIMIT_FSIZE, (64 * 1024, resource.RLIM_INFINITY))
    try:
        await store.write(account, big, now=NOW)
    except duckdb.Error:
        print("refused")
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    print(len(await store.latest(account)))
    print(await store.write(account, big, now=NOW))
    print(len(await store.latest(account)))
    await store.close()

asyncio.run(main())
"""


def test_a_full_disk_refuses_the_batch_and_takes_it_when_there_is_room_again(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path)], capture_output=True, text=True, timeout=60, check=False
    )
    told = [line for line in done.stdout.splitlines() if "store.reopening" not in line]
    assert told == ["refused", "1", "True", "2000"], done.stderr
