"""What an outage costs: bytes on the disk, time to write them down, time to send them afterwards.

Readings are those of simulated machines (the default mix), made by the agent's own code, in batches as they come at
60 s between polls and 2 s between batches. The backend that takes the backlog is a server on loopback, in this
process, that unpacks each request and answers: what is measured is the agent, and half of a server.
"""

from __future__ import annotations

import asyncio
import os
import resource
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import zstandard
from aiohttp import web
from pydantic import SecretStr

from agent import transit
from agent.enrolment import Enrolment
from agent.envelope import Envelope
from agent.keyring import Keyring
from agent.packing import pack
from agent.pools import PublicPools
from agent.pseudonym import pseudonymize
from agent.reading import Facts, RawReading
from agent.simulator.families.kinds import family_machine
from agent.simulator.roster import DEFAULT_MIX, shared_out
from agent.spool import Spool
from agent.uplink import Uplink
from agent.wire import Batch, Reading

MACHINES = 1_000
ROUNDS = 30
INTERVAL_S = 60
BATCHES_A_ROUND = 30
WEEK_READINGS = MACHINES * 7 * 86_400 // INTERVAL_S
START = datetime(2026, 1, 1, tzinfo=UTC)


class _Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def main() -> dict[str, float]:
    """Figures of the spool and the uplink."""
    batches = list(_batches())
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_FOLDER")) as folder:
        figures = _measured(Path(folder) / "spool", batches)
    print(f"{MACHINES} machines, one reading a minute each, {figures['readings']:,.0f} readings measured")
    for name, value in figures.items():
        print(f"  {name:<28} {value:>12,.3f}")
    return figures


def _measured(folder: Path, batches: list[Batch]) -> dict[str, float]:
    readings = sum(len(batch.readings) for batch in batches)
    clock = _Clock()
    with Spool(folder, 10**10, clock) as spool:
        began_s, cpu_s = time.perf_counter(), _cpu_s()
        for batch in batches:
            clock.now_s += INTERVAL_S / BATCHES_A_ROUND
            spool.append(batch)
        append_s, append_cpu_s = time.perf_counter() - began_s, _cpu_s() - cpu_s
        waiting = spool.backlog()
        blocks = sum(path.stat().st_blocks * 512 for path in folder.glob("*.batch"))
        began_s, cpu_s = time.perf_counter(), _cpu_s()
        asyncio.run(_drain(spool))
        drain_s, drain_cpu_s = time.perf_counter() - began_s, _cpu_s() - cpu_s
    small = sum(len(pack(Envelope.made_of(batch))) for batch in batches) / readings
    joined = waiting.bytes / readings
    return {
        "readings": readings,
        "bytes_per_reading": joined,
        "bytes_per_reading_unjoined": small,
        "disk_bytes_per_reading": blocks / readings,
        "week_gb": WEEK_READINGS * joined / 1e9,
        "week_disk_gb": WEEK_READINGS * blocks / readings / 1e9,
        "week_files": WEEK_READINGS * waiting.batches / readings,
        "append_ms": 1_000 * append_s / len(batches),
        "append_cpu_ms_per_reading": 1_000 * append_cpu_s / readings,
        "drain_readings_per_s": readings / drain_s,
        "drain_cpu_ms_per_reading": 1_000 * drain_cpu_s / readings,
        "drain_x_real_time": readings / drain_s / (MACHINES / INTERVAL_S),
    }


async def _drain(spool: Spool) -> None:
    async def take(request: web.Request) -> web.Response:
        data = zstandard.ZstdDecompressor().decompressobj().decompress(await request.read())
        return web.json_response({"stored": True, "readings": data.count(b'"machine":')})

    app = web.Application(client_max_size=2**26)
    app.router.add_post("/v1/batches", take)
    runner = web.AppRunner(app, access_log=None, auto_decompress=False)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        enrolment = Enrolment(url=url, account="acc_1", site="sit_1", token=SecretStr("tok_0123456789"))
        async with transit.session(url) as client:
            await Uplink(client, lambda: enrolment, spool, lambda: datetime.now(UTC)).drain()
    finally:
        await runner.cleanup()


def _batches() -> Iterator[Batch]:
    """As the batcher would have made them: each machine at its own place in the minute."""
    keyring, pools = Keyring(bytes(range(32))), PublicPools()
    mix = shared_out(DEFAULT_MIX, MACHINES)
    families = [family for family, count in mix.items() for _ in range(count)]
    machines = [
        family_machine(family, f"10.0.{number // 250}.{number % 250 + 1}", number, started=START - timedelta(days=3))
        for number, family in enumerate(families)
    ]
    order = sorted(range(MACHINES), key=lambda number: number * 7_919 % MACHINES)
    for turn in range(ROUNDS):
        time_of_round = START + timedelta(seconds=turn * INTERVAL_S)
        readings: list[Reading] = []
        for number in order:
            machine = machines[number]
            raw = RawReading(
                time=time_of_round,
                facts=Facts(
                    address=machine.address,
                    driver="pyasic-rs 0.8.6",
                    make=families[number].title()[:20],
                    model="S19 Pro",
                    firmware="2022.12.26",
                    mac=f"02:00:5e:00:{number >> 8:02x}:{number & 255:02x}",
                ),
                live=machine.truth(time_of_round + timedelta(seconds=INTERVAL_S * number / MACHINES)),
                read_ms=3.0 + number * 7_919 % 1_000 / 83,
            )
            readings.append(pseudonymize(raw, keyring, pools))
        size = -(-MACHINES // BATCHES_A_ROUND)
        for first in range(0, MACHINES, size):
            part = tuple(readings[first : first + size])
            yield Batch(id=uuid4(), site="sit_1", agent="0.1.0", sent_at=time_of_round, readings=part)


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
