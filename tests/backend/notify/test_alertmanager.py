"""The body of a webhook is Alertmanager's, version 4."""

from __future__ import annotations

import json
from typing import Any

from backend.notify.agenda import Agenda
from backend.notify.alertmanager import MOST
from backend.notify.routing import Channel
from tests.backend.farm import hashing, idle, rounds
from tests.backend.notify.desk import Desk, hot
from tests.backend.notify.test_render import EVERYTHING, render, warning


def body(agenda: Agenda, **options: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(render(agenda, Channel.WEBHOOK, **options).text)
    return found


def test_the_body_has_every_field_of_version_4() -> None:
    found = body(EVERYTHING, lan_url="http://10.0.0.5:8700")
    assert found.keys() >= {
        "version", "groupKey", "truncatedAlerts", "status", "receiver", "groupLabels", "commonLabels",
        "commonAnnotations", "externalURL", "alerts",
    }  # fmt: skip
    assert (found["version"], found["status"], found["truncatedAlerts"]) == ("4", "firing", 0)
    assert found["groupLabels"] == {"site": "sit_north"}
    assert found["commonLabels"] == {"site": "sit_north", "site_name": "North", "model": "S19 Pro"}
    alert = next(each for each in found["alerts"] if each["labels"]["alertname"] == "chip_hot")
    assert alert["status"] == "firing"
    assert alert["labels"]["severity"] == "warning"
    assert (alert["startsAt"], alert["endsAt"]) == ("2026-01-01T12:00:00+00:00", "0001-01-01T00:00:00Z")
    assert alert["annotations"]["description"] == "its hottest chip is at 91.6 °C (limit 90 °C)"
    over = next(each for each in found["alerts"] if each["status"] == "resolved")
    assert over["endsAt"] == "2026-01-01T14:05:00+00:00"


def test_more_alerts_than_a_body_takes_are_counted() -> None:
    found = body(Agenda(new=[warning("machine_offline", number) for number in range(MOST + 7)]))
    assert (len(found["alerts"]), found["truncatedAlerts"]) == (MOST, 7)


async def test_an_alert_keeps_its_fingerprint_from_firing_to_resolved(desk: Desk) -> None:
    await desk.add("webhook", "https://hook.example.com/x")
    await desk.judge(rounds(idle, [1], range(6)) + [hot(2, minute) for minute in range(4)])
    await desk.until(6)
    await desk.judge(rounds(hashing, [1], range(6, 11)))
    await desk.until(60)
    fired, over = (json.loads(message.text) for message in desk.hook.messages)
    assert (fired["status"], over["status"]) == ("firing", "resolved")
    assert over["alerts"][0]["fingerprint"] in {alert["fingerprint"] for alert in fired["alerts"]}
    assert [fired["messageId"], over["messageId"]] == [message.id for message in desk.hook.messages]
