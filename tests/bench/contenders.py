"""The ways to read a farm that `poll` compares, each in a process of its own, with the event loop that it is used with.

`python -m tests.bench.contenders NAME` takes a `Race` on stdin, reads every machine in so many rounds, and prints a
`Result`; both are JSON.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
import time
import warnings
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

import uvloop
from pydantic import BaseModel

from agent.drivers import flood_watch
from agent.drivers.floods import Floods
from agent.drivers.registry import engine
from agent.errors import AgentError
from tests.bench import bare

_FIND_S: Final = 40.0
_READ_S: Final = 30.0
_FOUND_AT_ONCE: Final = 16

Read = Callable[[], Awaitable[bool]]
"""One poll of one machine; whether it gave a hashrate."""


class Race(BaseModel):
    """What is asked of a contender."""

    families: dict[str, str]  # by address
    exchanges: dict[str, list[bare.Exchange]] = {}  # by family, for the bare client
    rounds: int
    concurrency: int


class Result(BaseModel):
    """What it took."""

    polls: int
    readings: int  # polls that gave a hashrate
    cpu_s: float  # of the process, all threads
    took_s: float


async def plain_pyasic(address: str, race: Race) -> Read | None:
    """As pyasic's documentation says: the miner is kept, all data are asked for."""
    import pyasic

    miner = await pyasic.get_miner(address)
    if miner is None:
        return None

    async def read() -> bool:
        data = await miner.get_data()
        return data.hashrate is not None

    return read


_FLOODS: Final = Floods()


def of_driver(name: str) -> Callable[[str, Race], Coroutine[Any, Any, Read | None]]:
    """One of our drivers. It sends vendors' passwords as plain pyasic does, so that both are told the same."""
    driver = engine(name, vendor_passwords=True, floods=_FLOODS)

    async def find(address: str, race: Race) -> Read | None:
        miner = await driver.find(address)
        if miner is None:
            return None

        async def read() -> bool:
            return (await miner.read()).hashrate_ths is not None

        return read

    return find


async def bare_client(address: str, race: Race) -> Read | None:
    return bare.Client(address, race.exchanges[race.families[address]]).read


async def run(find: Callable[[str, Race], Awaitable[Read | None]], race: Race) -> Result:
    """Find all machines, read them once to warm up, then in rounds; only these count."""
    reads = await _all_found(find, race)
    places = asyncio.Semaphore(race.concurrency)
    await asyncio.gather(*(_read(read, places) for read in reads))
    gc.collect()
    gc.freeze()
    began_s, cpu_s = time.perf_counter(), time.process_time()
    answers: list[bool] = []
    for _ in range(race.rounds):
        answers += await asyncio.gather(*(_read(read, places) for read in reads))
    return Result(
        polls=len(answers),
        readings=sum(answers),
        cpu_s=time.process_time() - cpu_s,
        took_s=time.perf_counter() - began_s,
    )


async def _all_found(find: Callable[[str, Race], Awaitable[Read | None]], race: Race) -> list[Read]:
    places = asyncio.Semaphore(_FOUND_AT_ONCE)

    async def look(address: str) -> Read | None:
        async with places:
            try:
                async with asyncio.timeout(_FIND_S):
                    return await find(address, race)
            except (AgentError, TimeoutError):
                return None

    found = await asyncio.gather(*(look(address) for address in race.families))
    return [read for read in found if read is not None]


async def _read(read: Read, places: asyncio.Semaphore) -> bool:
    async with places:
        try:
            async with asyncio.timeout(_READ_S):
                return await read()
        except Exception:  # noqa: BLE001  plain pyasic raises what it likes; it counts as a poll without a reading
            return False


async def _run_watched(find: Callable[[str, Race], Awaitable[Read | None]], race: Race) -> Result:
    """With what watches over the reads in the agent, so that it is paid for here as well."""
    async with asyncio.TaskGroup() as group:
        watch = group.create_task(flood_watch.watch(_FLOODS))
        result = await run(find, race)
        watch.cancel()
    return result


def main() -> None:
    name, race = sys.argv[1], Race.model_validate_json(sys.stdin.read())
    warnings.simplefilter("ignore")
    if name == "plain pyasic":
        logging.disable()
        result = asyncio.run(run(plain_pyasic, race))  # its user's loop is the usual one
    else:
        find = bare_client if name == "bare client" else of_driver(name)
        result = uvloop.run(_run_watched(find, race))
    print(result.model_dump_json())


if __name__ == "__main__":
    main()
