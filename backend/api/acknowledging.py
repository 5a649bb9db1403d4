"""`/a`: the link in a message that acknowledges. GET shows a button, POST acknowledges."""

from __future__ import annotations

from typing import Annotated

from aiohttp import web
from pydantic import StringConstraints

from backend.api import asking
from backend.api.route import Call, Query
from backend.notify import acknowledging
from backend.notify.acknowledging import Told


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
            "Warnings in this message that still are so and nobody takes care of: {count}. When you do, nobody is "
            "reminded of them, and nobody further is called.",
            count=len(told.open),
        ),
        button=say("I take care of it"),
    )


async def acknowledge(call: Call[AcknowledgeQuery]) -> web.Response:
    """Somebody pressed it."""
    async with call.services.database.begin() as session:
        told = await acknowledging.acknowledge(session, call.query.t, now=call.now)
    return asking.over(call) if told is None else _done(call, told)


def _done(call: Call[AcknowledgeQuery], told: Told) -> web.Response:
    say = told.tongue.say
    return asking.page(
        call,
        told.tongue,
        title=say("{site}: it is taken care of", site=told.site.name),
        text=say("Nobody is reminded of what this message told. You will be told when it is over."),
    )
