"""Any HTTP gateway: method, address, headers and body are templates in the settings.

`{to}`, `{from}`, `{text}`, `{id}`, `{account}` and `{token}` are put in, each written as the place needs it:
percent-encoded in the address and in a form, escaped in JSON, on one line in a header.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import quote, quote_plus

from backend.config import Sms as Settings
from backend.notify.protocol import Message, NeverDeliverable, NotConfigured, NotifierError
from backend.notify.sms.gateway import Answer, Request, checked_url, not_now

_NAMES: Final = frozenset({"to", "from", "text", "id", "account", "token"})
_PLACE: Final = re.compile(r"\{([a-z]+)\}")
_ESCAPES: Final[Mapping[str, Callable[[str], str]]] = {
    "application/json": lambda value: json.dumps(value, ensure_ascii=False)[1:-1],
    "application/x-www-form-urlencoded": quote_plus,
}


class Template:
    """A `Gateway`."""

    def __init__(self, settings: Settings, _public_url: str | None) -> None:
        if settings.url is None:
            raise NotConfigured("sms: a url is needed to send texts")
        self._url = checked_url(settings.url)
        self._settings = settings
        types = [value for name, value in settings.headers.items() if name.lower() == "content-type"]
        self._escape = _ESCAPES.get(types[0].partition(";")[0].strip() if types else "", str)
        self._bad_number = re.compile(settings.bad_number) if settings.bad_number is not None else None
        for part in (self._url, settings.body, *settings.headers.values()):
            if strangers := set(_PLACE.findall(part)) - _NAMES:
                raise NotConfigured(f"sms: there is no {{{strangers.pop()}}}: there are {', '.join(sorted(_NAMES))}")

    def request(self, message: Message) -> Request:
        """See `Gateway.request`."""
        settings = self._settings
        values = {
            "to": message.to,
            "from": settings.sender or "",
            "text": message.text,
            "id": message.id,
            "account": settings.account or "",
            "token": settings.token.get_secret_value() if settings.token is not None else "",
        }
        headers = {name: _filled(value, values, _one_line) for name, value in settings.headers.items()}
        body = _filled(settings.body, values, self._escape) if settings.body else None
        return Request(
            method=settings.method,
            url=_filled(self._url, values, lambda value: quote(value, safe="")),
            headers=headers,
            body=body.encode() if body is not None else None,
        )

    def refusal(self, answer: Answer) -> NotifierError | None:
        """See `Gateway.refusal`."""
        if self._bad_number is not None and self._bad_number.search(answer.text):
            return NeverDeliverable(f"the SMS gateway knows no such number: {answer.status}", is_contact_bad=True)
        if answer.status // 100 == 2:
            return None
        if answer.status in (400, 413, 422):
            return NeverDeliverable(f"the SMS gateway refuses the text: {answer.status}", is_contact_bad=False)
        return not_now(answer)


def _filled(template: str, values: Mapping[str, str], escape: Callable[[str], str]) -> str:
    """In one go: what is put in is not looked at again."""
    return _PLACE.sub(lambda place: escape(values[place[1]]), template)


def _one_line(value: str) -> str:
    return " ".join(value.split())
