"""The whole catalogue over readings of a farm: how many a core judges, how long a batch takes to its outbox row, and
what an outage of 100,000 machines costs.

Readings are of healthy machines with all fields and one in a hundred that is ill; the registry is a real one, in a
file, and durable. Reading speed is that of the ledger alone (no database), on one core.
"""

from __future__ import annotations

import asyncio
import logging
import statistics
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import structlog

from agent.wire import Batch, Reading, State
from backend.config import Notify
from backend.ids import AccountId, SiteId
from backend.notify.outbox import Outbox
from backend.registry import accounts, members, sites
from backend.registry.database import Database
from backend.warnings.catalogue import Catalogue
from backend.warnings.engine import Engine
from backend.warnings.ledger import Ledger
from backend.warnings.overrides import Rulebook
from tests.backend.readings import full_reading, machine
from tests.bench import outage

MACHINES = 2_000
ROUNDS = 20
BATCH_READINGS = 500
POLLS_S = 1_000
SITE_BATCHES = 60
START = datetime(2026, 1, 1, tzinfo=UTC)


def main() -> dict[str, float]:
    """Figures of the rules."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    readings_s = _judged_a_second()
    with tempfile.TemporaryDirectory() as folder:
        latencies_s = asyncio.run(_arrivals(Path(folder)))
        of_outage = asyncio.run(outage.measured(Path(folder), _well))
    p99_s = statistics.quantiles(latencies_s, n=100, method="inclusive")[98]
    print(f"{len(list(Catalogue.load()))} rules, {MACHINES} machines, {ROUNDS} rounds")
    print(f"  readings judged a second, one core        {readings_s:>12,.0f}")
    print(f"  arrival to outbox, p99, {POLLS_S} polls/s     {p99_s:>12.3f} s")
    return {"readings_s": readings_s, "arrival_to_outbox_p99_s": p99_s, **of_outage}


def _judged_a_second() -> float:
    book = Rulebook(Catalogue.load(), {}, (), SiteId("sit_1"))
    ledger = Ledger(book, version=0, judged_to=None, interval=None, states={}, paused=frozenset())
    rounds = [_round(START + timedelta(minutes=number)) for number in range(ROUNDS)]
    began_s = time.process_time()
    for readings in rounds:
        for first in range(0, MACHINES, BATCH_READINGS):
            ledger.adopt(ledger.judge(readings[first : first + BATCH_READINGS]), version=0)
    return MACHINES * ROUNDS / (time.process_time() - began_s)


def _well(at: datetime) -> Reading:
    full = full_reading(time=at)
    boards = tuple(board.model_copy(update={"chips_working": board.chips_expected}) for board in full.boards or ())
    return full.model_copy(
        update={
            "boards": boards,
            "hashrate_ths": 109.0,
            "power_w": 2_400.0,
            "fans_rpm": (5_000, 5_100),
            "pool_expected": True,
            "fault_codes": (),
        }
    )


def _round(at: datetime) -> list[Reading]:
    well = _well(at)
    ill = well.model_copy(update={"state": State.UNREACHABLE})
    return [
        (ill if number % 100 == 0 else well).model_copy(update={"machine": machine(number)})
        for number in range(MACHINES)
    ]


async def _arrivals(folder: Path) -> list[float]:
    """Seconds from each batch's arrival until what follows from it is committed, at `POLLS_S` readings a second."""
    database = Database(f"sqlite:///{folder / 'registry.db'}")
    try:
        await database.migrate()
        async with database.begin() as session:
            account = AccountId((await accounts.add(session, "farm", region="eu", now=START)).id)
            site = SiteId((await sites.add(session, account, "North", now=START)).id)
            await members.add(session, account, email="op@example.com", phone=None, verified=True, now=START)
        engine = Engine(database, Catalogue.load(), Outbox(Notify()))
        return await _fed(engine, account, site)
    finally:
        await database.close()


async def _fed(engine: Engine, account: AccountId, site: SiteId) -> list[float]:
    batches: list[Batch] = []
    for number in range(SITE_BATCHES):
        at = START + timedelta(minutes=number // (MACHINES // BATCH_READINGS))
        first = number * BATCH_READINGS % MACHINES
        part = tuple(_round(at)[first : first + BATCH_READINGS])
        batches.append(Batch(id=uuid4(), site=site, agent="0.1.0", sent_at=at, readings=part))
    latencies_s: list[float] = []
    began_s = time.perf_counter()
    for number, batch in enumerate(batches):
        due_s = began_s + number * BATCH_READINGS / POLLS_S
        await asyncio.sleep(max(0.0, due_s - time.perf_counter()))
        await engine.judge(account, site, batch, now=batch.sent_at)
        latencies_s.append(time.perf_counter() - due_s)  # a batch that has to wait arrived when it was due
    return latencies_s
