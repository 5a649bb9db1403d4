"""What a rule can look at: the fields of a reading, what follows from them, and what is known of the machine before.

Every field is a number (true is 1, false is 0) or `None` for missing. A machine that did not answer says nothing:
only `unreachable`, `unseen_h` and `declared` are known of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import Final

from agent.wire import Board, Reading, State
from backend.warnings.known import HOUR_S, Known
from backend.warnings.nominal import efficiency_of, fault_severity

Field = Callable[[Reading, Known], float | None]
"""Of a reading, and of what is known of its machine after it."""

_Said = Callable[[Reading], float | None]
_UNREACHABLE: Final = State.UNREACHABLE

SITE_FIELDS: Final = frozenset({"silent_s", "ill_percent", "backlog_s", "clock_error_s", "undiscovered"})
"""What is known of a site. `silent_s`: seconds since a batch came from its agent, the one thing that is known without a
batch. With each batch: `ill_percent`, the machines with an active warning, of all (0 where there are fewer than 5);
`backlog_s`, the age of the oldest reading still unsent; `clock_error_s`, how far its agent's clock is from ours;
`undiscovered`, how many machines are declared of which nothing ever came."""

_AS_THEY_ARE: Final = (
    "read_ms",
    "is_meant_to_mine",
    "hashrate_ths",
    "expected_ths",
    "power_w",
    "efficiency_j_per_th",
    "uptime_s",
    "inlet_temp_c",
    "outlet_temp_c",
    "chip_temp_c",  # of the hottest chip
    "board_temp_c",  # of the hottest board sensor
    "last_share_age_s",
    "pool_expected",
)


def _as_it_is(name: str) -> Field:
    of = attrgetter(name)

    def field(reading: Reading, _known: Known) -> float | None:
        if reading.state is _UNREACHABLE:
            return None
        value = of(reading)
        return None if value is None else float(value)

    return field


def unreachable(reading: Reading) -> float | None:
    """1 for a machine that did not answer, 0 for one that did."""
    return float(reading.state is _UNREACHABLE)


def mines(reading: Reading) -> float | None:
    """1 for a machine that makes hashes or is meant to: both need cooling. Missing when it says neither."""
    if reading.hashrate_ths:
        return 1.0
    meant = reading.is_meant_to_mine
    if meant is None:
        return None if reading.hashrate_ths is None else 0.0
    return float(meant)


def stopped(reading: Reading) -> float:
    """1 for a machine that its owner stopped; 0 for one that is meant to mine or does not say."""
    return float(reading.is_meant_to_mine is False)


def hashes(reading: Reading) -> float | None:
    """1 for a machine that makes hashes, 0 for one that makes none."""
    if reading.hashrate_ths is not None:
        return float(reading.hashrate_ths > 0)
    return 1.0 if reading.state is State.HASHING else None


def hashrate_percent(reading: Reading, known: Known) -> float | None:
    """Of what is expected: the nominal hashrate, else the median of the machine's own last 24 hours."""
    if reading.hashrate_ths is None:
        return None
    expected_ths = reading.expected_ths or known.usual_ths
    return 100 * reading.hashrate_ths / expected_ths if expected_ths else None


def rejects_percent(reading: Reading, known: Known) -> float | None:
    """Of the shares of the last 10 minutes; missing for fewer than 20."""
    return None if reading.shares_rejected is None or reading.shares_accepted is None else known.rejects_percent


def restarts(reading: Reading, known: Known) -> float | None:
    """How often its uptime began anew in the last hour."""
    return None if reading.uptime_s is None else float(len(known.resets))


def unseen_h(_reading: Reading, known: Known) -> float:
    """Hours since the machine last answered."""
    return (known.at - known.seen_at) / HOUR_S


def declared(_reading: Reading, known: Known) -> float | None:
    """1 for a machine that its account declared, 0 for one that it did not; missing where it declares nothing."""
    return None if known.is_declared is None else float(known.is_declared)


def fan_slowest_rpm(reading: Reading) -> float | None:
    """Of the slowest fan; missing for a machine without fans."""
    return float(min(reading.fans_rpm)) if reading.fans_rpm else None


def fan_fastest_rpm(reading: Reading) -> float | None:
    """Of the fastest fan."""
    return float(max(reading.fans_rpm)) if reading.fans_rpm else None


def chips_working_percent(reading: Reading) -> float | None:
    """Of the board that misses most of its chips."""
    parts = [
        100 * board.chips_working / board.chips_expected
        for board in reading.boards or ()
        if board.chips_working is not None and board.chips_expected
    ]
    return min(parts, default=None)


def boards_missing(reading: Reading) -> float | None:
    """How many boards do not answer: of those that the machine lists, and of places left out between them.

    A board answers when it has chips that work or makes hashes. Missing when no board says either, and when nothing but
    hashrates is known of a machine that makes no hashes.
    """
    boards = reading.boards or ()
    answers = [answer for board in boards if (answer := _answers(board)) is not None]
    if not answers or (not any(answers) and all(board.chips_working is None for board in boards)):
        return None
    places = max(len(boards), 1 + max(board.index for board in boards))
    return float(places - sum(answers))


def _answers(board: Board) -> bool | None:
    if board.hashrate_ths or board.chips_working:
        return True
    return None if board.hashrate_ths is None and board.chips_working is None else False


def pools_alive(reading: Reading) -> float | None:
    """How many configured pools are alive; missing unless the machine says it of all of them."""
    alive = [pool.alive for pool in reading.pools or ()]
    if not alive or None in alive:
        return None
    return float(sum(map(bool, alive)))


def efficiency_percent(reading: Reading) -> float | None:
    """J/TH, of what the model has by its data sheet; missing in a power mode that is not the normal one."""
    nominal = _nominal(reading)
    if nominal is None or reading.power_w is None or not reading.hashrate_ths:
        return None
    return 100 * reading.power_w / reading.hashrate_ths / nominal


def power_percent(reading: Reading) -> float | None:
    """Of the power that the model takes for the hashrate that is expected."""
    nominal = _nominal(reading)
    if nominal is None or reading.power_w is None or not reading.expected_ths:
        return None
    return 100 * reading.power_w / (nominal * reading.expected_ths)


def _nominal(reading: Reading) -> float | None:
    if reading.power_mode is not None and reading.power_mode.lower() != "normal":
        return None
    return efficiency_of(reading.make, reading.model)


def fault_level(reading: Reading) -> float | None:
    """The worst of the catalogued fault codes: 1 info, 2 warning, 3 critical; 0 for none."""
    if reading.fault_codes is None:
        return None
    return float(max((fault_severity(code) for code in reading.fault_codes), default=0))


def _answered(field: _Said) -> Field:
    def of_an_answer(reading: Reading, _known: Known) -> float | None:
        return None if reading.state is _UNREACHABLE else field(reading)

    return of_an_answer


def _remembered(field: Field) -> Field:
    def of_an_answer(reading: Reading, known: Known) -> float | None:
        return None if reading.state is _UNREACHABLE else field(reading, known)

    return of_an_answer


KNOWN_WITHOUT_AN_ANSWER: Final = frozenset({"unreachable", "unseen_h", "declared"})
"""The fields of a machine that does not answer; it says none of the others."""

FIELDS: Final[Mapping[str, Field]] = {
    "unreachable": lambda reading, _known: unreachable(reading),
    "unseen_h": unseen_h,
    "declared": declared,
    **{field.__name__: _remembered(field) for field in (hashrate_percent, rejects_percent, restarts)},
    **{name: _as_it_is(name) for name in _AS_THEY_ARE},
    **{
        field.__name__: _answered(field)
        for field in (
            mines,
            stopped,
            hashes,
            fan_slowest_rpm,
            fan_fastest_rpm,
            boards_missing,
            chips_working_percent,
            pools_alive,
            efficiency_percent,
            power_percent,
            fault_level,
        )
    },
}
"""Name → what it reads."""

SHOWN_BY: Final[Mapping[str, tuple[str, ...]]] = {
    "unreachable": ("is_reachable",),
    "unseen_h": ("is_reachable",),
    "hashrate_ths": ("hashrate_ths",),
    "hashrate_percent": ("hashrate_ths", "expected_ths"),
    "boards_missing": ("boards_hashing",),
    "chips_working_percent": ("chips_working", "chips_expected"),
    "chip_temp_c": ("chip_temp_c",),
    "board_temp_c": ("board_temp_c",),
    "inlet_temp_c": ("inlet_temp_c",),
    "outlet_temp_c": ("outlet_temp_c",),
    "fan_slowest_rpm": ("fan_min_rpm",),
    "rejects_percent": ("shares_accepted", "shares_rejected"),
    "last_share_age_s": ("last_share_age_s",),
    "pool_expected": ("pool_expected",),
    "efficiency_percent": ("power_w", "hashrate_ths"),
    "efficiency_j_per_th": ("efficiency_j_per_th",),
    "power_percent": ("power_w",),
    "power_w": ("power_w",),
    "restarts": ("uptime_s",),
    "uptime_s": ("uptime_s",),
    "fault_level": ("fault_count",),
    "read_ms": ("read_ms",),
}
"""Field → the metrics (of `backend.store.metrics`) that show it, where there are any."""
