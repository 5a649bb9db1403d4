"""The meaning of a machine's own answers on port 4028: what the libraries leave out, average away or get wrong."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from agent.drivers.rpc import Answer
from agent.normalise import air_c, chip_c, count, fault_code, hottest, number, positive, ths
from agent.reading import RawBoard

_RATES: Final = (("HS RT", 1e6), ("GHS 5s", 1e9), ("MHS 5s", 1e6), ("GHS av", 1e9), ("MHS av", 1e6))
"""Names of the hashrate in a summary and what they count in; Whatsminer's `HS RT` is in MH/s."""
_OLDEST_SHARE_S: Final = 30 * 86_400.0
_AGE: Final = re.compile(r"(?:(\d+) ?d(?:ays?)?,? ?)?(\d+):(\d\d):(\d\d)")
_MOST_BOARDS: Final = 16
_MOST_FANS: Final = 8

Answers = Mapping[str, Answer]
"""Command → the whole answer to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Extra:
    """What was understood; `None` is "it did not say"."""

    hashrate_ths: float | None = None
    power_w: float | None = None
    uptime_s: float | None = None
    inlet_temp_c: float | None = None
    shares_accepted: int | None = None
    shares_rejected: int | None = None
    shares_stale: int | None = None
    last_share_age_s: float | None = None
    fans_rpm: tuple[int, ...] | None = None
    boards: tuple[RawBoard, ...] | None = None
    is_paused: bool | None = None
    fault_codes: tuple[str, ...] | None = None


def hashrate_ths(answers: Answers) -> float | None:
    """Of the whole machine."""
    summary = row(answers, "summary", "SUMMARY")
    return next((rate for name, unit in _RATES if (rate := ths(summary.get(name), unit)) is not None), None)


def understand(answers: Answers, make: str | None) -> Extra:
    """Never raises, whatever the machine says."""
    summary = row(answers, "summary", "SUMMARY")
    common = Extra(
        hashrate_ths=hashrate_ths(answers),
        power_w=positive(summary.get("Power")),
        uptime_s=count(summary.get("Elapsed")),
        shares_accepted=count(summary.get("Accepted")),
        shares_rejected=count(summary.get("Rejected")),
        shares_stale=count(summary.get("Stale")),
        last_share_age_s=last_share_age_s(answers.get("pools", {})),
    )
    if make == "Antminer":
        stats = row(answers, "stats", "STATS", at=1)
        return replace(
            common,
            power_w=_antminer_power_w(stats),
            fans_rpm=_antminer_fans(stats),
            boards=_antminer_boards(stats),
        )
    if make == "Avalon":
        return replace(common, inlet_temp_c=_avalon_inlet_c(row(answers, "stats", "STATS")))
    if make == "Whatsminer":
        return replace(
            common,
            boards=_whatsminer_boards(answers),
            is_paused=_whatsminer_paused(answers.get("status", {})),
            fault_codes=_whatsminer_faults(answers.get("get_error_code", {}), summary),
        )
    return common


def rows(answer: Answer, name: str) -> list[Answer]:
    """The objects of a list in an answer; none when it is not as expected."""
    found = answer.get(name)
    return [entry for entry in found if isinstance(entry, dict)] if isinstance(found, list) else []


def row(answers: Answers, command: str, name: str, *, at: int = 0) -> Answer:
    found = rows(answers.get(command, {}), name)
    return found[at] if at < len(found) else {}


def last_share_age_s(pools: Answer) -> float | None:
    """Seconds since the last share to any pool, by the machine's own clock.

    Antminer writes the age as h:mm:ss; the others write the time of the share by the clock of `STATUS.When`:
    the epoch, or the uptime on an Avalon.
    """
    status = rows(pools, "STATUS")
    now = number(status[0].get("When")) if status else None
    ages = (_share_age_s(pool.get("Last Share Time"), now) for pool in rows(pools, "POOLS"))
    return min((age for age in ages if age is not None), default=None)


def _share_age_s(written: object, now: float | None) -> float | None:
    if isinstance(written, str) and (found := _AGE.fullmatch(written.strip())):
        days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
        return float(((days * 24 + hours) * 60 + minutes) * 60 + seconds)
    at = positive(written)
    age = now - at if now is not None and at is not None else None
    return age if age is not None and 0 <= age <= _OLDEST_SHARE_S else None


def _antminer_fans(stats: Answer) -> tuple[int, ...] | None:
    """As many fans as `fan_num` says, those that stand still as 0.

    Old models write theirs in any of fan1 to fan8 and 0 in the places that have none; then a fan that stands
    still has no place, and comes last.
    """
    places = [count(stats.get(f"fan{place}")) for place in range(1, _MOST_FANS + 1)]
    fans = count(stats.get("fan_num"))
    if not fans or all(rpm is None for rpm in places):
        return None
    if not any(places[fans:]):
        return tuple(rpm for rpm in places[:fans] if rpm is not None)
    turning = [rpm for rpm in places if rpm]
    return tuple(turning + [0] * (fans - len(turning)))


def _antminer_power_w(stats: Answer) -> float | None:
    """Of the models that measure it: `3250 W`."""
    return positive(str(stats.get("chain_power", "")).removesuffix("W"))


def _antminer_boards(stats: Answer) -> tuple[RawBoard, ...] | None:
    boards = []
    for place in range(1, _MOST_BOARDS + 1):
        rate, chips = ths(stats.get(f"chain_rate{place}"), 1e9), count(stats.get(f"chain_acn{place}"))
        if rate is None and not chips:
            continue
        boards.append(
            RawBoard(
                index=place - 1,
                hashrate_ths=rate,
                board_temp_c=hottest(_dashed(stats.get(f"temp_pcb{place}"))),
                chip_temp_c=hottest(_dashed(stats.get(f"temp_chip{place}"))),
                chips_working=chips,
                frequency_mhz=positive(stats.get(f"freq{place}")),
            )
        )
    return tuple(boards) or None


def _dashed(values: object) -> list[str]:
    """The sensors of `78-50-69-70`."""
    return str(values).split("-") if isinstance(values, str) else []


def _avalon_inlet_c(stats: Answer) -> float | None:
    """The air's temperature from the text of the first module: `… DH[1.299%] Temp[31] TMax[78] …`."""
    module = next((str(value) for name, value in stats.items() if name.startswith("MM ID")), "")
    found = re.search(r"(?<!\w)Temp\[(-?[\d.]+)\]", module)
    return air_c(found[1]) if found else None


def _whatsminer_boards(answers: Answers) -> tuple[RawBoard, ...] | None:
    boards = []
    for place, dev in enumerate(rows(answers.get("devs", {}), "DEVS")[:_MOST_BOARDS]):
        index = count(dev.get("ASC"))
        boards.append(
            RawBoard(
                index=place if index is None else index,
                hashrate_ths=ths(dev.get("MHS av"), 1e6),
                expected_ths=positive(ths(dev.get("Factory GHS"), 1e9)),
                board_temp_c=chip_c(dev.get("Temperature")),
                chip_temp_c=chip_c(dev.get("Chip Temp Max")),
                chips_working=count(dev.get("Effective Chips")),
                frequency_mhz=positive(dev.get("Chip Frequency")),
            )
        )
    return tuple(boards) or None


def _whatsminer_paused(status: Answer) -> bool | None:
    message = status.get("Msg")
    if not isinstance(message, dict):
        return None
    off = [str(message[name]).lower() for name in ("mineroff", "btmineroff") if name in message]
    return "true" in off if off else None


def _whatsminer_faults(answer: Answer, summary: Answer) -> tuple[str, ...] | None:
    """Active codes; old firmware counts them in the summary instead (`Error Code 0`: 530)."""
    message = answer.get("Msg")
    listed = message.get("error_code") if isinstance(message, dict) else None
    codes: list[object] = []
    if isinstance(listed, list):
        for entry in listed:
            codes += list(entry) if isinstance(entry, dict) else [entry]
    elif isinstance(listed, dict):
        codes += list(listed)
    elif "Error Code Count" in summary:
        codes += [code for name, code in summary.items() if re.fullmatch(r"Error Code \d+", name)]
    else:
        return None
    return tuple(dict.fromkeys(fault_code("whatsminer", code) for code in codes if str(code) not in ("", "0")))
