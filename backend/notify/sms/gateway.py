"""What a class for an SMS gateway does, and the notifier that posts for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol
from urllib.parse import urlsplit

from aiohttp import ClientError, ClientSession, ClientTimeout, ConnectionTimeoutError
from aiohttp.client_exceptions import ClientConnectorError

from backend.notify.loopback import is_loopback
from backend.notify.protocol import Message, NotConfigured, NotifierError, TryLater
from backend.notify.retry_after import wish_s

_CONNECT_S: Final = 10  # before this, nothing was sent
_LONGEST_ANSWER: Final = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What to send to a gateway."""

    method: str = "POST"
    url: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a gateway said."""

    status: int
    text: str
    retry_after_s: float | None = None


class Gateway(Protocol):
    """One provider's way to send a text. Holds no connection and keeps no state."""

    def request(self, message: Message) -> Request:
        """What to send for a message."""

    def refusal(self, answer: Answer) -> NotifierError | None:
        """What an answer means: None when the gateway has taken the text. Names no contact."""


class Sms:
    """A `Notifier` that sends each message through one gateway."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._session: ClientSession | None = None

    async def send(self, message: Message) -> None:
        """See `Notifier.send`."""
        request = self._gateway.request(message)
        try:
            async with self._client().request(
                request.method, request.url, data=request.body, headers=request.headers, allow_redirects=False
            ) as response:
                text = (await response.content.read(_LONGEST_ANSWER)).decode(errors="replace")
                answer = Answer(status=response.status, text=text, retry_after_s=wish_s(response.headers))
        except (ClientConnectorError, ConnectionTimeoutError) as error:
            raise TryLater(f"no connection to the SMS gateway ({type(error).__name__})") from error
        except (ClientError, TimeoutError, OSError) as error:
            reason = f"the SMS gateway did not answer ({type(error).__name__})"
            raise TryLater(reason, may_have_arrived=True) from error
        if (refusal := self._gateway.refusal(answer)) is not None:
            raise refusal

    async def close(self) -> None:
        """See `Notifier.close`."""
        if self._session is not None:
            await self._session.close()

    def _client(self) -> ClientSession:
        if self._session is None:
            timeout = ClientTimeout(total=None, connect=_CONNECT_S)  # the caller's deadline ends the rest
            self._session = ClientSession(timeout=timeout)
        return self._session


def checked_url(url: str) -> str:
    """Where texts may be sent to. Raises `NotConfigured`."""
    parts = urlsplit(url)
    if parts.scheme != "https" and not is_loopback(parts.hostname or ""):
        raise NotConfigured("sms.url: http is for a gateway on this machine: use https")
    return url.rstrip("/")


def not_now(answer: Answer, said: str = "") -> TryLater:
    """All that is ours to mend, or the gateway's."""
    reason = f"the SMS gateway does not take the text now: {said or answer.status}"
    return TryLater(reason, after_s=answer.retry_after_s)
