"""Warnings by SMS: Twilio's message API, and gateways that speak the same.

`POST {url}/2010-04-01/Accounts/{account}/Messages.json`, basic auth, a form of To, From and Body. 2xx means that the
gateway has taken it. 400 is a bad contact when its error code is about the number; all else is ours to mend, or the
gateway's: later.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import quote, urlsplit

from aiohttp import ClientError, ClientResponse, ClientSession, ClientTimeout, ConnectionTimeoutError
from aiohttp.client_exceptions import ClientConnectorError

from backend.config import Sms as Settings
from backend.notify.loopback import is_loopback
from backend.notify.protocol import Message, NeverDeliverable, NotConfigured, TryLater

_BAD_NUMBER: Final = frozenset({21211, 21214, 21217, 21219, 21265, 21610, 21614})
"""Twilio: not a number, unreachable, unverified, not one that can get texts; 21610: its owner answered STOP."""

_CONNECT_S: Final = 10  # before this, nothing was sent
_LONGEST_ANSWER: Final = 64 * 1024


class Sms:
    """A `Notifier` that posts each message to one gateway."""

    def __init__(self, settings: Settings) -> None:
        if settings.url is None or settings.account is None or settings.token is None or settings.sender is None:
            raise NotConfigured("sms: url, account, sender and a token are needed to send texts")
        parts = urlsplit(settings.url)
        if parts.scheme != "https" and not is_loopback(parts.hostname or ""):
            raise NotConfigured("sms.url: http is for a gateway on this machine: use https")
        self._url = f"{settings.url.rstrip('/')}/2010-04-01/Accounts/{quote(settings.account, safe='')}/Messages.json"
        login = f"{settings.account}:{settings.token.get_secret_value()}"
        self._headers = {"Authorization": f"Basic {b64encode(login.encode()).decode()}"}
        self._sender = settings.sender
        self._session: ClientSession | None = None

    async def send(self, message: Message) -> None:
        """See `Notifier.send`."""
        form = {"To": message.to, "From": self._sender, "Body": message.text}
        try:
            # Twilio ignores the key; gateways that know it do not send a text twice when an answer was lost.
            async with self._client().post(
                self._url, data=form, headers={"Idempotency-Key": message.id}, allow_redirects=False
            ) as response:
                if response.status // 100 == 2:
                    return
                text = (await response.content.read(_LONGEST_ANSWER)).decode(errors="replace")
                raise _refusal(response, text)
        except (ClientConnectorError, ConnectionTimeoutError) as error:
            raise TryLater(f"no connection to the SMS gateway ({type(error).__name__})") from error
        except (ClientError, TimeoutError, OSError) as error:
            reason = f"the SMS gateway did not answer ({type(error).__name__})"
            raise TryLater(reason, may_have_arrived=True) from error

    async def close(self) -> None:
        """See `Notifier.close`."""
        if self._session is not None:
            await self._session.close()

    def _client(self) -> ClientSession:
        if self._session is None:
            timeout = ClientTimeout(total=None, connect=_CONNECT_S)  # the caller's deadline ends the rest
            self._session = ClientSession(headers=self._headers, timeout=timeout)
        return self._session


def _refusal(response: ClientResponse, text: str) -> TryLater | NeverDeliverable:
    code, words = _error(text)
    said = f"{response.status}, error {code}" if code is not None else str(response.status)
    if response.status == 400:
        is_bad = code in _BAD_NUMBER if code is not None else bool(re.search(r"\bnumber\b", words, re.IGNORECASE))
        if is_bad:
            return NeverDeliverable(f"the SMS gateway says that there is no such number: {said}", is_contact_bad=True)
        return NeverDeliverable(f"the SMS gateway refuses the text: {said}", is_contact_bad=False)
    return TryLater(f"the SMS gateway does not take the text now: {said}", after_s=_retry_after_s(response))


def _error(text: str) -> tuple[int | None, str]:
    """Code and words of an error in Twilio's shape, {"code": 21211, "message": "…"}; the words never leave here."""
    try:
        data = json.loads(text)
    except ValueError:
        return None, text
    if not isinstance(data, dict):
        return None, text
    code = data.get("code")
    return (code if isinstance(code, int) else None), str(data.get("message", ""))


def _retry_after_s(response: ClientResponse) -> float | None:
    """Seconds, or a date that counts from the answer's own."""
    value = response.headers.get("Retry-After", "").strip()
    if value.isdigit():
        return float(value)
    until, sent = _date(value), _date(response.headers.get("Date", ""))
    return max(0.0, (until - sent).total_seconds()) if until and sent else None


def _date(value: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(value)
    except ValueError:
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)
