"""A site's key was changed: its machines have new names, and nobody waits for the old ones."""

from __future__ import annotations

from sqlalchemy import select
from structlog.testing import capture_logs

from backend.config import Notify
from backend.notify.outbox import Outbox
from backend.registry.machine_tables import KnownMachine
from backend.warnings.actions import Actions
from backend.warnings.catalogue import Catalogue
from tests.backend.farm import M1, M2, Farm, gone, hashing, rounds
from tests.backend.readings import at, batch

FIRST, SECOND = "epo-0000000000000001", "epo-0000000000000002"
OFFLINE = ("machine_offline", M1, "warning")


async def known(of: Farm) -> list[str]:
    async with of.database.read() as session:
        return sorted(await session.scalars(select(KnownMachine.machine)))


async def test_warnings_of_the_machines_of_before_end_and_the_new_ones_are_watched(north: Farm) -> None:
    engine = north.engine()
    await north.judge(engine, rounds(gone, [1], range(6)), epoch=FIRST)
    assert await north.firing() == [OFFLINE]
    await north.judge(north.engine(), rounds(hashing, [2], [6]), epoch=SECOND)
    assert (await north.firing(), await known(north)) == ([], [M2])
    (warning,) = await north.warnings()
    assert (warning.resolved_at, warning.resolution) == (at(6), "new_key")
    await north.judge(engine, rounds(gone, [2], range(7, 14)), epoch=SECOND)  # a process that knew the former epoch
    assert await north.firing() == [("machine_offline", M2, "warning")]


async def test_what_was_set_for_single_machines_of_before_is_counted_in_the_log(north: Farm) -> None:
    await north.judge(north.engine(), rounds(hashing, [1], [0]), epoch=FIRST)
    actions = Actions(north.database, Catalogue.load(), Outbox(Notify()))
    await actions.pause_machine(north.account, north.site, M1, now=at(1))
    await actions.change_rule(north.account, "chip_hot", {"warning": 80}, machine=M1, now=at(1))
    await actions.change_rule(north.account, "chip_hot", {"warning": 85}, site=north.site, now=at(1))
    with capture_logs() as logs:
        await north.judge(north.engine(), rounds(hashing, [2], [2]), epoch=SECOND)
    (begun,) = [each for each in logs if each["event"] == "epoch.begun"]
    assert (begun["pauses_left_behind"], begun["thresholds_left_behind"]) == (1, 1)


async def test_what_comes_late_of_the_epoch_before_is_history(north: Farm) -> None:
    engine = north.engine()
    await north.judge(engine, rounds(hashing, [1], [0]), epoch=FIRST)
    await north.judge(engine, rounds(hashing, [2], [20]), epoch=SECOND, backlog_s=1_200)
    await north.judge(engine, rounds(gone, [1], range(1, 20)), now=at(21), epoch=FIRST)
    await north.judge(engine, rounds(hashing, [2], [21]), epoch=SECOND)
    assert (await north.firing(), await north.warnings(), await known(north)) == ([], [], [M2])


async def test_the_first_epoch_that_is_said_ends_nothing(north: Farm) -> None:
    engine = north.engine()
    await north.judge(engine, rounds(gone, [1], range(6)))  # of an agent that said none
    await north.judge(engine, rounds(gone, [1], [6]), epoch=FIRST)
    await north.judge(engine, rounds(gone, [1], [7]))
    assert await north.firing() == [OFFLINE]
    assert await known(north) == [M1]


async def test_a_batch_without_readings_begins_nothing(north: Farm) -> None:
    engine = north.engine()
    await north.judge(engine, rounds(gone, [1], range(6)), epoch=FIRST)
    empty = batch([], site=north.site, sent_at=at(7), epoch=SECOND)
    await engine.judge(north.account, north.site, empty, now=at(7))
    assert await north.firing() == [OFFLINE]
