"""The shape of an account's tables.

Numbers are integers, scaled by their decimals: they pack to half of what floats take, and add up without rounding.
"""

from __future__ import annotations

from typing import Final, Literal

from backend.store import told
from backend.store.metrics import BOARD_DECIMALS, BOARD_METRICS, METRICS, Quantity

Kind = Literal["readings", "boards", "told", "rollup_1h"]
"""The tables of an account that are sealed day by day."""

_FROM_STATE: Final = {name for name in METRICS if name.startswith("is_") and name != "is_meant_to_mine"}
STORED: Final = {name: metric for name, metric in METRICS.items() if name not in _FROM_STATE}
"""The metrics that `readings` has a column of; the others follow from its `state`."""
WORDS: Final = ("make", "model", "firmware", "driver", "power_mode")
"""The columns of `readings` that are names."""


def _sql_type(metric: Quantity) -> str:
    if metric.type == "flag":
        return "BOOLEAN"
    return "INTEGER" if metric.high * 10**metric.decimals < 2**31 else "BIGINT"


_NOT_ROLLED: Final = frozenset({"read_ms", "last_share_age_s"})
_MEANS_ONLY: Final = frozenset({"expected_ths", "efficiency_j_per_th"})
"""Of both it is asked too rarely to be worth the space (docs/adr/0014): the rest is read from readings."""


def _parts(metric: Quantity) -> tuple[str, ...]:
    if metric.name in _NOT_ROLLED:
        return ()
    if metric.type == "flag" or metric.name in _MEANS_ONLY:
        return ("n", "sum")
    return ("n", "sum", "min", "max", "p95") if metric.name == "chip_temp_c" else ("n", "sum", "min", "max")


PARTS: Final = {name: _parts(metric) for name, metric in METRICS.items()}
"""What a rollup keeps of each metric, as columns `<metric>_<part>`; it has `energy_j` besides."""
_OF_ROLLUP: Final = ("energy_j", *(f"{name}_{part}" for name, parts in PARTS.items() for part in parts))

TABLES: Final = (
    f"""CREATE TABLE IF NOT EXISTS readings (
        written BIGINT NOT NULL, time TIMESTAMP NOT NULL, site VARCHAR NOT NULL, machine VARCHAR NOT NULL,
        state VARCHAR NOT NULL,
        {", ".join(f"{name} {_sql_type(metric)}" for name, metric in STORED.items())},
        {", ".join(f"{name} VARCHAR" for name in WORDS)},
        fans_rpm INTEGER[], fault_codes VARCHAR[], pools VARCHAR, has_boards BOOLEAN NOT NULL
    )""",
    f"""CREATE TABLE IF NOT EXISTS boards (
        written BIGINT NOT NULL, time TIMESTAMP NOT NULL, site VARCHAR NOT NULL, machine VARCHAR NOT NULL,
        index UTINYINT NOT NULL,
        {", ".join(f"{name} {_sql_type(metric)}" for name, metric in BOARD_METRICS.items())}
    )""",
    f"""CREATE TABLE IF NOT EXISTS told (
        written BIGINT NOT NULL, time TIMESTAMP NOT NULL, site VARCHAR NOT NULL, make VARCHAR, model VARCHAR,
        {", ".join(f"{name} BIGINT" for name in told.FIELDS)}
    )""",
    f"""CREATE TABLE IF NOT EXISTS rollup_1h (
        time TIMESTAMP NOT NULL, site VARCHAR NOT NULL, machine VARCHAR NOT NULL,
        {", ".join(f"{name} BIGINT" for name in _OF_ROLLUP)}
    )""",
    "CREATE TABLE IF NOT EXISTS touched (hour TIMESTAMP PRIMARY KEY, written BIGINT NOT NULL)",
    """CREATE TABLE IF NOT EXISTS latest (
        machine VARCHAR PRIMARY KEY, site VARCHAR NOT NULL, time TIMESTAMP NOT NULL, reading VARCHAR NOT NULL
    )""",
    "CREATE TABLE IF NOT EXISTS batches (id UUID PRIMARY KEY, received_at TIMESTAMP NOT NULL)",
    "CREATE TABLE IF NOT EXISTS windows (data_class VARCHAR PRIMARY KEY, window_us BIGINT NOT NULL)",
    """CREATE TABLE IF NOT EXISTS parts (
        name VARCHAR PRIMARY KEY, kind VARCHAR NOT NULL, day DATE NOT NULL, rows BIGINT NOT NULL,
        bytes BIGINT NOT NULL, first TIMESTAMP NOT NULL, last TIMESTAMP NOT NULL
    )""",
)
"""Times are UTC. `written` counts commits. `boards` hang on `readings` by machine and time; `latest` keeps each
machine's newest whole; `told` are sites' totals; `touched` are the hours whose rollups do not hold; `parts` are the
sealed files that count."""

COLUMNS: Final[dict[Kind, str]] = {
    "readings": "time, site, machine, state, "
    + ", ".join((*STORED, *WORDS, "fans_rpm", "fault_codes", "pools", "has_boards")),
    "boards": f"time, site, machine, index, {', '.join(BOARD_DECIMALS)}",
    "told": ", ".join(("time, site, make, model", *told.FIELDS)),
    "rollup_1h": ", ".join(("time, site, machine", *_OF_ROLLUP)),
}
"""What is sealed of a table's row."""


def expression(metric: str) -> str:
    """SQL that gives a metric, scaled, from a row of `readings`. Raises `KeyError` for one that there is not."""
    if metric in _FROM_STATE:
        state = metric.removeprefix("is_")
        return "(state <> 'unreachable')::INTEGER" if state == "reachable" else f"(state = '{state}')::INTEGER"
    return f"{metric}::INTEGER" if STORED[metric].type == "flag" else metric
