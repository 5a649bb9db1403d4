"""What people do about warnings, and what the engine makes of it from then on."""

from __future__ import annotations

import pytest

from backend.ids import SiteId
from backend.registry.errors import Missing
from backend.warnings.catalogue import BadRule
from tests.backend.farm import M1, M2, Farm, hashing, idle, rounds
from tests.backend.readings import at


async def test_pausing_a_machine_ends_its_warnings_and_no_others(north: Farm) -> None:
    engine = north.engine()
    await north.judge(engine, rounds(idle, [1, 2], range(6)))
    await north.actions().pause_machine(north.account, north.site, M1, now=at(6))
    assert [w.resolution for w in await north.warnings() if w.machine == M1] == ["paused"]
    assert await north.firing() == [("machine_not_hashing", M2, "critical")]
    await north.judge(engine, rounds(idle, [1, 2], range(6, 20)))
    assert await north.firing() == [("machine_not_hashing", M2, "critical")]


async def test_a_resumed_machine_starts_as_if_it_were_new(north: Farm) -> None:
    engine, actions = north.engine(), north.actions()
    await actions.pause_machine(north.account, north.site, M1, now=at(0))
    await actions.pause_machine(north.account, north.site, M1, now=at(0))
    await north.judge(engine, rounds(idle, [1], range(10)))
    await actions.resume_machine(north.account, north.site, M1)
    await north.judge(engine, rounds(idle, [1], range(10, 15)))
    assert await north.firing() == []
    await north.judge(engine, rounds(idle, [1], [15]))
    assert await north.firing() == [("machine_not_hashing", M1, "critical")]


async def test_a_changed_threshold_counts_from_the_next_reading_on(north: Farm) -> None:
    engine, actions = north.engine(), north.actions()
    await north.judge(engine, rounds(idle, [1, 2], range(2)))
    await actions.change_rule(north.account, "machine_not_hashing", {"for_s": 60}, machine=M1, now=at(2))
    await north.judge(engine, rounds(idle, [1, 2], [2]))
    assert await north.firing() == [("machine_not_hashing", M1, "critical")]
    await actions.change_rule(north.account, "machine_not_hashing", {"for_s": 120}, machine=M2, now=at(2))
    await actions.change_rule(north.account, "machine_not_hashing", {}, machine=M2, now=at(2))
    await north.judge(engine, rounds(idle, [1, 2], [3]))
    assert len(await north.firing()) == 1


async def test_changing_a_rule_again_replaces_what_was_there(north: Farm) -> None:
    actions = north.actions()
    await actions.change_rule(north.account, "chip_hot", {"warning": 50}, now=at(0))
    await actions.change_rule(north.account, "chip_hot", {"critical": 101}, now=at(1))
    engine = north.engine()
    await north.judge(engine, rounds(hashing, [1], range(5)))
    assert await north.firing() == []


async def test_what_cannot_be_done_is_refused(north: Farm) -> None:
    actions, nowhere = north.actions(), SiteId("sit_nowhere")
    with pytest.raises(Missing):
        await actions.pause_machine(north.account, nowhere, M1, now=at(0))
    with pytest.raises(Missing):
        await actions.resume_machine(north.account, nowhere, M1)
    with pytest.raises(Missing):
        await actions.silence(north.account, nowhere, starts_at=at(0), ends_at=at(1))
    with pytest.raises(Missing):
        await actions.acknowledge(north.account, north.site, "chip_hot", M1, now=at(0))
    with pytest.raises(Missing):
        await actions.change_rule(north.account, "chip_hot", {"warning": 80}, site=nowhere, now=at(0))
    with pytest.raises(BadRule):
        await actions.change_rule(north.account, "chip_hot", {"warn": 80}, now=at(0))
    with pytest.raises(BadRule):
        await actions.silence(north.account, north.site, rule="chip_warm", starts_at=at(0), ends_at=at(1))


async def test_an_acknowledged_warning_says_when(north: Farm) -> None:
    await north.judge(north.engine(), rounds(idle, [1], range(6)))
    await north.actions().acknowledge(north.account, north.site, "machine_not_hashing", M1, now=at(6))
    assert [w.acknowledged_at for w in await north.warnings()] == [at(6)]
