"""The insides of the pages about who is told what: rules and their numbers, silences, contacts."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final
from zoneinfo import available_timezones

from backend.api import contacts, rules, silences, sites
from backend.api.route import Call
from backend.api.rules import HistoryQuery, RulesQuery
from backend.console import files
from backend.console.parts import Part, may
from backend.notify.tongue import known

_CHANGES: Final = 50
"""Of rules, the newest."""


class Where(files.Anything):
    """Where the numbers of the rules are asked for; empty: in the whole account."""

    site: str = ""
    model: str = ""
    machine: str = ""


async def _rules(call: Call[Any]) -> Mapping[str, object]:
    """The numbers in force somewhere, where they come from, and who changed them."""
    where = RulesQuery.model_validate({name: value for name, value in call.query.model_dump().items() if value})
    found = await rules.listed(_asked(call, where))
    history = await rules.history(_asked(call, HistoryQuery(limit=_CHANGES)))
    known_sites = (await sites.listed(call)).sites
    catalogue = call.services.actions.catalogue
    return {
        "where": where,
        "found": found,
        "catalogue": {rule.name: rule for rule in catalogue},
        "history": history.changes,
        "sites": known_sites,
        "site_names": {site.site: site.name for site in known_sites},
        "may_change": may(call, "manage"),
        "seconds": lambda value: timedelta(seconds=value),
    }


async def _silences(call: Call[Any]) -> Mapping[str, object]:
    """What nobody is told of, now or later."""
    known_sites = (await sites.listed(call)).sites
    return {
        "silences": (await silences.listed(call)).silences,
        "sites": known_sites,
        "site_names": {site.site: site.name for site in known_sites},
        "rules": list(call.services.actions.catalogue),
        "titles": {rule.name: rule.title for rule in call.services.actions.catalogue},
        "own": call.bearer_known.member,
        "may_operate": may(call, "operate"),
    }


async def _contacts(call: Call[Any]) -> Mapping[str, object]:
    """Where warnings go: which, when, in which order."""
    return {
        "contacts": (await contacts.listed(call)).contacts,
        "sites": (await sites.listed(call)).sites,
        "zones": sorted(available_timezones()),
        "languages": known(),
        "own": call.member,
    }


def _asked(call: Call[Any], query: Any) -> Call[Any]:
    return Call(call.request, call.services, query, call.bearer, call.now)


PARTS: Final = (
    Part(
        name="rules",
        title="Rules",
        access="read",
        summary="Rules and their numbers, as HTML",
        shows=_rules,
        query=Where,
    ),
    Part(name="silences", title="Silences", access="read", summary="Of what nobody is told, as HTML", shows=_silences),
    Part(name="contacts", title="Contacts", access="privacy", summary="Where warnings go, as HTML", shows=_contacts),
)
"""For the table of pages."""
