"""A backlog that comes after the news, as agents send it: judged in its own time, told to nobody, joined with now."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

import pytest

from agent.wire import Board, Reading
from backend.notify.routing import Channel
from backend.warnings.engine import Engine
from tests.backend.farm import M1, Farm, gone, hashing, idle
from tests.backend.notify.scripted import Scripted
from tests.backend.readings import at

Says = Callable[[int], Reading]  # what machine 1 says in a minute

GAP = range(20, 80)  # what was read in these minutes comes late
END = 90


def says(*spans: tuple[Callable[..., Reading], int]) -> Says:
    """So many minutes of this, then so many of that; then the last for ever."""

    def reading(minute: int) -> Reading:
        passed = 0
        for kind, minutes in spans:
            passed += minutes
            if minute < passed:
                return kind(1, at(minute))
        return spans[-1][0](1, at(minute))

    return reading


class Agent:
    """Sends as real agents do: news first, then what waits, oldest first."""

    def __init__(self, farm: Farm, machine: Says, *, restarts: bool = False) -> None:
        self.farm = farm
        self.machine = machine
        self.restarts = restarts  # the backend, after each batch
        self._engine = farm.engine()

    @property
    def engine(self) -> Engine:
        if self.restarts:
            self._engine = self.farm.engine()
        return self._engine

    async def live(self, minutes: Iterable[int], unsent_since: int | None = None) -> None:
        for minute in minutes:
            await self._send([minute], at(minute), minute if unsent_since is None else unsent_since)

    async def late(self, minutes: range, now: datetime, size: int = 10) -> None:
        for start in range(minutes.start, minutes.stop, size):
            await self._send(range(start, min(start + size, minutes.stop)), now, start)

    async def _send(self, minutes: Iterable[int], now: datetime, unsent_since: int) -> None:
        readings = [self.machine(minute) for minute in minutes]
        backlog_s = (now - at(unsent_since)).total_seconds()
        await self.farm.judge(self.engine, readings, now=now, backlog_s=backlog_s)
        await self.engine.tick(now=now)

    async def outage(self) -> None:
        """Live, an hour of nothing, news, the backlog in between, and on."""
        await self.late(range(GAP.start), at(GAP.start - 1), size=GAP.start)  # all at once: it makes no difference
        await self.live(range(GAP.stop, GAP.stop + 2), unsent_since=GAP.start)
        await self.late(GAP, at(GAP.stop + 1.5), size=15)
        await self.live(range(GAP.stop + 2, END))


Episode = tuple[str, datetime, datetime, datetime | None]


async def history(farm: Farm) -> list[Episode]:
    return [(w.rule, w.since, w.started_at, w.resolved_at) for w in await farm.warnings() if w.machine]


CASES: dict[str, tuple[Says, list[Episode]]] = {
    "what came and went in the gap is history": (
        says((hashing, 30), (idle, 20), (hashing, 1)),
        [("machine_not_hashing", at(30), at(35), at(53))],
    ),
    "what came and went twice is history twice": (
        says((hashing, 25), (idle, 10), (hashing, 10), (gone, 10), (hashing, 1)),
        [("machine_not_hashing", at(25), at(30), at(38)), ("machine_offline", at(45), at(50), at(57))],
    ),
    "what began in the gap and goes on fires with the time when it began": (
        says((hashing, 40), (idle, 1)),
        [("machine_not_hashing", at(40), at(82), None)],
    ),
    "what began just before the gap's end goes on from there": (
        says((hashing, 78), (idle, 1)),
        [("machine_not_hashing", at(78), at(83), None)],
    ),
    "what fired before the gap and goes on is one warning": (
        says((hashing, 5), (idle, 1)),
        [("machine_not_hashing", at(5), at(10), None)],
    ),
    "what fired in the gap and was good when it ended is over with it": (
        says((hashing, 60), (idle, 20), (hashing, 1)),
        [("machine_not_hashing", at(60), at(65), at(80))],
    ),
    "what was bad on both sides and good between is not one": (
        says((hashing, 18), (gone, 4), (hashing, 56), (gone, 1)),
        [("machine_offline", at(78), at(83), None)],
    ),
    "a healthy machine has no history": (says((hashing, 1)), []),
}


@pytest.mark.parametrize("restarts", [False, True], ids=["in one process", "restarting after each batch"])
@pytest.mark.parametrize(("machine", "expected"), CASES.values(), ids=list(CASES))
async def test_the_backlog_is_judged_in_its_own_time(
    north: Farm, machine: Says, expected: list[Episode], restarts: bool
) -> None:
    await Agent(north, machine, restarts=restarts).outage()
    assert await history(north) == expected
    left = {rule for (name, rule) in await north.states() if rule.startswith("~") or not name}
    assert left == set()  # nothing of the gap is kept when it is closed


async def test_it_is_the_same_history_as_if_it_had_come_in_time(north: Farm) -> None:
    machine = says((hashing, 25), (idle, 10), (hashing, 10), (gone, 10), (hashing, 1))
    await Agent(north, machine).live(range(END))
    assert await history(north) == CASES["what came and went twice is history twice"][1]


async def test_nobody_is_told_of_what_came_and_went(north: Farm) -> None:
    agent = Agent(north, CASES["what came and went in the gap is history"][0])
    await agent.outage()
    mail = Scripted()
    dispatcher = north.dispatcher({Channel.EMAIL: mail})
    while (due_at := await dispatcher.next_due()) is not None and due_at < at(24 * 60):
        await dispatcher.dispatch(now=due_at)
    assert [subject for subject in mail.subjects if "silent" not in subject and "behind" not in subject] == []
    assert await north.firing() == []


async def test_while_the_backlog_comes_what_is_so_now_is_told_at_once(north: Farm) -> None:
    agent = Agent(north, says((hashing, 80), (idle, 1)))
    await agent.live(range(20))
    for minute in range(80, 90):
        await agent.live([minute], unsent_since=20)
        await agent.late(range(20 + (minute - 80) * 2, 22 + (minute - 80) * 2), at(minute + 0.2))
    mail = Scripted()
    await north.dispatcher({Channel.EMAIL: mail}).dispatch(now=at(85.6))
    assert mail.subjects == ["CRITICAL - North: Machine not hashing, Agent behind, since 13:20 UTC"]


async def test_what_comes_late_of_no_gap_is_history_that_no_rule_sees(north: Farm) -> None:
    agent = Agent(north, says((idle, 1)))
    agent.machine = says((hashing, 1))
    await agent.live(range(30))
    agent.machine = says((idle, 1))
    await agent.late(range(5, 25), at(30))
    assert await history(north) == []


async def test_a_hole_of_which_the_agent_has_nothing_is_no_gap(north: Farm) -> None:
    agent = Agent(north, says((idle, 1)))
    await agent.live(range(3))
    await agent.live(range(80, 83))
    assert ("", "~gap") not in await north.states()


async def test_a_paused_machine_has_no_history_either(north: Farm) -> None:
    await north.actions().pause_machine(north.account, north.site, M1, now=at(0))
    await Agent(north, CASES["what came and went in the gap is history"][0]).outage()
    assert await history(north) == []


async def test_a_machine_that_gets_worse_in_the_gap_is_on_record_with_its_worst(north: Farm) -> None:
    def machine(minute: int) -> Reading:
        temp = 70 if minute < 30 or minute >= 60 else 92 if minute < 40 else 101
        return hot(at(minute), temp)

    await Agent(north, machine).outage()
    (warning,) = [w for w in await north.warnings() if w.rule == "chip_hot"]
    assert (warning.severity, warning.since, warning.started_at, warning.resolved_at) == (
        "critical",
        at(30),
        at(33),
        at(65),
    )


def hot(time: datetime, temp_c: float) -> Reading:
    return hashing(1, time, boards=(Board(index=0, chip_temp_c=temp_c),))


async def test_what_the_machine_did_not_say_at_the_gaps_end_counts_for_nothing(north: Farm) -> None:
    def machine(minute: int) -> Reading:
        if minute < 76 or minute >= 100:
            return hot(at(minute), 70)
        return hot(at(minute), 95) if minute in (76, 77) or minute >= 80 else hashing(1, at(minute))

    agent = Agent(north, machine)
    await agent.outage()
    (warning,) = [w for w in await north.warnings() if w.rule == "chip_hot"]
    # 76 and 77 are one bad minute; 78 and 79 say nothing; from 80 on it is bad: 3 minutes at 82.
    assert (warning.since, warning.started_at) == (at(76), at(82))
    assert warning.started_at - warning.since > timedelta(minutes=5)
