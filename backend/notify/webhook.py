"""Webhooks: the members' own on-call tools get what Alertmanager would send them, signed.

`X-ItsMiner-Signature: t=<seconds since 1970>,v1=<hex>`, the HMAC-SHA256 of `<t>.<body>` under the contact's secret, and
`X-ItsMiner-Message`, the same when a message is sent again. 2xx means taken; 410 that nobody is there any more.

Members choose the address, so that it must not lead into the service's own network: its name is looked up once, each
address that it has is checked, and the connection goes to one of those; no redirect is followed, no proxy is used.
"""

from __future__ import annotations

import asyncio
import hmac
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any, Final

from aiohttp import ClientError, ClientSession, ClientTimeout, ConnectionTimeoutError, TCPConnector
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.client_exceptions import ClientConnectorError
from yarl import URL

from backend.config import Webhook as Settings
from backend.notify.protocol import Message, NeverDeliverable, TryLater
from backend.notify.retry_after import wish_s

SIGNATURE: Final = "X-ItsMiner-Signature"
MESSAGE: Final = "X-ItsMiner-Message"

_CONNECT_S: Final = 10
_LONGEST_ANSWER: Final = 4 * 1024
_NAT64: Final = ip_network("64:ff9b::/96")

_Address = IPv4Address | IPv6Address


class Webhook:
    """A `Notifier` that posts each message to its contact's own address, over a connection of its own."""

    def __init__(self, settings: Settings, clock: Any) -> None:
        self._allowed = [ip_network(network) for network in settings.allow]
        self._clock = clock

    async def send(self, message: Message) -> None:
        """See `Notifier.send`."""
        url = URL(message.to)  # as the client reads it: one host is checked and connected to
        addresses = await self._looked_up(url.raw_host or "", url.port or 443, is_plain=url.scheme != "https")
        body = message.text.encode()
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "ItsMiner",
            MESSAGE: message.id,
            SIGNATURE: signature(message.secret or "", body, self._clock()),
        }
        timeout = ClientTimeout(total=None, connect=_CONNECT_S)  # the caller's deadline ends the rest
        connector = TCPConnector(resolver=_Pinned(addresses), use_dns_cache=False, force_close=True)
        try:
            async with (
                ClientSession(connector=connector, timeout=timeout, auto_decompress=False) as session,
                session.post(url, data=body, headers=headers, allow_redirects=False) as response,
            ):
                await response.content.read(_LONGEST_ANSWER)
                _judge(response.status, wish_s(response.headers))
        except (ClientConnectorError, ConnectionTimeoutError) as error:
            raise TryLater(f"no connection to the webhook ({type(error).__name__})") from error
        except (ClientError, TimeoutError, OSError) as error:
            raise TryLater(f"the webhook did not answer ({type(error).__name__})", may_have_arrived=True) from error

    async def close(self) -> None:
        """Each message has its own connection: nothing is left open."""

    async def _looked_up(self, host: str, port: int, *, is_plain: bool) -> Sequence[_Found]:
        """The addresses of a host, all of which may be connected to. Raises `TryLater`."""
        try:
            async with asyncio.timeout(_CONNECT_S):
                infos = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:  # a time-out is an OSError; a label that is too long is the other
            raise TryLater("the webhook's host is not known to the DNS now") from error
        found = [_Found(ip_address(str(info[4][0]).partition("%")[0]), info[0], port) for info in infos]
        for each in found:
            is_allowed = any(each.address in network for network in self._allowed)
            if not is_allowed and not is_public(each.address):
                raise TryLater(
                    "the webhook's host has an address that is not public: webhook.allow may name its network"
                )
            if not is_allowed and is_plain:
                raise TryLater("http is for webhooks in a network that webhook.allow names: use https")
        return found


@dataclass(frozen=True, slots=True)
class _Found:
    """An address that was checked."""

    address: _Address
    family: int
    port: int


class _Pinned(AbstractResolver):
    """Gives the addresses that were checked, whatever the DNS says by now."""

    def __init__(self, addresses: Sequence[_Found]) -> None:
        self._addresses = addresses

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host,
                host=str(each.address),
                port=each.port,
                family=each.family,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST,
            )
            for each in self._addresses
        ]

    async def close(self) -> None:
        """Nothing is open."""


def is_public(address: _Address) -> bool:
    """Whether an address is somebody's on the internet; of IPv6 ones that carry an IPv4 one, both are asked."""
    if isinstance(address, IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
        if inner is None and address in _NAT64:
            inner = IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(inner)
        if address.is_site_local:  # deprecated, and routed in some networks all the same
            return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def signature(secret: str, body: bytes, now: datetime) -> str:
    """What the receiver checks: of when, and of what."""
    seconds = int(now.timestamp())
    mac = hmac.digest(secret.encode(), f"{seconds}.".encode() + body, "sha256").hex()
    return f"t={seconds},v1={mac}"


def _judge(status: int, after_s: float | None) -> None:
    if status // 100 == 2:
        return
    if status == 410:
        raise NeverDeliverable("the webhook is gone: 410", is_contact_bad=True)
    if status // 100 == 4 and status not in (401, 403, 404, 408, 425, 429):
        raise NeverDeliverable(f"the webhook refuses the message: {status}", is_contact_bad=False)
    raise TryLater(f"the webhook does not take the message now: {status}", after_s=after_s)
