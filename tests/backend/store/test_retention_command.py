"""`itsminer-backend retention report`, as an operator runs it."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from backend.__main__ import main
from backend.config_file import load
from backend.ids import AccountId
from backend.serving_lock import serving_lock
from backend.store.wiring import embedded
from tests.backend.readings import batch, full_reading


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "backend.toml"
    file.write_text('data_dir = "data"\n')
    return file


def run(config: Path, *words: str) -> Result:
    return CliRunner().invoke(main, [*words, "--config", str(config)])


def account_with_a_reading(config: Path, at: datetime) -> None:
    account = AccountId(json.loads(run(config, "account", "add", "North", "--json").stdout)["id"])

    async def store() -> None:
        opened = embedded(load(config), lambda: at)
        await opened.write(account, batch([full_reading(1, at)]), now=at)
        await opened.set_window(account, "telemetry_raw", timedelta(days=30))
        await opened.close()

    asyncio.run(store())


def test_it_tells_of_each_class_its_window_oldest_record_and_bytes(config: Path) -> None:
    at = datetime.now(UTC)
    account_with_a_reading(config, at)
    told = run(config, "retention", "report", "North", "--json")
    raw, rollup, *registry = json.loads(told.stdout)
    assert (raw["class"], raw["window_days"], rollup["window_days"]) == ("telemetry_raw", 30, 730)
    assert raw["oldest"] == at.isoformat(timespec="seconds")
    assert rollup["oldest"] is None
    assert raw["bytes"] > 0
    assert {one["class"]: one["window_days"] for one in registry}["support"] == 30
    assert "telemetry_rollup" in run(config, "retention", "report", "North").stdout


def test_a_service_that_runs_and_does_not_answer_is_said(config: Path) -> None:
    account_with_a_reading(config, datetime.now(UTC))
    with serving_lock(load(config).data_dir):
        told = run(config, "retention", "report", "North")
    assert told.exit_code == 1
    assert "the running service does not answer" in told.stderr


def test_an_account_that_is_not_there_is_named(config: Path) -> None:
    told = run(config, "retention", "report", "Nobody")
    assert told.exit_code == 1
    assert told.stderr.startswith("itsminer-backend: ")
