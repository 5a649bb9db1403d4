"""`/v1/callbacks/…`: SMS gateways say what became of texts. Only a signed word is believed."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import parse_qsl

from aiohttp import web
from pydantic import ConfigDict, StringConstraints

from backend.api import bodies
from backend.api.problems import Problem
from backend.api.registering import done
from backend.api.route import Call, Query
from backend.notify.outbox import Outbox
from backend.notify.sms import receipts, twilio, vonage
from backend.notify.sms.receipts import Receipt

_PATIENCE_S = 10.0


class ReceiptQuery(Query):
    """The message that it is about, as we wrote it into the address; gateways add fields of their own."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    message: Annotated[str, StringConstraints(max_length=64)]


async def of_twilio(call: Call[ReceiptQuery]) -> web.Response:
    """`X-Twilio-Signature` is of the address as Twilio was given it, and of the form."""
    settings = call.services.settings.sms
    form = dict(parse_qsl((await _body(call)).decode(errors="replace"), keep_blank_values=True))
    url = f"{call.services.public_url.rstrip('/')}{call.request.path_qs}"
    presented = call.request.headers.get("X-Twilio-Signature", "")
    if settings.token is None or not twilio.is_signed(settings.token.get_secret_value(), url, form, presented):
        raise Problem(403, "the signature is not the gateway's")
    return await _record(call, twilio.receipt(form))


async def of_vonage(call: Call[ReceiptQuery]) -> web.Response:
    """`sig` is of all fields, wherever they stand; our own in the address is one of them."""
    secret = call.services.settings.sms.signature_secret
    sent = (await _body(call)).decode(errors="replace")
    params = dict(call.request.query) | dict(parse_qsl(sent, keep_blank_values=True))
    signed = {name: value for name, value in params.items() if name != "message"}
    is_ours = params.get("client-ref") == call.query.message
    if secret is None or not is_ours or not vonage.is_signed(secret.get_secret_value(), signed):
        raise Problem(403, "the signature is not the gateway's")
    return await _record(call, vonage.receipt(params))


async def _body(call: Call[ReceiptQuery]) -> bytes:
    return await bodies.received(call.request, bodies.SMALL, _PATIENCE_S)


async def _record(call: Call[ReceiptQuery], receipt: Receipt | None) -> web.Response:
    """A word that says nothing new is fine, too: gateways would repeat it."""
    if receipt is not None:
        outbox = Outbox(call.services.settings.notify)
        async with call.services.database.begin() as session:
            await receipts.record(session, call.query.message, receipt, outbox, now=call.now)
        call.services.wake()
    return done()
