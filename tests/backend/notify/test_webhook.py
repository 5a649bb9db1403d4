"""Webhooks: signed, in Alertmanager's shape, and never into a network that they have no business in."""

from __future__ import annotations

import asyncio
import hmac
import json
import socket
from dataclasses import replace
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Any

import pytest

from backend.config import Webhook as Settings
from backend.notify import webhook
from backend.notify.protocol import Message, NeverDeliverable, TryLater
from backend.notify.webhook import Webhook, is_public
from tests.backend.notify.servers import WebGateway, http_gateway

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
MESSAGE = Message(
    id="msg_1",
    to="",
    topic="sit_north",
    subject="",
    text='{"version": "4", "receiver": "北"}',
    html=None,
    created_at=NOW,
    secret="s3cret",
)


def notifier(*allow: str) -> Webhook:
    return Webhook(Settings(allow=allow), lambda: NOW)


async def test_a_webhook_is_posted_json_that_its_receiver_can_check() -> None:
    async with http_gateway(WebGateway) as gateway:
        await notifier("127.0.0.1/32").send(replace(MESSAGE, to=f"http://127.0.0.1:{gateway.port}/hook"))
    [headers], [body] = gateway.headers, gateway.bodies
    assert body == MESSAGE.text.encode()
    assert headers["Content-Type"] == "application/json"
    assert headers[webhook.MESSAGE] == "msg_1"
    seconds, mac = (part.partition("=")[2] for part in headers[webhook.SIGNATURE].split(","))
    assert int(seconds) == NOW.timestamp()
    assert mac == hmac.digest(b"s3cret", f"{seconds}.".encode() + body, "sha256").hex()


@pytest.mark.parametrize(("status", "is_bad"), [(410, True), (400, False), (413, False), (422, False)])
async def test_what_a_webhook_refuses_is_not_sent_again(status: int, is_bad: bool) -> None:
    async with http_gateway(WebGateway) as gateway:
        gateway.answer = (status, {}, "")
        with pytest.raises(NeverDeliverable) as caught:
            await notifier("127.0.0.1/32").send(replace(MESSAGE, to=f"http://127.0.0.1:{gateway.port}/hook"))
    assert caught.value.is_contact_bad is is_bad


@pytest.mark.parametrize("status", [301, 302, 307, 308, 401, 403, 404, 408, 429, 500, 503])
async def test_no_redirect_is_followed_and_all_else_is_tried_later(status: int) -> None:
    async with http_gateway(WebGateway) as gateway:
        gateway.answer = (status, {"Location": f"http://127.0.0.1:{gateway.port}/elsewhere"}, "x" * 5_000_000)
        with pytest.raises(TryLater, match=str(status)):
            await notifier("127.0.0.1/32").send(replace(MESSAGE, to=f"http://127.0.0.1:{gateway.port}/hook"))
    assert gateway.paths == ["/hook"]


HERE = """
127.0.0.1 localhost localhost. [::1] [::ffff:127.0.0.1] [::ffff:7f00:1] [::127.0.0.1] [::ffff:0:127.0.0.1] 2130706433
0x7f.1 0177.0.0.1 127.1 0.0.0.0 0 [::] [64:ff9b::7f00:1] [2002:7f00:1::] ①②⑦.0.0.1 \uff11\uff12\uff17.0.0.1
"""


@pytest.mark.parametrize("host", HERE.split())
async def test_this_machine_is_not_reached_however_it_is_written(host: str) -> None:
    async with http_gateway(WebGateway) as gateway:
        for scheme in ("http", "https"):
            with pytest.raises(TryLater, match=r"not public|not known"):
                await notifier().send(replace(MESSAGE, to=f"{scheme}://{host}:{gateway.port}/hook"))
    assert gateway.paths == []


PRIVATE = """
10.0.0.1 172.16.0.1 192.168.1.1 169.254.169.254 100.64.0.1 224.0.0.1 240.0.0.1 0.0.0.0 255.255.255.255
::1 :: fe80::1 fc00::1 fec0::1 ff02::1 2001:db8::1 ::7f00:1 64:ff9b:1::a00:1 100::1
::ffff:10.0.0.1 64:ff9b::a00:1 2002:a00:1::1
"""


@pytest.mark.parametrize("address", PRIVATE.split())
def test_an_address_that_is_nobodys_on_the_internet_is_not_public(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize("address", ["1.1.1.1", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"])
def test_an_address_on_the_internet_is_public(address: str) -> None:
    assert is_public(ip_address(address))


async def test_the_name_is_looked_up_once_and_the_checked_address_is_the_one_connected_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A DNS that answers with an allowed address first and with another one afterwards gets the first one called."""
    asked: list[str] = []
    real = asyncio.get_running_loop().getaddrinfo

    async def rebinding(host: str, port: int, **options: Any) -> Any:
        if host != "hook.example.com":
            return await real(host, port, **options)
        asked.append(host)
        address = "127.0.0.1" if len(asked) == 1 else "127.0.0.2"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", rebinding)
    async with http_gateway(WebGateway) as gateway:
        await notifier("127.0.0.1/32").send(replace(MESSAGE, to=f"http://hook.example.com:{gateway.port}/hook"))
    assert asked == ["hook.example.com"]
    assert gateway.headers[0]["Host"] == f"hook.example.com:{gateway.port}"


async def test_one_private_address_among_public_ones_is_enough_to_refuse(monkeypatch: pytest.MonkeyPatch) -> None:
    async def mixed(_host: str, port: int, **_options: Any) -> Any:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port)) for each in ("1.1.1.1", "10.0.0.1")]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", mixed)
    with pytest.raises(TryLater, match="not public"):
        await notifier().send(replace(MESSAGE, to="https://hook.example.com/hook"))


async def test_http_is_for_networks_that_the_settings_name(monkeypatch: pytest.MonkeyPatch) -> None:
    async def public(_host: str, port: int, **_options: Any) -> Any:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("1.1.1.1", port))]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", public)
    with pytest.raises(TryLater, match="use https"):
        await notifier().send(replace(MESSAGE, to="http://hook.example.com/hook"))


def test_the_secret_shows_in_no_log() -> None:
    assert "s3cret" not in repr(MESSAGE)
    assert json.loads(MESSAGE.text)["version"] == "4"
