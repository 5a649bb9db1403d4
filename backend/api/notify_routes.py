"""The rows of the API's table that are about contacts, and about links and receipts of messages."""

from __future__ import annotations

from typing import Any

from backend.api import acknowledging, callbacks, contacts, unsubscribing
from backend.api.registering import TokenRequest
from backend.api.route import HTML, Route
from backend.api.rows import get, post
from backend.notify.links import ACKNOWLEDGE, STOP_DIGEST
from backend.notify.sms.receipts import PATH


def notify_routes() -> tuple[Route[Any], ...]:
    """The rows."""
    return (*_contacts(), *_links(), *_receipts())


def _contacts() -> tuple[Route[Any], ...]:
    return (
        get("/v1/contacts", contacts.listed, "privacy", "Where warnings go", contacts.ContactsReply),
        post(
            "/v1/contacts",
            contacts.add,
            "privacy",
            "Have warnings sent to one more contact, once it is verified",
            contacts.NewContactRequest,
            contacts.NewContactReply,
            201,
        ),
        post(
            "/v1/contacts/ask",
            contacts.ask_again,
            "privacy",
            "Send what verifies a contact again",
            contacts.ContactRequest,
            status=202,
        ),
        post(
            "/v1/contacts/confirm", contacts.confirm, "public", "Verify a contact by the link in a mail", TokenRequest
        ),
        post(
            "/v1/contacts/verify",
            contacts.verify,
            "privacy",
            "Verify a contact by the code in a text",
            contacts.CodeRequest,
        ),
        post(
            "/v1/contacts/change",
            contacts.change,
            "privacy",
            "Say which warnings a contact is told of, and when",
            contacts.ChangeRequest,
        ),
        post("/v1/contacts/remove", contacts.remove, "privacy", "Forget a contact", contacts.ContactRequest),
    )


def _links() -> tuple[Route[Any], ...]:
    return (
        Route(
            method="GET",
            path=ACKNOWLEDGE,
            handler=acknowledging.ask,
            access="public",
            summary="A button that acknowledges what a message told",
            query=acknowledging.AcknowledgeQuery,
            media_type=HTML,
            problems=(404,),
        ),
        Route(
            method="POST",
            path=ACKNOWLEDGE,
            handler=acknowledging.acknowledge,
            access="public",
            summary="Acknowledge what a message told, without logging in",
            query=acknowledging.AcknowledgeQuery,
            media_type=HTML,
            problems=(404,),
        ),
        Route(
            method="GET",
            path=STOP_DIGEST,
            handler=unsubscribing.ask,
            access="public",
            summary="A button that ends summaries",
            query=unsubscribing.StopQuery,
            media_type=HTML,
            problems=(404,),
        ),
        Route(
            method="POST",
            path=STOP_DIGEST,
            handler=unsubscribing.stop,
            access="public",
            summary="End summaries, without logging in (RFC 8058)",
            query=unsubscribing.StopQuery,
            media_type=HTML,
            problems=(404,),
        ),
    )


def _receipts() -> tuple[Route[Any], ...]:
    return tuple(
        Route(
            method="POST",
            path=f"{PATH}{name}",
            handler=handler,
            access="public",
            summary=f"What became of a text, signed by {name.capitalize()}",
            query=callbacks.ReceiptQuery,
            status=204,
            problems=(403, 408, 413),
        )
        for name, handler in (("twilio", callbacks.of_twilio), ("vonage", callbacks.of_vonage))
    )
