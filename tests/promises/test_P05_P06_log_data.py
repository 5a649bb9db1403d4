"""P05, P06: of a visit of a web page only what is promised is kept, and nothing when the browser asks for that."""

# ruff: noqa: N802 (two promises in one module: each test carries its id)

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta
from ipaddress import ip_address
from typing import Any

import aiohttp
import pytest

from backend.console.pages import ROUTES
from backend.privacy import windows
from backend.privacy.visits import browser, shortened
from tests.promises.deployed import Service, until

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.3"
PAGES = [route.path for route in ROUTES if route.access == "public" and route.media_type == "text/html"]


async def visits(service: Service) -> list[dict[str, Any]]:
    """What is kept, as somebody who oversees the service sees it."""
    email = f"auditor{service.now().timestamp()}@itsminer.example"
    _, session = await service.staff(email, "auditor")
    found: list[dict[str, Any]] = (await service.seen("/v1/visits", session))["visits"]
    return found


async def open_page(service: Service, path: str, **headers: str) -> str:
    """As from another computer of this network; the visit's id that the page was given."""
    connector = aiohttp.TCPConnector(local_addr=("127.0.0.77", 0))
    async with (
        aiohttp.ClientSession(connector=connector) as client,
        client.get(service.url + path, headers={"User-Agent": FIREFOX} | headers) as page,
    ):
        found = re.search(r'data-visit="([^"]*)"', await page.text())
    assert found is not None
    return found[1]


async def test_P05_a_visit_is_a_network_a_browser_a_page_a_time_and_a_length_and_nothing_else(service: Service) -> None:
    for page in PAGES:
        visit = await open_page(service, f"{page}?state=idle&secret=sentinel", Referer="https://sentinel.example/")
        await service.done("/v1/visits/spent", visit=visit, spent_s=42)
        await service.done("/v1/visits/spent", visit=visit, spent_s=7)  # left, and come back to: the longest counts
    found = await visits(service)
    assert {visit["page"] for visit in found} == set(PAGES)
    for one in found:
        assert abs(datetime.fromisoformat(one.pop("at")) - service.now()) < timedelta(minutes=1)
        assert one == {"page": one["page"], "address": "127.0.0.0/24", "browser": "Firefox 128", "spent_s": 42}
    await service.stop()
    disk = b"".join(file.read_bytes() for file in service.folder.rglob("*") if file.is_file())
    assert b"127.0.0.0/24" in disk
    for secret in (b"127.0.0.77", b"sentinel", b"Gecko", b"128.3", b"X11"):
        assert secret not in disk


async def test_P05_the_api_files_and_other_methods_are_no_pages(service: Service) -> None:
    customer = await service.customer()
    await service.ask("HEAD", "/")
    for path in ("/static/page.css", "/healthz", "/metrics", "/v1/processors"):
        assert (await service.get(path)).status == 200
    await service.seen("/v1/machines", customer.session)
    await service.get("/console/farm", customer.session)
    assert await visits(service) == []


async def test_P05_visits_are_gone_when_their_window_has_ended(service: Service) -> None:
    await open_page(service, "/")
    assert len(await visits(service)) == 1
    service.ahead += windows.ACCESS_LOG + timedelta(minutes=2)

    async def gone() -> bool:
        return await visits(service) == []

    await until(gone)


async def test_P05_only_who_oversees_the_service_sees_visits(service: Service) -> None:
    customer = await service.customer()
    _, helper = await service.staff("help@itsminer.example", "support")
    for token in (None, customer.session, customer.read, customer.agent, helper):
        assert (await service.get("/v1/visits", token)).status in (401, 403)


async def test_P05_a_flood_of_visits_is_served_and_not_written_down(service: Service) -> None:
    for _ in range(70):
        assert (await service.get("/")).status == 200
    assert len(await visits(service)) == 60


@pytest.mark.parametrize("wish", [{"DNT": "1"}, {"Sec-GPC": "1"}, {"DNT": "1", "Sec-GPC": "0"}], ids=json.dumps)
async def test_P06_a_browser_that_asks_for_it_leaves_no_log_data(service: Service, wish: dict[str, str]) -> None:
    for page in PAGES:
        assert await open_page(service, page, **wish) == ""
    assert await visits(service) == []
    assert await open_page(service, "/", DNT="0") != ""
    assert len(await visits(service)) == 1


@pytest.mark.parametrize(
    ("address", "kept"),
    [
        ("192.0.2.77", "192.0.2.0/24"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1::/48"),
    ],
)
def test_P05_addresses_are_shortened(address: str, kept: str) -> None:
    assert shortened(ip_address(address)) == kept
    assert shortened(None) == "unknown"


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (FIREFOX, "Firefox 128"),
        ("Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/126.0.0.0 Safari/537.36", "Chrome 126"),
        ("Mozilla/5.0 (Windows NT 10.0) Chrome/126.0.0.0 Safari/537.36 Edg/126.0.2592.87", "Edge 126"),
        ("Mozilla/5.0 (Macintosh) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Safari/605.1.15", "Safari 17"),
        ("Mozilla/5.0 (iPhone) AppleWebKit/605.1.15 CriOS/126.0.6478.153 Mobile Safari/604.1", "Chrome 126"),
        ("curl/8.8 of somebody@farm.example", "other"),
        ("", "other"),
    ],
)  # fmt: skip
def test_P05_of_a_browser_its_family_and_version_are_kept(sent: str, kept: str) -> None:
    assert browser(sent) == kept
