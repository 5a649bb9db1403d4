"""The rules' numbers over HTTP: where they come from, who changed them, and that the engine goes by them at once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from agent.wire import Board, State
from tests.backend.readings import batch, machine, reading
from tests.promises.deployed import Answer, Customer, Service, running


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    async with running(tmp_path, extra="[rules.chip_hot]\nwarning = 88\n") as made:
        yield made


async def change(service: Service, customer: Customer, **body: Any) -> Answer:
    return await service.ask("PUT", "/v1/rules", customer.session, json=body)


async def chip_hot(service: Service, customer: Customer, **where: str) -> tuple[float, list[str]]:
    rules = (await service.seen("/v1/rules", customer.read, **where))["rules"]
    (rule,) = (each for each in rules if each["rule"] == "chip_hot")
    return rule["limits"][0]["at"], rule["changed_by"]


async def test_numbers_have_one_order_of_precedence(service: Service) -> None:
    customer = await service.customer()
    where: dict[str, str] = {"site": "Hall", "model": "Antminer S19 Pro", "machine": machine(1)}
    assert await chip_hot(service, customer, **where) == (88, ["catalogue", "settings"])
    assert await chip_hot(service, customer, model="Whatsminer M50") == (
        88,
        ["catalogue", "catalogue, by model", "settings"],
    )
    places: dict[str, dict[str, Any]] = {
        "account": {},
        "site": {"site": "Hall"},
        "model": {"model": "*s19*"},
        "machine": {"machine": machine(1)},
    }
    for number, (place, there) in enumerate(places.items()):
        answer = await change(service, customer, rule="chip_hot", numbers={"warning": 80 + number}, **there)
        assert answer.status == 200, answer.body
        at, sources = await chip_hot(service, customer, **where)
        assert (at, sources[-1]) == (80 + number, place)
    order = (await service.seen("/v1/rules", customer.read))["order"]
    assert order == ["catalogue", "catalogue, by model", "settings", "account", "site", "model", "machine"]
    assert (await change(service, customer, rule="chip_hot", machine=machine(1), numbers={})).status == 200
    assert (await chip_hot(service, customer, **where))[0] == 82


async def test_the_history_says_who_changed_what_when_from_what_to_what(service: Service) -> None:
    customer = await service.customer()
    await change(service, customer, rule="chip_hot", numbers={"warning": 85})
    await change(service, customer, rule="chip_hot", numbers={"warning": 85})  # changes nothing
    await change(service, customer, rule="chip_hot", numbers={"warning": 86, "for_s": 60})
    await change(service, customer, rule="fan_stopped", site="Hall", numbers={"enabled": 0})
    changes = (await service.seen("/v1/rules/history", customer.read))["changes"]
    assert [(each["rule"], each.get("site"), each["before"], each["after"]) for each in reversed(changes)] == [
        ("chip_hot", None, {}, {"warning": 85}),
        ("chip_hot", None, {"warning": 85}, {"warning": 86, "for_s": 60}),
        ("fan_stopped", customer.site, {}, {"enabled": 0}),
    ]
    assert {each["by"] for each in changes} == {customer.owner}


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ({"rule": "chip_warm", "numbers": {"warning": 1}}, "there is no rule chip_warm; there are machine_offline"),
        ({"rule": "chip_hot", "numbers": {"warm": 1}}, "there is no warm; there are"),
        ({"rule": "chip_hot", "numbers": {"info": 1}}, "has no limit for info"),
        ({"rule": "chip_hot", "numbers": {"warning": 90, "critical": 80}}, "harder to reach"),
        ({"rule": "chip_hot", "numbers": {"for_s": -1}}, "for_s cannot be -1"),
        ({"rule": "restarting", "numbers": {"clear_margin": 1}}, "clears at 0"),
        ({"rule": "site_degraded", "machine": machine(1), "numbers": {"critical": 50}}, "is about a site"),
        ({"rule": "chip_hot", "numbers": {"warning": 1}, "colour": 1}, "colour"),
        ({"rule": "chip_hot", "machine": "m1", "numbers": {"warning": 1}}, "machine"),
    ],
)
async def test_what_a_rule_cannot_have_is_refused_in_words(service: Service, body: dict[str, Any], word: str) -> None:
    customer = await service.customer()
    answer = await change(service, customer, **body)
    assert (answer.status, word in answer.body.decode()) == (422, True), answer.body
    assert (await service.seen("/v1/rules/history", customer.read))["changes"] == []


async def test_a_change_counts_from_the_next_reading_on_and_nothing_is_forgotten(service: Service) -> None:
    customer = await service.customer()
    now = service.now().replace(microsecond=0)

    async def heat(minutes_ago: float, temp_c: float, uptime_s: float) -> None:
        at = now - timedelta(minutes=minutes_ago)
        hot = reading(1, at, State.HASHING, uptime_s=uptime_s, boards=(Board(index=0, chip_temp_c=temp_c),))
        assert (await service.send(batch([hot], site=customer.site, sent_at=at), customer.agent)).status == 200

    for minutes_ago, uptime_s in ((9, 900), (8, 5), (7, 4), (6, 64)):
        await heat(minutes_ago, 84, uptime_s)
    assert (await service.seen("/v1/warnings", customer.read))["warnings"] == []
    assert (
        await change(service, customer, rule="chip_hot", numbers={"warning": 83, "warning_for_s": 60})
    ).status == 200
    await heat(5, 84, 124)
    await heat(4, 84, 3)  # the third restart: the two before it are remembered
    fired = (await service.seen("/v1/warnings", customer.read))["warnings"]
    assert sorted((each["rule"], each.get("threshold")) for each in fired) == [("chip_hot", 83), ("restarting", 3)]


async def test_maintenance_is_of_a_whole_site_and_ends_when_it_is_done(service: Service) -> None:
    customer = await service.customer()
    ends_at = (service.now() + timedelta(hours=2)).isoformat()
    made = await service.done("/v1/maintenance", customer.session, site="Hall", ends_at=ends_at)
    assert [each["silence"] for each in (await service.seen("/v1/maintenance", customer.read))["silences"]] == [
        made["silence"]
    ]
    _, viewer = await service.member(customer, "viewer@north.example")
    path = f"/v1/maintenance/{made['silence']}"
    assert (await service.ask("DELETE", path, viewer)).status == 403
    assert (await service.ask("DELETE", path, customer.session)).status == 204
    assert (await service.ask("DELETE", path, customer.session)).status == 404
    past = (service.now() - timedelta(hours=2)).isoformat()
    answer = await service.post("/v1/maintenance", customer.session, site="Hall", ends_at=past)
    assert (answer.status, b"over already" in answer.body) == (422, True)
    nowhere = await service.post("/v1/silences", customer.session, machine=machine(1), ends_at=ends_at)
    assert (nowhere.status, b"name the machine's site" in nowhere.body) == (422, True)
