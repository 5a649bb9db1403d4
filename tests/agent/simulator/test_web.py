"""The web pages on port 80, with and without digest."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest

from agent.simulator.digest import NONCE_LIVES_S, challenge, is_authorised
from agent.simulator.machine import Login, WebRequest
from tests.agent.simulator.asking import exchange, http
from tests.conftest import Simulated

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LOGIN = Login("antMiner Configuration", "root", "root")


def answered(header: str, *, password: str = "root", method: str = "GET", uri: str = "/") -> WebRequest:
    """A request that answers this challenge, as RFC 2617 computes it."""
    from hashlib import md5

    nonce = re.search('nonce="([^"]+)"', header)
    assert nonce is not None
    who = md5(f"root:antMiner Configuration:{password}".encode()).hexdigest()
    what = md5(f"{method}:{uri}".encode()).hexdigest()
    response = md5(f"{who}:{nonce[1]}:00000001:abc:auth:{what}".encode()).hexdigest()
    authorization = (
        f'Digest username="root", realm="antMiner Configuration", nonce="{nonce[1]}", uri="{uri}", '
        f'qop=auth, nc=00000001, cnonce="abc", response="{response}"'
    )
    return WebRequest(method, uri, {"authorization": authorization}, b"")


def test_the_right_password_opens_and_a_wrong_one_does_not() -> None:
    header = challenge(LOGIN, NOW)
    assert is_authorised(LOGIN, answered(header), NOW)
    assert not is_authorised(LOGIN, answered(header, password="admin"), NOW)


def test_an_answer_is_good_for_its_page_and_method_only() -> None:
    request = answered(challenge(LOGIN, NOW))
    elsewhere = WebRequest("GET", "/cgi-bin/stats.cgi", request.headers, b"")
    posted = WebRequest("POST", "/", request.headers, b"")
    assert not is_authorised(LOGIN, elsewhere, NOW)
    assert not is_authorised(LOGIN, posted, NOW)


def test_an_invented_or_old_nonce_is_refused() -> None:
    header = challenge(LOGIN, NOW)
    invented = re.sub('nonce="[^"]+"', 'nonce="65920080-0123456789abcdef01234567"', header)
    assert not is_authorised(LOGIN, answered(invented), NOW)
    assert not is_authorised(LOGIN, answered(re.sub('nonce="[^"]+"', 'nonce="x"', header)), NOW)
    assert is_authorised(LOGIN, answered(header), NOW + timedelta(seconds=NONCE_LIVES_S))
    assert not is_authorised(LOGIN, answered(header), NOW + timedelta(seconds=NONCE_LIVES_S + 1))


async def test_pages_of_an_antminer_need_the_digest(simulated: Simulated) -> None:
    farm = await simulated("antminer", seed=2)
    url = f"http://{farm.machines[0].address}/cgi-bin/get_system_info.cgi"
    status, _ = await http(farm.machines[0].address, "/cgi-bin/get_system_info.cgi")
    assert status == 401
    digest = aiohttp.DigestAuthMiddleware("root", "root")
    async with aiohttp.ClientSession(middlewares=(digest,)) as session, session.get(url) as answer:
        info = await answer.json()
    assert info["minertype"] == "Antminer S19j Pro"
    assert info["ipaddress"] == farm.machines[0].address
    wrong = aiohttp.DigestAuthMiddleware("root", "admin")
    async with aiohttp.ClientSession(middlewares=(wrong,)) as session, session.get(url) as answer:
        assert answer.status == 401


async def test_a_connection_is_kept_for_the_next_page(simulated: Simulated) -> None:
    farm = await simulated("bitaxe")
    reader, writer = await asyncio.open_connection(farm.machines[0].address, 80)
    for path, expected in (("/api/system/asic", b"200"), ("/nowhere", b"404")):
        writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"Content-Length: (\d+)", head)
        assert head.split()[1] == expected
        assert length is not None
        await reader.readexactly(int(length[1]))
    writer.close()


async def test_head_sends_the_head_and_no_body(simulated: Simulated) -> None:
    farm = await simulated("bitaxe")
    request = b"HEAD / HTTP/1.0\r\n\r\n"
    answer = await exchange(farm.machines[0].address, 80, request)
    assert re.search(rb"Content-Length: [1-9]", answer)
    assert answer.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"nonsense\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", b"411"),
        (b"GET / SPDY/9\r\n\r\n", b"400"),
    ],
)
async def test_what_is_no_request_is_told_so(simulated: Simulated, request_: bytes, status: bytes) -> None:
    farm = await simulated("bitaxe")
    answer = await exchange(farm.machines[0].address, 80, request_)
    assert answer.split()[1] == status


async def test_a_body_is_waited_for(simulated: Simulated) -> None:
    farm = await simulated("bitaxe")
    head = b"POST /api/system HTTP/1.0\r\nContent-Length: 5\r\n\r\n"
    reader, writer = await asyncio.open_connection(farm.machines[0].address, 80)
    writer.write(head + b"12")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await reader.read()
    writer.write(b"345")
    assert (await reader.read()).split()[1] == b"404"
    writer.close()
