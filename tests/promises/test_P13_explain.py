"""P13: every automated decision about a machine can be explained, and a member can object to it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from agent.wire import Board, State
from tests.backend.readings import batch, reading
from tests.promises.deployed import Customer, Service, running, until


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    """A service that does not gather what it tells."""
    async with running(tmp_path, extra="[notify]\ngroup_wait_s = 0\n") as made:
        yield made


async def heat(service: Service, customer: Customer, temps_c: list[float], until_now: bool = True) -> list[datetime]:
    """One reading a minute, up to now."""
    now = service.now().replace(microsecond=0)
    times = [now - timedelta(minutes=len(temps_c) - 1 - minute) for minute in range(len(temps_c))]
    readings = [
        reading(1, at, State.HASHING, make="Antminer", model="S19 Pro", boards=(Board(index=0, chip_temp_c=temp),))
        for at, temp in zip(times, temps_c, strict=True)
    ]
    sent = batch(readings, site=customer.site, sent_at=service.now())
    assert (await service.send(sent, customer.agent)).status == 200
    return times


async def the_warning(service: Service, customer: Customer) -> dict[str, Any]:
    (one,) = (await service.seen("/v1/warnings", customer.read, state="all"))["warnings"]
    return dict(one)


async def explained(service: Service, customer: Customer, token: str | None = None) -> dict[str, Any]:
    one = await the_warning(service, customer)
    return dict(await service.seen(f"/v1/warnings/{one['id']}/explain", token or customer.read))


async def test_a_warning_says_its_rule_threshold_readings_and_times(service: Service) -> None:
    customer = await service.customer()
    numbers = {"warning": 85, "warning_for_s": 120}
    changed = await service.ask(
        "PUT", "/v1/rules", customer.session, json={"rule": "chip_hot", "model": "*S19*", "numbers": numbers}
    )
    assert changed.status == 200
    times = await heat(service, customer, [70, 70, 87, 88, 89])
    later = {"rule": "chip_hot", "numbers": {"warning": 99}}  # tells nothing of what was decided before
    assert (await service.ask("PUT", "/v1/rules", customer.session, json=later)).status == 200

    why = await explained(service, customer)
    assert (why["rule"]["rule"], why["rule"]["compare"]) == ("chip_hot", ">=")
    assert why["rule"]["limits"][0] == {"severity": "warning", "at": 85, "for_s": 120}
    assert why["rule"]["numbers_from"] == ["catalogue", "model"]
    assert (why["warning"]["value"], why["warning"]["threshold"]) == (89, 85)
    (metric,) = why["readings"]
    assert metric["metric"] == "chip_temp_c"
    assert [value for _, value in metric["points"]] == [70, 70, 87, 88, 89]
    assert [(each["what"], datetime.fromisoformat(each["at"])) for each in why["timeline"]] == [
        ("began", times[2]),
        ("fired", times[4]),
    ]


async def test_it_says_who_was_told_what_and_when_and_who_was_not_and_why(service: Service) -> None:
    customer = await service.customer()
    await heat(service, customer, [92, 92, 92, 92])

    async def told() -> list[dict[str, Any]]:
        return [each for each in (await explained(service, customer))["told"] if each.get("sent_at")]

    (mail,) = await until(told)
    assert (mail["member"], mail["channel"], mail["severity"]) == (customer.owner, "email", "warning")
    (text,) = (await explained(service, customer))["held"]
    assert (text["member"], text["channel"]) == (customer.owner, "sms")
    assert "told of critical and worse" in text["why"][0]


async def test_what_was_held_back_is_explained(service: Service) -> None:
    customer = await service.customer()
    ends_at = (service.now() + timedelta(hours=1)).isoformat()
    silence = await service.done(
        "/v1/silences", customer.session, site="Hall", rule="chip_hot", ends_at=ends_at, reason="fans are exchanged"
    )
    await heat(service, customer, [92, 92, 92, 92])
    why = await explained(service, customer)
    assert why["told"] == []
    assert all(any("fans are exchanged" in reason for reason in each["why"]) for each in why["held"])

    assert (await service.ask("DELETE", f"/v1/silences/{silence['silence']}", customer.session)).status == 204

    async def told() -> list[dict[str, Any]]:
        return list((await explained(service, customer))["told"])

    assert [each["channel"] for each in await until(told)] == ["email"]
    assert (await service.seen("/v1/silences", customer.read))["silences"] == []


async def test_what_became_worse_and_was_acknowledged_is_in_the_timeline(service: Service) -> None:
    customer = await service.customer()
    await heat(service, customer, [92, 92, 92, 92, 101, 101])
    one = await the_warning(service, customer)
    assert (await service.post(f"/v1/warnings/{one['id']}/acknowledge", customer.session)).status == 204
    timeline = (await explained(service, customer))["timeline"]
    assert [(each["what"], each.get("severity")) for each in timeline] == [
        ("began", None),
        ("fired", "warning"),
        ("escalated", "critical"),
        ("acknowledged", None),
    ]


async def test_a_member_mutes_a_rule_for_themselves_alone(service: Service) -> None:
    customer = await service.customer()
    _, viewer = await service.member(customer, "viewer@north.example")
    muted = await service.done("/v1/mutes", viewer, rule="chip_hot")
    await heat(service, customer, [92, 92, 92, 92])

    async def told() -> list[dict[str, Any]]:
        return [each for each in (await explained(service, customer))["told"] if each.get("sent_at")]

    assert [each["member"] for each in await until(told)] == [customer.owner]
    assert {mail["To"] for mail in service.mail.mails} == {customer.email}
    assert (await service.seen("/v1/silences", customer.session))["silences"] == []  # nobody else's business
    assert (await service.ask("DELETE", f"/v1/mutes/{muted['silence']}", customer.session)).status == 404
    assert (await service.ask("DELETE", f"/v1/mutes/{muted['silence']}", viewer)).status == 204

    async def both() -> bool:
        return {mail["To"] for mail in service.mail.mails} == {customer.email, "viewer@north.example"}

    assert await until(both)


async def test_a_member_asks_for_a_person_who_answers_under_a_grant(service: Service) -> None:
    customer = await service.customer()
    _, admin = await service.staff("boss@itsminer.example")
    _, viewer = await service.member(customer, "viewer@north.example")
    await heat(service, customer, [92, 92, 92, 92])
    one = await the_warning(service, customer)
    asked = await service.post(f"/v1/warnings/{one['id']}/review", viewer, reason="the sensor is broken")
    assert asked.status == 201
    assert (await service.post(f"/v1/warnings/{one['id']}/review", viewer, reason="again")).status == 409

    async def staff_is_told() -> bool:
        return any(mail["To"] == "boss@itsminer.example" for mail in service.mail.mails)

    await until(staff_is_told)
    (waiting,) = (await service.seen("/v1/staff/reviews", admin))["reviews"]
    review = {"review": waiting["review"]}
    assert (await service.get("/v1/staff/review", admin, **review)).status == 403
    await service.done("/v1/staff/grants", admin, account=customer.account, reason="a member asks for a review")
    assert (await service.seen("/v1/staff/review", admin, **review))["reason"] == "the sensor is broken"
    await service.done("/v1/staff/reviews/answer", admin, **review, answer="It is: muted until it is exchanged.")
    (told,) = (await explained(service, customer, viewer))["reviews"]
    assert told["answer"] == "It is: muted until it is exchanged."
    assert (await service.post("/v1/staff/reviews/answer", admin, **review, answer="twice")).status == 409
