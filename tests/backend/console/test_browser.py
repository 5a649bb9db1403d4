"""The page in a real browser, where one is installed: its script, its policy, its connection."""

from __future__ import annotations

import asyncio
import shutil
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from agent.wire import State
from tests.backend.console.farms import latest, machine
from tests.backend.console.served import Served

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="no Chromium here: Debian has it as the package chromium"),
]


async def opened(address: str, folder: Path) -> tuple[str, str]:
    """What the page has become after some seconds of the browser's time, and what the browser logged."""
    process = await asyncio.create_subprocess_exec(
        BROWSER or sys.exit("no browser"),
        *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
        *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions"),
        f"--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE {urlsplit(address).hostname}",
        f"--user-data-dir={folder}",
        *("--enable-logging=stderr", "--virtual-time-budget=8000", "--dump-dom"),
        address,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(60):
            page, log = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return page.decode(), log.decode(errors="replace")


async def test_a_token_in_the_fragment_shows_the_farm_and_breaks_no_rule_of_the_policy(
    backend: Served, tmp_path: Path
) -> None:
    tenant = await backend.tenant()
    await backend.store_readings(tenant, [latest(1).reading, latest(2, State.UNREACHABLE).reading])
    await backend.fire(tenant, machine(1))
    page, log = await opened(f"{backend.url}/#token={tenant.token}", tmp_path / "browser")
    assert machine(1) in page
    assert "Chip too hot" in page
    assert "live · " in page
    assert "<title>(1) 1/2 hashing</title>" in page
    assert 'id="ask" class="ask" hidden=""' in page
    assert "Content Security Policy" not in log
    assert "Uncaught" not in log


async def test_without_a_token_or_with_a_wrong_one_the_page_asks_for_it(backend: Served, tmp_path: Path) -> None:
    page, _ = await opened(f"{backend.url}/", tmp_path / "without")
    assert 'id="ask" class="ask">' in page
    page, _ = await opened(f"{backend.url}/#token=imt_wrong", tmp_path / "wrong")
    assert 'id="ask" class="ask">' in page
    assert "The server does not take that token" in page


async def test_a_server_that_fails_is_told_at_once(backend: Served, tmp_path: Path) -> None:
    tenant = await backend.tenant()
    await backend.store.close()
    page, _ = await opened(f"{backend.url}/#token={tenant.token}", tmp_path / "browser")
    assert "No connection since" in page
    assert 'data-link="down"' in page
