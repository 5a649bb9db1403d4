"""The body of a webhook: what Prometheus' Alertmanager sends, version 4, so that what takes its alerts takes ours.

https://prometheus.io/docs/alerting/latest/configuration/#webhook_config. One group is one site and what is said of it
in one message; an alert's fingerprint is the same from firing to resolved. Machines go by their pseudonyms.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from backend.notify.claim import Claim
from backend.notify.tongue import Tongue
from backend.notify.words import lan_url, says, title_of
from backend.registry.site_tables import Site
from backend.registry.warning_tables import Warning
from backend.warnings.catalogue import Catalogue

MOST: Final = 500
"""Alerts in one message; `truncatedAlerts` counts the rest."""

_NOT_YET: Final = "0001-01-01T00:00:00Z"  # Go's zero time: what Alertmanager writes for an alert that still fires


def document(claim: Claim, site: Site, catalogue: Catalogue, page_url: str, tongue: Tongue, *, now: datetime) -> str:
    """The body, as JSON."""
    agenda = claim.agenda
    told = [*agenda.new, *agenda.standing, *agenda.over]
    alerts = [_alert(warning, site, catalogue, page_url, tongue) for warning in told[:MOST]]
    status = "firing" if agenda.new or agenda.standing else "resolved"
    group = {"site": site.id}
    return _body(claim, status, group, alerts, page_url, cut=max(0, len(told) - MOST), now=now)


def ping(claim: Claim, page_url: str) -> str:
    """No alert at all: what takes this is there, and nobody is woken."""
    return _body(claim, "resolved", {}, [], page_url, cut=0, now=claim.created_at)


def _body(
    claim: Claim,
    status: str,
    group: Mapping[str, str],
    alerts: Sequence[Mapping[str, Any]],
    page_url: str,
    *,
    cut: int,
    now: datetime,
) -> str:
    return json.dumps(
        {
            "version": "4",
            "groupKey": f"{{}}:{json.dumps(dict(group))}",
            "truncatedAlerts": cut,
            "status": status,
            "receiver": claim.contact.label or claim.contact.id if claim.contact is not None else "itsminer",
            "groupLabels": group,
            "commonLabels": _common([alert["labels"] for alert in alerts]),
            "commonAnnotations": _common([alert["annotations"] for alert in alerts]),
            "externalURL": page_url,
            "alerts": alerts,
            "messageId": claim.id,  # ours: the same when this message is sent again
            "sentAt": now.isoformat(),
        },
        ensure_ascii=False,
    )


def _alert(warning: Warning, site: Site, catalogue: Catalogue, page_url: str, tongue: Tongue) -> dict[str, Any]:
    rule = catalogue.get(warning.rule)
    labels = {"alertname": warning.rule, "severity": warning.severity, "site": site.id, "site_name": site.name}
    labels |= {name: value for name in ("machine", "model") if (value := getattr(warning, name))}
    annotations = {
        "summary": tongue.say(
            "{title}: {name}", title=title_of(warning.rule, catalogue, tongue), name=warning.machine or site.name
        ),
        "description": says(warning, rule, tongue),
        "runbook": tongue.say(rule.first) if rule else "",
    }
    if (on_site := lan_url(site, warning)) is not None:
        annotations["on_site_page"] = on_site
    return {
        "status": "firing" if warning.resolved_at is None else "resolved",
        "labels": labels,
        "annotations": annotations,
        "startsAt": warning.since.isoformat(),
        "endsAt": warning.resolved_at.isoformat() if warning.resolved_at else _NOT_YET,
        "generatorURL": page_url,
        "fingerprint": hashlib.sha256(warning.id.encode()).hexdigest()[:16],
    }


def _common(each: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """What all of them say alike."""
    if not each:
        return {}
    return {name: value for name, value in each[0].items() if all(other.get(name) == value for other in each)}
