"""pyasic's way to find out what a machine is, made to keep to our logins and to leave nothing behind.

As measured on 0.79: it tries root/root on anything that looks like an Antminer ("could still be mara"), sends
vendors' passwords to learn a model, and when it is cancelled its questions go on for as long as a machine
that drips its answer likes.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import Any, Final

from agent.drivers import rpc
from agent.drivers.bounds import asking, bound_rpc, bound_web
from agent.drivers.logins import Login, Logins
from agent.drivers.quiet import hush, imported_quietly
from agent.errors import AgentError
from agent.normalise import slug

with imported_quietly():
    from pyasic.errors import APIError
    from pyasic.miners import factory

_LOGIN_OF_PATH: Final = {"/kaonsu/": "marathon", "/cgi-bin/": "antminer"}
_LOGIN_OF_FIRMWARE: Final = {
    "bos": "braiins",
    "epic": "epic",
    "hive": "hiveon",
    "luxos": "luxos",
    "marafw": "marathon",
    "vnish": "vnish",
}
_READ_WITHOUT_LOGIN: Final = frozenset({"epic"})
"""Firmware whose web page asks for a password to change things only."""


async def _first_result(tasks: Sequence[asyncio.Task[Any]], is_good: Callable[[Any], bool]) -> Any:
    """In place of pyasic's own, which leaves the other tasks running when it is cancelled."""
    result = None
    try:
        for done in asyncio.as_completed(tasks):
            result = await done
            if is_good(result):
                break
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return result


class Finder(factory.MinerFactory):  # type: ignore[misc]  # pyasic has no types
    """Identifies machines with no password but those that `Logins` allows."""

    def __init__(self, logins: Logins) -> None:
        hush()
        bound_web()
        factory.concurrent_get_first_result = _first_result
        self._logins = logins

    async def send_web_command(self, ip: str, location: str, auth: Any = None) -> Any:
        if auth is not None:
            make = next((make for path, make in _LOGIN_OF_PATH.items() if location.startswith(path)), None)
            auth = self._auth(make, auth)
        return await super().send_web_command(ip, location, auth=auth)

    async def send_api_command(self, ip: str, command: str) -> rpc.Answer | None:
        try:
            return await rpc.ask(ip, command)
        except AgentError:
            return None

    async def send_btminer_v3_api_command(self, ip: str, command: str) -> Any:
        answer = await self._socket_ping_btminer_v3(ip, command)
        try:
            return json.loads(answer) if answer else None
        except (ValueError, RecursionError):
            return None

    @staticmethod
    async def _socket_ping(ip: str, cmd: str) -> str | None:
        """The raw answer to a command."""
        try:
            answer = await rpc.exchange(ip, rpc.PORT, json.dumps({"command": cmd}).encode())
        except AgentError:
            return None
        return answer.decode("utf-8", errors="replace") or None

    @staticmethod
    async def _socket_ping_btminer_v3(ip: str, cmd: str) -> str | None:
        question = json.dumps({"cmd": cmd}).encode()
        try:
            answer = await rpc.exchange_framed(ip, 4433, len(question).to_bytes(4, "little") + question)
        except AgentError:
            return None
        return answer.decode("utf-8", errors="replace") or None

    def _auth(self, make: str | None, vendors: Any) -> Any:
        login = self._logins.of(make)
        if login is not None:
            return type(vendors)(login.username, login.password)
        return vendors if self._logins.vendor_passwords else None

    async def get_miner_model_innosilicon(self, ip: str) -> str | None:
        return await super().get_miner_model_innosilicon(ip) if self._logins.vendor_passwords else None

    async def get_miner_model_iceriver(self, ip: str) -> str | None:
        return await super().get_miner_model_iceriver(ip) if self._logins.vendor_passwords else None

    async def identify(self, address: str) -> Any:
        """pyasic's object for the machine, its web page closed where no password may be sent; None if unknown."""
        with asking(address):
            miner = await self.get_miner(address)
        if miner is not None:
            bound_rpc(miner.rpc, address)
            settle_login(miner, self._logins)
            if isinstance(miner.web, ClosedWeb):
                self._logins.miss("pyasic", login_make(miner))
        return miner


def settle_login(miner: Any, logins: Logins) -> None:
    """Give a machine's object the operator's login, or close the pages that it would send the vendor's to."""
    web = miner.web
    if web is None or web.pwd is None:
        return
    make = login_make(miner)
    login = logins.of(make)
    if login is None and make in _READ_WITHOUT_LOGIN and not logins.vendor_passwords:
        login = Login("", "")
    if login is not None:
        web.username, web.pwd = login
    elif not logins.vendor_passwords:
        miner.web = ClosedWeb()


def login_make(miner: Any) -> str:
    """Whose login a machine takes: its firmware's maker's, else its own maker's."""
    firmware = slug(str(miner.firmware or ""))
    return _LOGIN_OF_FIRMWARE.get(firmware) or slug(str(miner.make or ""))


class ClosedWeb:
    """Stands for a web page that is not asked. Every question fails at once, as pyasic expects of a failed one."""

    pwd = None

    async def multicommand(self, *_commands: str, **_options: object) -> dict[str, object]:
        return {"multicommand": True}

    def __getattr__(self, name: str) -> Callable[..., Any]:
        async def refuse(*_args: object, **_options: object) -> Any:
            raise APIError(f"{name}: no login for this make")

        return refuse
