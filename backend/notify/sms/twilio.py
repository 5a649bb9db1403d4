"""Twilio's message API, and gateways that speak the same.

`POST {url}/2010-04-01/Accounts/{account}/Messages.json`, basic auth, a form of To, From and Body. 2xx means that the
gateway has taken it. 400 is a bad contact when its error code is about the number; all else is ours to mend, or the
gateway's: later. https://www.twilio.com/docs/messaging/api/message-resource
"""

from __future__ import annotations

import hmac
import json
import re
from base64 import b64encode
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote, urlencode

from backend.config import Sms as Settings
from backend.notify.protocol import Message, NeverDeliverable, NotConfigured, NotifierError
from backend.notify.sms.gateway import Answer, Request, checked_url, not_now
from backend.notify.sms.receipts import Receipt, receipt_url

_BAD_NUMBER: Final = frozenset({21211, 21214, 21217, 21219, 21265, 21610, 21614})
"""Not a number, unreachable, unverified, not one that can get texts; 21610: its owner answered STOP."""
_GONE: Final = frozenset({"30005", "30006"})
"""Said later: nobody has this number; it is one that cannot get texts."""


class Twilio:
    """A `Gateway`."""

    def __init__(self, settings: Settings, public_url: str | None) -> None:
        if settings.url is None or settings.account is None or settings.token is None or settings.sender is None:
            raise NotConfigured("sms: url, account, sender and a token are needed to send texts")
        account = quote(settings.account, safe="")
        self._url = f"{checked_url(settings.url)}/2010-04-01/Accounts/{account}/Messages.json"
        login = f"{settings.account}:{settings.token.get_secret_value()}"
        self._authorization = f"Basic {b64encode(login.encode()).decode()}"
        self._sender = settings.sender
        self._public_url = public_url

    def request(self, message: Message) -> Request:
        """See `Gateway.request`."""
        form = {"To": message.to, "From": self._sender, "Body": message.text}
        if self._public_url is not None:
            form["StatusCallback"] = receipt_url(self._public_url, "twilio", message.id)
        headers = {
            "Authorization": self._authorization,
            "Content-Type": "application/x-www-form-urlencoded",
            # Twilio ignores the key; gateways that know it do not send a text twice when an answer was lost.
            "Idempotency-Key": message.id,
        }
        return Request(url=self._url, headers=headers, body=urlencode(form).encode())

    def refusal(self, answer: Answer) -> NotifierError | None:
        """See `Gateway.refusal`."""
        if answer.status // 100 == 2:
            return None
        code, words = _error(answer.text)
        said = f"{answer.status}, error {code}" if code is not None else str(answer.status)
        if answer.status == 400:
            is_bad = code in _BAD_NUMBER if code is not None else bool(re.search(r"\bnumber\b", words, re.IGNORECASE))
            if is_bad:
                return NeverDeliverable(
                    f"the SMS gateway says that there is no such number: {said}", is_contact_bad=True
                )
            return NeverDeliverable(f"the SMS gateway refuses the text: {said}", is_contact_bad=False)
        return not_now(answer, said)


def is_signed(token: str, url: str, form: Mapping[str, str], signature: str) -> bool:
    """`X-Twilio-Signature`: HMAC-SHA1 of the whole URL and the form's names and values, sorted, in base64."""
    signed = url + "".join(f"{name}{form[name]}" for name in sorted(form))
    made = b64encode(hmac.digest(token.encode(), signed.encode(), "sha1")).decode()
    return hmac.compare_digest(made.encode(), signature.encode())


def receipt(form: Mapping[str, str]) -> Receipt | None:
    """What became of a text. https://www.twilio.com/docs/messaging/guides/track-outbound-message-status"""
    status = form.get("MessageStatus") or form.get("SmsStatus")
    states = {"delivered": "delivered", "sent": "sent", "undelivered": "failed", "failed": "failed"}
    if status not in states:
        return None
    code = form.get("ErrorCode", "")
    return Receipt(states[status], code, is_contact_bad=code in _GONE)


def _error(text: str) -> tuple[int | None, str]:
    """Code and words of an error, {"code": 21211, "message": "…"}; the words never leave here."""
    try:
        data = json.loads(text)
    except ValueError:
        return None, text
    if not isinstance(data, dict):
        return None, text
    code = data.get("code")
    return (code if isinstance(code, int) else None), str(data.get("message", ""))
