"""The one way from what a machine said to what may leave the site: `pseudonymize` alone makes `wire.Reading`s."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from agent.identity import identity
from agent.keyring import Keyring, Kind
from agent.leakguard import Names, leaking
from agent.pools import PublicPools, canonical_host, split_user, user_of
from agent.reading import Facts, Live, RawBoard, RawPool, RawReading
from agent.wire import Board, Pool, Reading, State


def pseudonymize(
    raw: RawReading, keyring: Keyring, pools: PublicPools, last_pools: tuple[RawPool, ...] = ()
) -> Reading:
    """What may leave the site of one poll. Never raises for what a machine says.

    `last_pools` are those that this machine had when it last told them. When this reading does not tell them, their
    names are what its text is searched for; they are not sent.

    A value that is no number, not finite or out of the contract's bounds is missing. Text that does not fit, or
    that holds one of the machine's own names in any usual encoding, is missing.
    """
    facts, live = raw.facts, raw.live or _NO_ANSWER
    names = _names(facts, live.pools if live.pools is not None else last_pools, pools)
    codes = live.fault_codes or ()
    texts = (facts.make, facts.model, facts.firmware, facts.driver, live.power_mode)
    leaks = leaking(names, (*texts, *codes))
    make, model, firmware, driver, power_mode = (None if text in leaks else _name(text) for text in texts)
    hashrate_ths, power_w = _number(live.hashrate_ths, 0, 1e6), _number(live.power_w, 0, 1e6)
    return Reading(
        time=raw.time,
        machine=keyring.pseudonym(Kind.MACHINE, identity(facts)),
        make=make,
        model=model,
        firmware=firmware,
        driver=driver,
        read_ms=_number(raw.read_ms, 0, 1e6),
        state=_state(live, hashrate_ths) if raw.live else State.UNREACHABLE,
        is_meant_to_mine=_truth(live.is_meant_to_mine),
        hashrate_ths=hashrate_ths,
        expected_ths=_number(live.expected_ths, 0, 1e6) or _number(facts.expected_ths, 0, 1e6),
        power_w=power_w,
        efficiency_j_per_th=_number(power_w / hashrate_ths, 0, 1e6) if power_w and hashrate_ths else None,
        uptime_s=_number(live.uptime_s, 0, 4e9),
        inlet_temp_c=_number(live.inlet_temp_c, -60, 250),
        outlet_temp_c=_number(live.outlet_temp_c, -60, 250),
        fans_rpm=_fans(live.fans_rpm),
        boards=_boards(live.boards),
        shares_accepted=_count(live.shares_accepted),
        shares_rejected=_count(live.shares_rejected),
        shares_stale=_count(live.shares_stale),
        last_share_age_s=_number(live.last_share_age_s, 0, 4e9),
        pools=_pools(live.pools, names, keyring, pools),
        pool_expected=pools.as_expected(live.pools) if live.pools else None,
        fault_codes=_fault_codes(codes, leaks) if live.fault_codes is not None else None,
        power_mode=power_mode,
    )


_NO_ANSWER: Final = Live()


def _state(live: Live, hashrate_ths: float | None) -> State:
    """A machine that does not say its hashrate is judged by its boards; one whose boards say nothing either, by
    whether it is meant to mine: "makes no hashes" is claimed only of a machine that said so."""
    if hashrate_ths is None and live.boards:
        known = [rate for board in live.boards if (rate := _number(board.hashrate_ths, 0, 1e6)) is not None]
        hashrate_ths = sum(known) if known else None
    if hashrate_ths:
        return State.HASHING
    if live.is_meant_to_mine is False:
        return State.PAUSED
    if live.fault_codes:
        return State.FAULT
    return State.HASHING if hashrate_ths is None and live.is_meant_to_mine else State.IDLE


def _names(facts: Facts, raw_pools: tuple[RawPool, ...], pools: PublicPools) -> Names:
    machine = (facts.mac, facts.serial, facts.hostname, facts.address)
    return Names(tuple(filter(None, machine)), _pool_names(raw_pools, pools))


@lru_cache(maxsize=32_768)
def _pool_names(raw_pools: tuple[RawPool, ...], pools: PublicPools) -> tuple[str, ...]:
    """What must not leave of a machine's pools: hosts that may not be named, users, accounts, workers."""
    found: dict[str, None] = {}
    for pool in raw_pools:
        host = canonical_host(pool.url) if pool.url else None
        if host and pools.name(host) is None:
            found[host] = None
        if user := user_of(pool):
            found |= dict.fromkeys(filter(None, (user, *split_user(user))))
    return tuple(found)


def _pools(
    raw_pools: tuple[RawPool, ...] | None, names: Names, keyring: Keyring, pools: PublicPools
) -> tuple[Pool, ...] | None:
    """The configured pools in their order; an empty slot is none."""
    if raw_pools is None:
        return None
    made = (_pool(pool, names, keyring, pools) for pool in raw_pools)
    return tuple(pool for pool in made if pool)[:16]


def _pool(raw: RawPool, names: Names, keyring: Keyring, pools: PublicPools) -> Pool | None:
    host = canonical_host(raw.url) if raw.url else None
    if host is None:
        return None
    name = pools.name(host)
    if name is None or leaking(Names(names.machine, ()), (name,)):
        name = keyring.pseudonym(Kind.POOL, host)
    user = user_of(raw)
    account, worker = split_user(user) if user else (None, None)
    return Pool(
        host=name,
        account=keyring.pseudonym(Kind.ACCOUNT, account) if account else None,
        worker=keyring.pseudonym(Kind.WORKER, worker) if worker else None,
        alive=_truth(raw.alive),
        active=_truth(raw.active),
    )


def _boards(raw: tuple[RawBoard, ...] | None) -> tuple[Board, ...] | None:
    """The boards by index; of two with one index the first."""
    if raw is None:
        return None
    boards: dict[int, Board] = {}
    for board in raw:
        index = _count(board.index, 63)
        if index is not None and index not in boards:
            boards[index] = _board(index, board)
    return tuple(boards.values())


def _board(index: int, raw: RawBoard) -> Board:
    return Board(
        index=index,
        hashrate_ths=_number(raw.hashrate_ths, 0, 1e6),
        expected_ths=_number(raw.expected_ths, 0, 1e6),
        board_temp_c=_number(raw.board_temp_c, -60, 250),
        chip_temp_c=_number(raw.chip_temp_c, -60, 250),
        chips_working=_count(raw.chips_working),
        chips_expected=_count(raw.chips_expected),
        frequency_mhz=_number(raw.frequency_mhz, 0, 10_000),
        voltage_v=_number(raw.voltage_v, 0, 1_000),
    )


def _fans(raw: tuple[int, ...] | None) -> tuple[int, ...] | None:
    if raw is None:
        return None
    return tuple(rpm for value in raw if (rpm := _count(value, 100_000)) is not None)[:16]


def _fault_codes(codes: Iterable[str], leaks: frozenset[str]) -> tuple[str, ...]:
    return tuple(code for code in dict.fromkeys(codes) if code not in leaks and _FAULT_CODE.fullmatch(code))[:64]


_NUMBERS: Final = (int, float)


def _number(value: object, low: float, high: float) -> float | None:
    """The value, if it is a number within the contract's bounds, to six decimals."""
    if isinstance(value, _NUMBERS) and not isinstance(value, bool) and low <= value <= high:
        return round(float(value), 6)
    return None  # NaN lies within no bounds


def _count(value: object, most: int = 2**53) -> int | None:
    if isinstance(value, _NUMBERS) and not isinstance(value, bool) and 0 <= value <= most:
        return int(value)
    return None


def _truth(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9 .,_+/()-]{0,63}")
_FAULT_CODE: Final = re.compile(r"[a-z0-9_]{1,24}:[A-Za-z0-9_.-]{1,24}")


@lru_cache(maxsize=8_192)
def _name(text: str | None) -> str | None:
    """The text as the contract writes names: plain characters, single spaces; None when nothing such is left
    or it is longer than any name of a model or a firmware is."""
    plain = unicodedata.normalize("NFKD", text or "").encode("ascii", "ignore").decode()
    plain = re.sub(r"[^A-Za-z0-9 .,_+/()-]+", " ", plain.replace(":", "."))
    plain = re.sub(r" +", " ", plain).strip().lstrip(".,_+/()- ")
    return plain if _NAME.fullmatch(plain) else None
