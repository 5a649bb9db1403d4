"""The inside of the page about one's data: what it is used for, how long it is kept, who saw it, copies, requests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, get_args

from backend.api import consents, exports, oversight, requests, retention, sharing
from backend.api.route import Call
from backend.console.parts import Part, may
from backend.console.vocabulary import NAMES_OF_CLASSES
from backend.privacy.requests import Kind

_SEEN: Final = 50
"""Entries of the audit trail, the newest."""


async def _privacy(call: Call[Any]) -> Mapping[str, object]:
    """For each member; what concerns the whole account for owners only."""
    shown: dict[str, object] = {
        "purposes": (await consents.listed(call)).purposes,
        "classes": (await retention.listed(call)).classes,
        "requests": (await requests.own(call)).requests,
        "names": NAMES_OF_CLASSES,
        "kinds": get_args(Kind),
        "is_owner": may(call, "own"),
        "exports": [],
        "entries": [],
        "is_shared": None,
    }
    if shown["is_owner"]:
        log = await oversight.own_log(
            Call(call.request, call.services, oversight.OwnLogQuery(before=None), call.bearer, call.now)
        )
        shown |= {
            "exports": (await exports.listed(call)).exports,
            "entries": log.entries[:_SEEN],
            "is_shared": not (await sharing.state(call)).do_not_sell_or_share,
        }
    return shown


PARTS: Final = (
    Part(
        name="privacy",
        title="Your data",
        access="privacy",
        summary="What data is used for, how long it is kept, who saw it, as HTML",
        shows=_privacy,
    ),
)
"""For the table of pages."""
