"""P25, contacts: who steals the disk or a dump of the registry learns no address and no number."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path

import aiohttp
from click.testing import CliRunner, Result

from backend.__main__ import main
from tests.promises.service import PASSWORD, Service, running, service


def stolen(folder: Path) -> bytes:
    """Every byte of every file of the service's disk: the registry, its log, the time series."""
    return b"\n".join(file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file())


def forms(secret: str) -> list[bytes]:
    """As it might be found."""
    return [
        secret.encode(),
        secret.encode("utf-16-le"),
        base64.b64encode(secret.encode()),
        secret.encode().hex().encode(),
    ]


async def test_a_stolen_disk_shows_neither_address_nor_number(tmp_path: Path) -> None:
    async with service(tmp_path) as here:
        owner = await here.register("night.shift@farm.example")
        await here.join(owner, "day.shift@farm.example", "viewer")
        await here.post("/v1/register", here.application("half.way@farm.example"))
        await here.employ("helper@service.example", "support")
        numbers = [f"+1415555{number:04}" for number in range(1, here.numbers + 1)]
        while_running = stolen(here.settings.data_dir)
    disk = while_running + stolen(here.settings.data_dir)
    assert b"acc_" in disk
    for secret in ("night.shift", "day.shift", "half.way", "helper@", *numbers, *(n[2:] for n in numbers), PASSWORD):
        for form in forms(secret):
            assert form not in disk, secret


async def rotate(config: Path) -> Result:
    """As an operator does."""
    return await asyncio.to_thread(CliRunner().invoke, main, ["seal", "rotate", "--config", str(config)])


async def test_the_keys_are_for_the_service_alone(here: Service) -> None:
    await here.register("a@farm.example")
    assert here.settings.seal.keys_file is not None
    assert here.settings.seal.keys_file.stat().st_mode & 0o077 == 0
    key = here.settings.seal.keys_file.read_text().split(":")[1].strip()
    assert key.encode() not in stolen(here.settings.data_dir)
    assert base64.b64decode(key) not in stolen(here.settings.data_dir)


async def test_a_new_key_seals_everything_anew_and_people_notice_nothing(tmp_path: Path) -> None:
    async with service(tmp_path) as here:
        owner = await here.register("night.shift@farm.example")
        config = tmp_path / "backend.toml"
        config.write_text(f'data_dir = "{here.settings.data_dir}"\n[seal]\nkeys_file = "elsewhere/seal-keys"\n')
        busy = await rotate(config)
        assert (busy.exit_code, "stop it first" in busy.output) == (1, True)
    file = here.settings.seal.keys_file
    assert file is not None
    old = file.read_text()
    result = await rotate(config)
    assert result.exit_code == 0, result.output
    assert old.strip() not in file.read_text()
    async with aiohttp.ClientSession() as here.http, running(here):
        again = await here.log_in(owner.email, owner.password)
        assert (await here.get("/v1/me", again.token)).json["phone"] == owner.phone
        assert (await here.get("/v1/me", owner.token)).status == 200
