"""Readings as rows of an export's file (`backend.store.exchange`)."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pyarrow as pa

from agent.wire import Board, Reading
from backend.ids import SiteId
from backend.store.exchange import NUMBERS, WORDS, readings
from backend.store.metrics import BOARD_DECIMALS
from backend.store.protocol import Format


def table(rows: Iterable[tuple[SiteId, Reading]], format: Format) -> pa.Table:
    """One row a reading."""
    return pa.Table.from_pylist([_row(site, reading, format) for site, reading in rows], readings(format))


def _row(site: SiteId, reading: Reading, format: Format) -> dict[str, Any]:
    values = {name: getattr(reading, name) for name in ("time", "machine", *NUMBERS, *WORDS)}
    lists: dict[str, Any] = {
        "fans_rpm": reading.fans_rpm,
        "fault_codes": reading.fault_codes,
        "pools": None,
        "boards": None if reading.boards is None else [_board(board) for board in reading.boards],
    }
    if reading.pools is not None:
        lists["pools"] = json.dumps([pool.model_dump(exclude_none=True) for pool in reading.pools])
    if format == "csv":
        for name in ("fans_rpm", "fault_codes", "boards"):
            lists[name] = None if lists[name] is None else json.dumps(lists[name])
    return {**values, "site": site, "state": reading.state.value, **lists}


def _board(board: Board) -> dict[str, Any]:
    return {"index": board.index, **{name: getattr(board, name) for name in BOARD_DECIMALS}}
