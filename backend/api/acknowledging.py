"""`/a`: the link in a message that acknowledges. GET shows a button, POST acknowledges."""

from __future__ import annotations

from typing import Annotated, Final

from aiohttp import web
from pydantic import StringConstraints

from backend.api import asking
from backend.api.route import Call, Query
from backend.notify import acknowledging
from backend.notify.acknowledging import Told
from backend.notify.words import title_of

_LISTED: Final = 12


class AcknowledgeQuery(Query):
    """What the link carries."""

    t: Annotated[str, StringConstraints(max_length=100)]


async def ask(call: Call[AcknowledgeQuery]) -> web.Response:
    """What there is to acknowledge, and the button."""
    async with call.services.database.read() as session:
        told = await acknowledging.look(session, call.query.t, now=call.now)
    if told is None:
        return asking.over(call)
    if not told.open:
        return _done(call, told)
    say = told.tongue.say
    return asking.page(
        call,
        told.tongue,
        title=say("{site}: do you take care of it?", site=told.site.name),
        text=say(
            "Nobody takes care yet of what this message told and still is so. When you do, nobody is reminded of it, "
            "and nobody further is called."
        ),
        items=_listed(call, told),
        button=say("I take care of it"),
    )


async def acknowledge(call: Call[AcknowledgeQuery]) -> web.Response:
    """Somebody pressed it."""
    async with call.services.database.begin() as session:
        told = await acknowledging.acknowledge(session, call.query.t, now=call.now)
    return asking.over(call) if told is None else _done(call, told)


def _listed(call: Call[AcknowledgeQuery], told: Told) -> list[str]:
    """What it is about, as a mail's subject says it."""
    say, catalogue = told.tongue.say, call.services.actions.catalogue
    lines = []
    for warning in told.open[:_LISTED]:
        title, name = title_of(warning.rule, catalogue, told.tongue), warning.machine or told.site.name
        since = told.tongue.recent(warning.since, call.now)
        lines.append(say("{what}, since {since}", what=say("{title}: {name}", title=title, name=name), since=since))
    if (more := len(told.open) - _LISTED) > 0:
        lines.append(say("and {count} more", count=more))
    return lines


def _done(call: Call[AcknowledgeQuery], told: Told) -> web.Response:
    say = told.tongue.say
    return asking.page(
        call,
        told.tongue,
        title=say("{site}: it is taken care of", site=told.site.name),
        text=say("Nobody is reminded of what this message told. You will be told when it is over."),
    )
