"""Vonage's SMS API: `POST {url}/sms/json`, a form with the account's key and secret.

It answers 200 with a status for each part; "0" is taken. One part that was taken is a text that was taken: sent again,
it would arrive twice. https://developer.vonage.com/en/api/sms Receipts are signed by a field (SMS API) or by a bearer
token (Messages API, which an account can have its texts sent by).
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

from backend.config import Sms as Settings
from backend.notify import gsm
from backend.notify.protocol import Message, NeverDeliverable, NotConfigured, NotifierError
from backend.notify.sms import jwt
from backend.notify.sms.gateway import Answer, Request, checked_url, not_now
from backend.notify.sms.receipts import Receipt, receipt_url

_BARRED: Final = "7"
_REFUSED: Final = frozenset({"2", "3", "6", "12", "15"})
"""About the text or its sender: missing or bad parameters, not understood, too long, no such sender."""
_GONE: Final = frozenset({"2", "3", "6", "9"})
"""Said later of the number: absent for good, unknown, barred by who has it, illegal."""


class Vonage:
    """A `Gateway`."""

    def __init__(self, settings: Settings, public_url: str | None) -> None:
        if settings.url is None or settings.account is None or settings.token is None or settings.sender is None:
            raise NotConfigured("sms: url, account (the API key), sender and a token (the API secret) are needed")
        self._url = f"{checked_url(settings.url)}/sms/json"
        self._login = {"api_key": settings.account, "api_secret": settings.token.get_secret_value()}
        self._sender = settings.sender.removeprefix("+")
        self._public_url = public_url

    def request(self, message: Message) -> Request:
        """See `Gateway.request`."""
        form = self._login | {
            "from": self._sender,
            "to": message.to.removeprefix("+"),
            "text": message.text,
            "type": "text" if gsm.is_gsm(message.text) else "unicode",
            "client-ref": message.id,
        }
        if self._public_url is not None:
            form["callback"] = receipt_url(self._public_url, "vonage", message.id)
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return Request(url=self._url, headers=headers, body=urlencode(form).encode())

    def refusal(self, answer: Answer) -> NotifierError | None:
        """See `Gateway.refusal`."""
        statuses = _statuses(answer.text) if answer.status == 200 else []
        if not statuses:
            return not_now(answer)
        if "0" in statuses:
            return None
        said = f"status {statuses[0]}"
        if statuses[0] == _BARRED:
            return NeverDeliverable(f"the SMS gateway may not send to this number: {said}", is_contact_bad=True)
        if statuses[0] in _REFUSED:
            return NeverDeliverable(f"the SMS gateway refuses the text: {said}", is_contact_bad=False)
        return not_now(answer, said)


def is_signed(secret: str, params: Mapping[str, str]) -> bool:
    """`sig`: HMAC-SHA256 of `&name=value`, sorted, where "&" and "=" in values are "_".

    https://developer.vonage.com/en/getting-started/concepts/signing-messages
    """
    signed = "".join(
        f"&{name}={params[name].replace('&', '_').replace('=', '_')}" for name in sorted(params) if name != "sig"
    )
    made = hmac.digest(secret.encode(), signed.encode(), "sha256").hex()
    return hmac.compare_digest(made.encode(), params.get("sig", "").lower().encode())


def is_borne(secret: str, token: str, body: bytes, account: str | None, *, now: datetime) -> bool:
    """`Authorization: Bearer`: a token lately made for our account, with the SHA-256 of just this body.

    https://developer.vonage.com/en/getting-started/concepts/webhooks
    """
    said = jwt.claims(secret, token, now=now)
    if said is None or said.get("api_key", account) != account:
        return False
    return hmac.compare_digest(hashlib.sha256(body).hexdigest(), str(said.get("payload_hash", "")).lower())


def fields(body: bytes) -> dict[str, str]:
    """What a receipt says: a form of the SMS API's, or JSON of the Messages API's, in the names of the former."""
    text = body.decode(errors="replace")
    if not text.lstrip().startswith("{"):
        return dict(parse_qsl(text, keep_blank_values=True))
    try:
        said = json.loads(text)
    except ValueError:
        return {}
    error = said.get("error")
    code = error.get("title", "") if isinstance(error, dict) else said.get("err-code", "")
    plain = {name: str(value) for name, value in said.items() if isinstance(value, str | int)}
    return plain | {"client-ref": str(said.get("client_ref", said.get("client-ref", ""))), "err-code": str(code)}


def receipt(params: Mapping[str, str]) -> Receipt | None:
    """What became of a text."""
    states = {"delivered": "delivered", "accepted": "sent", "buffered": "sent", "submitted": "sent"}
    states |= dict.fromkeys(("failed", "rejected", "expired", "undeliverable"), "failed")
    status, code = params.get("status", ""), params.get("err-code", "")
    if status not in states:
        return None
    return Receipt(states[status], code, is_contact_bad=states[status] == "failed" and code in _GONE)


def _statuses(text: str) -> list[str]:
    """Of each part; nothing when this is no answer of Vonage's."""
    try:
        data: Any = json.loads(text)
        return [str(part["status"]) for part in data["messages"]]
    except (ValueError, KeyError, TypeError):
        return []
