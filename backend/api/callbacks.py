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
    """A bearer token is of the body; without one, `sig` is of all fields but our own in the address, wherever they
    stand. Either way the message that the signed fields name is the one that counts.
    """
    settings = call.services.settings.sms
    if settings.signature_secret is None:
        raise Problem(403, "the gateway's signature is not known here: set sms.signature_secret_file")
    secret, body = settings.signature_secret.get_secret_value(), await _body(call)
    scheme, _, token = call.request.headers.get("Authorization", "").partition(" ")
    said = vonage.fields(body)
    if scheme.lower() == "bearer":
        is_signed = vonage.is_borne(secret, token.strip(), body, settings.account, now=call.now)
    else:
        said = {name: value for name, value in (dict(call.request.query) | said).items() if name != "message"}
        is_signed = vonage.is_signed(secret, said)
    if not is_signed or said.get("client-ref") != call.query.message:
        raise Problem(403, "the signature is not the gateway's")
    return await _record(call, vonage.receipt(said))


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
