"""The inside of the page of the machines that members say they have, beside those that were found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from backend.api import declared, sites
from backend.api.route import Call
from backend.console.parts import Part, may


async def _declared(call: Call[Any]) -> Mapping[str, object]:
    """Both, and what differs."""
    known_sites = (await sites.listed(call)).sites
    found = await declared.listed(call)
    return {
        "found": found,
        "differences": [one for one in found.difference if one.declared != one.seen or one.missing or one.unknown],
        "sites": known_sites,
        "site_names": {site.site: site.name for site in known_sites},
        "may_change": may(call, "manage"),
    }


PARTS: Final = (
    Part(
        name="declared",
        title="Declared machines",
        access="read",
        summary="Declared and discovered machines, as HTML",
        shows=_declared,
    ),
)
"""For the table of pages."""
