"""Who may see the on-site page: whoever calls this machine by a name of its own and knows the password.

- The password comes with each request (HTTP Basic): there is no cookie, and no session to steal.
- Whoever guesses wrong waits, twice as long each time. During the wait no guess is looked at, right or wrong.
- A request that calls us by a name that we do not have is one that somebody's web page made with a name that it had
  pointed at us (DNS rebinding). Numbers cannot be pointed anywhere, so an IP address always is a good name.
- A browser sends the password with any request to us, also with one that another site's page made: what changes
  something needs a token from our own page as well.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
import ipaddress
import math
import secrets
import socket
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

import structlog
from aiohttp import web
from yarl import URL

from agent.errors import Misconfigured
from agent.lan.password import Password

HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
"""On every answer. Nothing inline, nothing from anyone else, in nobody's frame, on nobody's disk."""

_FREE_GUESSES: Final = 3
_LONGEST_WAIT_S: Final = 300.0
_GUESSERS: Final = 1_000
"""Addresses whose wrong guesses are remembered."""

log = structlog.get_logger()


@dataclass(slots=True)
class _Guesser:
    wrong: int = 0
    may_try_at_s: float = 0.0


class Gate:
    """Judges requests. `clock_s` is a clock that only goes forward."""

    def __init__(self, password: Password, names: Iterable[str], clock_s: Callable[[], float]) -> None:
        host = socket.gethostname().lower()
        self._names = {"localhost", host, f"{host.partition('.')[0]}.local", *(name.lower() for name in names)}
        self._password = password
        self._clock_s = clock_s
        self._guessers: OrderedDict[str, _Guesser] = OrderedDict()
        self._one_at_a_time = asyncio.Lock()
        self._secret = secrets.token_bytes(32)
        self._known_good = b""  # what fitted last, as an HMAC: the hash is slow, and a page is several requests
        self.form_token = secrets.token_urlsafe(24)

    def knows_host(self, host: str) -> bool:
        """Whether a Host header (`name`, `name:port`) is one that only we answer to."""
        try:
            name = (URL(f"//{host}").host or "").lower().rstrip(".")
        except ValueError:
            return False
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return name in self._names
        return True

    def is_own_form(self, request: web.Request, token: object) -> bool:
        """Whether a form was sent from our own page."""
        if request.headers.get("Sec-Fetch-Site", "same-origin") != "same-origin":
            return False
        return isinstance(token, str) and hmac.compare_digest(token.encode(), self.form_token.encode())

    async def refusal(self, authorization: str | None, address: str) -> web.Response | None:
        """What to answer to whoever may not come in; None for who may."""
        guess = _password_in(authorization)
        if guess is None:
            return _ask("The password of this page, please: whoever set the agent up has it.")
        async with self._one_at_a_time:  # so that guesses side by side do not go uncounted
            guesser = self._guessers.setdefault(address, _Guesser())
            self._guessers.move_to_end(address)
            wait_s = guesser.may_try_at_s - self._clock_s()
            if wait_s > 0:
                return _wait(wait_s)
            try:
                right = await self._fits(guess)
            except Misconfigured as error:
                log.error("lan.password_unusable", why=str(error))
                return web.Response(status=503, text="The file with this page's password cannot be used; see the log.")
            if right:
                del self._guessers[address]
                return None
            self._count(guesser)
        return _ask("That is not the password. A forgotten one is replaced with: itsminer-agent lan-password")

    async def _fits(self, guess: str) -> bool:
        """Ask the slow hash once for a right password. The file's line is in the mark, so that a new one counts."""
        mark = hmac.digest(self._secret, f"{self._password.stored()}\0{guess}".encode(), "sha256")
        if hmac.compare_digest(mark, self._known_good):
            return True
        right = await asyncio.to_thread(self._password.fits, guess)
        if right:
            self._known_good = mark
        return right

    def _count(self, guesser: _Guesser) -> None:
        guesser.wrong += 1
        if guesser.wrong >= _FREE_GUESSES:
            wait_s = min(_LONGEST_WAIT_S, 2.0 ** (guesser.wrong - _FREE_GUESSES))
            guesser.may_try_at_s = self._clock_s() + wait_s
            log.warning("lan.wrong_passwords", wrong=guesser.wrong, wait_s=wait_s)
        while len(self._guessers) > _GUESSERS:
            self._guessers.popitem(last=False)


def _password_in(authorization: str | None) -> str | None:
    """Of HTTP Basic; the user's name may be anything."""
    scheme, _, value = (authorization or "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        text = base64.b64decode(value.strip(), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
    return text.partition(":")[2] or None


def _ask(text: str) -> web.Response:
    return web.Response(
        status=401, text=text, headers={"WWW-Authenticate": 'Basic realm="ItsMiner agent", charset="UTF-8"'}
    )


def _wait(wait_s: float) -> web.Response:
    seconds = math.ceil(wait_s)
    return web.Response(
        status=429,
        text=f"Too many wrong passwords from your address. Try again in {seconds} s.",
        headers={"Retry-After": str(seconds)},
    )
