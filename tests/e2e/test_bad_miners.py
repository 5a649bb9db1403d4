"""Slow, silent and hostile machines hold nobody else up, fill no memory, and nothing that they say gets through."""

from __future__ import annotations

from datetime import datetime
from itertools import pairwise
from typing import Any

import psutil
import pytest

from tests.e2e.waiting import until
from tests.loopback import take
from tests.world.world import World

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

BAD = (
    "never_answers",
    "slow_drip",
    "huge_answer",
    "deep_json",
    "invalid_utf8",
    "garbage",
    "half_answer",
    "absurd_numbers",
)


async def test_the_good_machines_are_read_in_every_round_beside_every_kind_of_bad_one(here: World) -> None:
    count = len(BAD) + 1 + 8
    await here.start_farm("--mix", f"whatsminer:{count - 1},bitaxe:1", "--base", take(count)[0])
    await here.enrol()
    await here.start_agent()

    async def machines() -> list[dict[str, Any]]:
        listed: list[dict[str, Any]] = (await here.get("/v1/machines"))["machines"]
        return listed

    async def rounds() -> int:
        series = (await here.get("/v1/series", metric="is_hashing", step="2s"))["series"]
        return max(len(one["points"]) for one in series)

    await until(machines, lambda found: len(found) == count)
    # They are good while they are found, then break: the harder case.
    suffering = [("huge_answer", "bitaxe"), *((bad, f"whatsminer:{n}") for n, bad in enumerate(BAD, start=1))]
    here.suffer("".join(f'[[fault]]\nfault = "{bad}"\nmachines = "{who}"\n' for bad, who in suffering))
    before = await rounds()

    async def down() -> int:
        return sum(machine["state"] == "unreachable" for machine in await machines())

    await until(down, lambda silent: silent >= 5)  # those that say nothing at all

    await until(rounds, lambda now: now >= before + 8)
    good = [machine for machine in await machines() if machine["state"] == "hashing"]
    assert len(good) >= 8
    series = (await here.get("/v1/series", metric="is_hashing", step="2s"))["series"]
    points = {one["machine"]: [at for at, _ in one["points"]] for one in series}
    last = max(max(times) for times in points.values())
    for machine in good:
        times = [at for at in points[machine["machine"]] if at > last - 12_000]
        gaps = [(later - at) / 1000 for at, later in pairwise(times)]
        assert times, datetime.fromtimestamp(last / 1000)  # noqa: DTZ006 (for the message)
        assert max(gaps) <= 2, (machine["machine"], times)
    assert psutil.Process(here.agent.pid).memory_info().rss < 250e6
    await here.stop()
    assert here.leaks() == []
