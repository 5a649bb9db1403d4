"""What the first page says, as numbers: totals, machines worst first, a map of the farm.

Pure: readings and warnings in, dataclasses out, the time as an argument. Missing stays missing: a total
counts the machines that gave the value, and a machine that has gone silent adds nothing to any total. A site that tells
totals in place of readings counts with the newest of them.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from agent.wire import Aggregate, MachineId, Reading, Spread, State
from backend.ids import SiteId
from backend.store.protocol import Latest, Told

SILENT_AFTER: Final = timedelta(minutes=5)
"""Without a reading for so long, a machine's last state is history; `agent_silent` waits as long."""

SILENT: Final = "silent"
STATES: Final = ("fault", State.UNREACHABLE.value, SILENT, State.IDLE.value, State.PAUSED.value, State.HASHING.value)
"""Worst first."""

_NEVER: Final = datetime(1970, 1, 1, tzinfo=UTC)

SEVERITIES: Final = ("critical", "warning", "info")
"""Worst first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """A warning, firing or over."""

    id: str
    rule: str
    title: str  # for people: "Chip too hot"
    severity: str
    site: SiteId
    machine: MachineId | None  # None: the site's own
    since: datetime
    value: str | None = None  # with its unit
    threshold: str | None = None
    advice: str | None = None  # what to do first
    ended: datetime | None = None  # None: it fires
    is_acknowledged: bool = False  # somebody cares for it


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """One machine's row."""

    id: MachineId
    site: SiteId
    reading: Reading
    state: str
    alarms: tuple[Alarm, ...]

    @property
    def severity(self) -> str | None:
        """The worst of its alarms."""
        return next((s for s in SEVERITIES if any(alarm.severity == s for alarm in self.alarms)), None)

    @property
    def is_heard(self) -> bool:
        """It answered lately: its numbers are of now."""
        return self.state not in (SILENT, State.UNREACHABLE.value)

    @property
    def of_expected(self) -> float | None:
        """Hashrate as a part of what this machine should make, 0…1.5."""
        made, expected = self.reading.hashrate_ths, self.reading.expected_ths
        return min(made / expected, 1.5) if made is not None and expected else None

    @property
    def slowest_fan_rpm(self) -> int | None:
        return min(self.reading.fans_rpm, default=None) if self.reading.fans_rpm else None

    @property
    def rejected(self) -> float | None:
        """Rejected shares as a part of all, since the machine started."""
        good, bad = self.reading.shares_accepted, self.reading.shares_rejected
        return bad / (good + bad) if good is not None and bad is not None and good + bad else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """The whole farm; `None` where no machine gave the value."""

    machines: int
    told: int  # of them those of which only their site's totals are known
    states: Mapping[str, int]  # every state of STATES, in that order
    severities: Mapping[str, int]  # alarms; every severity, in order
    hashrate_ths: float | None
    expected_ths: float | None  # of all machines: no site tells it of machines that it does not name
    power_w: float | None
    efficiency_j_per_th: float | None  # over machines that give both power and hashrate
    hottest_chip_c: float | None
    hottest_machine: MachineId | None
    newest: datetime | None

    @property
    def hashing(self) -> int:
        return self.states[State.HASHING.value]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """What fires for the same reason, said once."""

    title: str
    severity: str
    advice: str | None
    alarms: tuple[Alarm, ...]  # newest first


@dataclass(frozen=True, slots=True, kw_only=True)
class Farm:
    """All of an account's machines, worst first."""

    totals: Totals
    machines: tuple[Machine, ...]
    troubles: tuple[Trouble, ...]  # worst first, then the one with the newest alarm
    over: tuple[Alarm, ...]  # lately ended, newest end first
    sites: Mapping[SiteId, str]  # id → name

    @property
    def alarms(self) -> int:
        """How many fire."""
        return sum(len(trouble.alarms) for trouble in self.troubles)


def farm(
    latest: Iterable[Latest],
    alarms: Sequence[Alarm],
    sites: Mapping[SiteId, str],
    told: Iterable[Told] = (),
    *,
    now: datetime,
) -> Farm:
    """Put readings, alarms and what sites `told` lately together; alarms that have ended are told apart."""
    over = sorted((a for a in alarms if a.ended), key=lambda a: a.ended or now, reverse=True)
    alarms = [alarm for alarm in alarms if not alarm.ended]
    by_machine: dict[tuple[SiteId, MachineId | None], list[Alarm]] = {}
    for alarm in alarms:
        by_machine.setdefault((alarm.site, alarm.machine), []).append(alarm)
    machines = [
        Machine(
            id=MachineId(item.reading.machine),
            site=item.site,
            reading=item.reading,
            state=SILENT if now - item.reading.time > SILENT_AFTER else item.reading.state.value,
            alarms=tuple(by_machine.get((item.site, MachineId(item.reading.machine)), ())),
        )
        for item in latest
    ]
    machines.sort(key=_worst_first)
    return Farm(
        totals=_totals(machines, alarms, _newest(told, machines)),
        machines=tuple(machines),
        troubles=_troubles(alarms),
        over=tuple(over),
        sites=sites,
    )


def _troubles(alarms: Iterable[Alarm]) -> tuple[Trouble, ...]:
    groups: dict[tuple[str, str], list[Alarm]] = {}
    for alarm in sorted(alarms, key=lambda a: (SEVERITIES.index(a.severity), -a.since.timestamp())):
        groups.setdefault((alarm.severity, alarm.rule), []).append(alarm)
    return tuple(
        Trouble(title=group[0].title, severity=severity, advice=group[0].advice, alarms=tuple(group))
        for (severity, _), group in groups.items()
    )


def _worst_first(machine: Machine) -> tuple[int, int, float, str]:
    severity = SEVERITIES.index(machine.severity) if machine.severity else len(SEVERITIES)
    made = machine.of_expected
    return severity, STATES.index(machine.state), made if made is not None else 1.0, machine.id


def _newest(told: Iterable[Told], machines: Iterable[Machine]) -> list[Aggregate]:
    """Of each site the newest total of all its machines, where it is newer than what its machines said."""
    heard: defaultdict[SiteId, list[datetime]] = defaultdict(list)
    for machine in machines:
        heard[machine.site].append(machine.reading.time)
    newest: dict[SiteId, Aggregate] = {}
    for one in sorted(told, key=lambda one: one.total.time):
        if one.total.make is None and one.total.model is None and one.total.time > max(heard[one.site], default=_NEVER):
            newest[one.site] = one.total
    return list(newest.values())


def _totals(machines: Sequence[Machine], alarms: Sequence[Alarm], told: Sequence[Aggregate]) -> Totals:
    heard = [machine.reading for machine in machines if machine.is_heard]
    both = [(r.power_w, r.hashrate_ths) for r in heard if r.power_w is not None and r.hashrate_ths is not None]
    both += [
        (power.total, rate.total)
        for power, rate in ((total.power_w, total.hashrate_ths) for total in told)
        if power and rate and power.machines == rate.machines and power.total is not None and rate.total is not None
    ]
    both_ths = sum(ths for _, ths in both)
    hottest = max((r for r in heard if r.chip_temp_c is not None), key=lambda r: r.chip_temp_c or 0, default=None)
    states = Counter(machine.state for machine in machines)
    for total in told:
        states.update({state.value: getattr(total, state.value) for state in State})
    severities = Counter(alarm.severity for alarm in alarms)
    times = [*(machine.reading.time for machine in machines), *(total.time for total in told)]
    return Totals(
        machines=states.total(),
        told=sum(total.machines for total in told),
        states={state: states[state] for state in STATES},
        severities={severity: severities[severity] for severity in SEVERITIES},
        hashrate_ths=_sum([*(r.hashrate_ths for r in heard), *(_total(total.hashrate_ths) for total in told)]),
        expected_ths=None if told else _sum(m.reading.expected_ths for m in machines if m.state != State.PAUSED.value),
        power_w=_sum([*(r.power_w for r in heard), *(_total(total.power_w) for total in told)]),
        efficiency_j_per_th=sum(watts for watts, _ in both) / both_ths if both_ths else None,
        hottest_chip_c=hottest.chip_temp_c if hottest else None,
        hottest_machine=MachineId(hottest.machine) if hottest else None,
        newest=max(times, default=None),
    )


def _total(spread: Spread | None) -> float | None:
    return None if spread is None else spread.total


def _sum(values: Iterable[float | None]) -> float | None:
    given = [value for value in values if value is not None]
    return sum(given) if given else None
