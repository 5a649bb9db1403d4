"""The commands, with InfluxDB behind them, as an operator types them."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from pydantic import SecretStr

from backend.__main__ import main
from backend.ids import AccountId
from backend.store.influx.engine import InfluxStore
from backend.store.influx.settings import InfluxSettings
from tests.backend.readings import NOW, batch, full_reading
from tests.fakes.influx_v2 import ORG, TOKEN, InfluxV2


@pytest.fixture
def config(tmp_path: Path, front: InfluxV2) -> Path:
    file = tmp_path / "backend.toml"
    file.write_text(f'data_dir = "data"\n[store]\nengine = "influx"\nurl = "{front.url}"\norg = "{ORG}"\n')
    return file


def run(config: Path, *arguments: str, token: str = TOKEN) -> Result:
    environment = {"ITSMINER_BACKEND_CONFIG": str(config), "ITSMINER_INFLUX_TOKEN": token}
    return CliRunner().invoke(main, arguments, env=environment)


def test_a_narrow_token_is_made_and_enough_to_run_with(config: Path, front: InfluxV2) -> None:
    result = run(config, "influx-token")
    assert result.exit_code == 0, result.stderr
    narrow = result.stdout.strip()
    assert narrow not in ("", TOKEN)
    store = InfluxStore(InfluxSettings(url=front.url, org=ORG, token=SecretStr(narrow)), lambda: NOW)

    async def work() -> bool:
        try:
            return await store.write(AccountId("acc_a"), batch([full_reading()]), now=NOW)
        finally:
            await store.close()

    assert asyncio.run(work())
    refused = run(config, "influx-token", token=narrow)
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert "may create tokens" in refused.stderr


def test_a_token_is_not_made_for_another_engine(tmp_path: Path) -> None:
    config = tmp_path / "backend.toml"
    config.write_text('data_dir = "data"\n')
    result = run(config, "influx-token")
    assert result.exit_code == 1
    assert "store.engine" in result.stderr


def test_retention_is_reported_of_the_engine_that_is_used(config: Path) -> None:
    assert run(config, "account", "add", "Demo").exit_code == 0
    result = run(config, "retention", "report", "Demo", "--json")
    assert result.exit_code == 0, result.stderr
    assert [(row["class"], row["window_days"], row["oldest"]) for row in json.loads(result.stdout)][:2] == [
        ("telemetry_raw", 90, None),
        ("telemetry_rollup", 730, None),
    ]


def test_a_server_that_is_not_there_is_one_clear_line(tmp_path: Path) -> None:
    config = tmp_path / "backend.toml"
    config.write_text('data_dir = "data"\n[store]\nengine = "influx"\nurl = "http://127.0.0.1:9"\norg = "farm"\n')
    result = run(config, "influx-token")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("itsminer-backend: ")
    assert len(result.stderr.splitlines()) == 1
