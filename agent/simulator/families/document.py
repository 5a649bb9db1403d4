"""What the documents of several makes have in common: compact JSON, cgminer's status line, its pool list."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from agent.reading import Live, RawPool

Document = dict[str, Any]


def rendered(document: Document) -> bytes:
    """Compact JSON, as firmware writes it."""
    return json.dumps(document, separators=(",", ":")).encode()


def status(code: int, message: str, description: str, now: datetime) -> list[Document]:
    """The `STATUS` of a cgminer answer that went well."""
    when = int(now.timestamp())
    return [{"STATUS": "S", "When": when, "Code": code, "Msg": message, "Description": description}]


def mhs(hashrate_ths: float | None) -> float:
    return round((hashrate_ths or 0.0) * 1e6, 2)


def ghs(hashrate_ths: float | None) -> float:
    return round((hashrate_ths or 0.0) * 1e3, 2)


def host_of(pool: RawPool) -> str:
    """The pool's host without scheme and port."""
    return (pool.url or "").rpartition("/")[2].partition(":")[0]


def cgminer_pools(live: Live, now: datetime, *, first: int = 0) -> list[Document]:
    """The `POOLS` section; every share went to the active pool. `first` is the number of the first pool."""
    difficulty = 65_536
    last_share = int(now.timestamp() - (live.last_share_age_s or 0))
    pools = []
    for place, pool in enumerate(live.pools or ()):
        accepted = (live.shares_accepted or 0) if pool.active else 0
        rejected = (live.shares_rejected or 0) if pool.active else 0
        stale = (live.shares_stale or 0) if pool.active else 0
        pools.append(
            {
                "POOL": first + place,
                "URL": pool.url,
                "Status": "Alive" if pool.alive else "Dead",
                "Priority": place,
                "Quota": 1,
                "Long Poll": "N",
                "Getworks": accepted // 2 + 3,
                "Accepted": accepted,
                "Rejected": rejected,
                "Discarded": accepted * 3,
                "Stale": stale,
                "Get Failures": 0,
                "Remote Failures": 0,
                "User": pool.user,
                "Last Share Time": last_share if pool.active else 0,
                "Diff1 Shares": accepted * difficulty,
                "Proxy Type": "",
                "Proxy": "",
                "Difficulty Accepted": float(accepted * difficulty),
                "Difficulty Rejected": float(rejected * difficulty),
                "Difficulty Stale": float(stale * difficulty),
                "Last Share Difficulty": float(difficulty) if pool.active else 0.0,
                "Has Stratum": True,
                "Stratum Active": bool(pool.active),
                "Stratum URL": host_of(pool) if pool.active else "",
                "Has GBT": False,
                "Best Share": accepted * difficulty * 7,
                "Pool Rejected%": _percent(rejected, accepted + rejected + stale),
                "Pool Stale%": _percent(stale, accepted + rejected + stale),
            }
        )
    return pools


def _percent(part: int, whole: int) -> float:
    return round(100 * part / whole, 4) if whole else 0.0
