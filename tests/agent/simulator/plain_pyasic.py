"""`python -m tests.agent.simulator.plain_pyasic ADDRESS…`: what pyasic alone reads, as one JSON object a line.

A process of its own: our pyasic driver changes the library for the whole process that it is made in.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import pyasic


async def read(address: str) -> dict[str, Any]:
    miner: Any = await pyasic.get_miner(address)
    data = await miner.get_data(exclude=["config"])
    return {
        "make": miner.make,
        "mac": data.mac,
        "is_mining": data.is_mining,
        "hashrate_ths": float(data.hashrate),
        "expected_ths": float(data.expected_hashrate),
        "fans_rpm": [fan.speed for fan in data.fans],
        "uptime_s": data.uptime,
        "boards_ths": [float(board.hashrate) for board in data.hashboards],
        "chips": [board.chips for board in data.hashboards],
    }


async def main() -> None:
    for address in sys.argv[1:]:
        print(json.dumps(await read(address)), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
