"""Small pages behind links in messages: what the link does, and the button that does it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from aiohttp import web

from backend.api.route import HTML, Call
from backend.notify.render import TEMPLATES
from backend.notify.tongue import Tongue

_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'"


def tongue(call: Call[Any]) -> Tongue:
    """The language of who asks without saying who they are: their browser's. No cookie is needed for it."""
    return Tongue.asked_for(call.request.headers.get("Accept-Language", ""))


def page(
    call: Call[Any],
    tongue: Tongue,
    *,
    title: str,
    text: str,
    items: Sequence[str] = (),
    button: str | None = None,
    status: int = 200,
) -> web.Response:
    """The page; its button posts to the link itself. `items`: what it is about, a line each."""
    return filled(call, tongue, "ask.html", status, title=title, text=text, items=items, button=button)


def filled(call: Call[Any], tongue: Tongue, template: str, status: int = 200, **shown: object) -> web.Response:
    """A page of a template of ours, with whom to ask at its end."""
    contact = call.services.settings.contact
    words = {
        "t": tongue.say,
        "language": tongue.code,
        "page_url": "/",
        "service": contact.name,
        "contact": f"{contact.name} <{contact.email}>" if contact.email else None,
        "contact_address": contact.email,
        **shown,
    }
    body = TEMPLATES.get_template(template).render(words).lstrip()
    return web.Response(text=body, status=status, content_type=HTML, headers={"Content-Security-Policy": _POLICY})


def over(call: Call[Any]) -> web.Response:
    """For a link that is over, or was never made here: the two are told apart for nobody."""
    said = tongue(call)
    return page(
        call,
        said,
        title=said.say("This link does nothing any more"),
        text=said.say("Links in messages end after a while. Please open the page instead."),
        status=404,
    )
