"""Fault scripts: what breaks, where, when, for how long. A TOML file of `[[fault]]` tables:

    [[fault]]
    fault = "overheating"          # one of the faults that `itsminer-agent simulate --help` lists
    machines = "whatsminer:1"      # which, see below
    at = "12s"                     # since all machines listen; default "0s"
    for = "20s"                    # or: until = "33s"; neither = until the simulator stops
    board = 2                      # board_lost only: which board, from 0; default the last
    fan = 1                        # fan_stopped only: which fan, from 0; default the first

`machines` is a comma-separated list of: `all`; a number or a range (`3`, `5-9`), counted from 1 in the order
of the addresses; a share (`10%`), spread evenly; a family (`avalon`) or a number, range or share of it
(`avalon:2`, `avalon:1-5`, `avalon:50%`). Durations are written `10s`, `2m`, `1h30m`. Anything else is an error.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Final, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from agent.errors import Misconfigured
from agent.simulator.faults import Fault
from agent.simulator.machine import Machine

DEMO: Final = """
# For a demo of a minute: two machines stay broken to show that it hurts nobody, the others recover.
[[fault]]
fault = "overheating"
machines = "whatsminer:1"
at = "12s"
until = "33s"

[[fault]]
fault = "zero_hashrate"
machines = "avalon:1"
at = "13s"
until = "33s"

[[fault]]
fault = "fan_stopped"
machines = "whatsminer:2"
at = "12s"
until = "33s"

[[fault]]
fault = "unreachable"
machines = "avalon:2"
at = "13s"
until = "33s"

[[fault]]
fault = "garbage"
machines = "avalon:3"
at = "15s"

[[fault]]
fault = "never_answers"
machines = "whatsminer:3"
at = "15s"
"""


def _duration(value: object) -> timedelta:
    text = str(value).replace(" ", "")
    found = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s?)?", text)
    if not isinstance(value, str | int | float) or isinstance(value, bool) or not text or found is None:
        raise ValueError(f"{value!r} is no duration: write 10s, 2m or 1h30m")
    hours, minutes, seconds = found.groups()
    return timedelta(hours=int(hours or 0), minutes=int(minutes or 0), seconds=float(seconds or 0))


_Duration = Annotated[timedelta, BeforeValidator(_duration)]


class Line(BaseModel):
    """One `[[fault]]`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    fault: Fault
    machines: Annotated[str, Field(min_length=1)]
    at: _Duration = timedelta(0)
    lasts: Annotated[_Duration | None, Field(alias="for")] = None
    until: _Duration | None = None
    board: Annotated[int | None, Field(ge=0, le=63)] = None
    fan: Annotated[int | None, Field(ge=0, le=63)] = None

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if self.lasts is not None and self.until is not None:
            raise ValueError("give `for` or `until`, not both")
        if self.end is not None and self.end <= self.at:
            raise ValueError("it ends before it begins")
        if self.board is not None and self.fault is not Fault.BOARD_LOST:
            raise ValueError("`board` belongs to board_lost")
        if self.fan is not None and self.fault is not Fault.FAN_STOPPED:
            raise ValueError("`fan` belongs to fan_stopped")
        return self

    @property
    def end(self) -> timedelta | None:
        """When it ends, since the start."""
        return self.until if self.lasts is None else self.at + self.lasts


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    fault: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Script:
    """A script whose lines are resolved to machines of one farm."""

    casts: tuple[tuple[Line, tuple[Machine, ...]], ...]

    @classmethod
    def read(cls, path: Path, machines: Sequence[Machine]) -> Script:
        """Raises `Misconfigured` when the file cannot be read, is no script, or names machines that there are not."""
        try:
            text = path.read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise Misconfigured(f"cannot read the fault script {path}: {error}") from error
        lines = parse(text, str(path))
        casts = tuple((line, chosen(line.machines, machines)) for line in lines)
        for number, (line, cast) in enumerate(casts, 1):
            if not cast:
                raise Misconfigured(f"{path}: fault {number}: machines: {line.machines!r} is no machine of this farm")
        return cls(casts)

    @classmethod
    def demo(cls, machines: Sequence[Machine]) -> Script:
        """The built-in script; what it says about families that the farm has not is left out."""
        casts = ((line, chosen(line.machines, machines)) for line in parse(DEMO, "demo"))
        return cls(tuple((line, cast) for line, cast in casts if cast))

    def begin(self, start: datetime) -> None:
        """Set every fault of the script; `start` is when all machines listened."""
        for line, cast in self.casts:
            end = None if line.end is None else start + line.end
            for machine in cast:
                machine.faults.begin(line.fault, since=start + line.at, until=end, board=line.board, fan=line.fan or 0)


def parse(text: str, source: str) -> tuple[Line, ...]:
    """The lines of a script. Raises `Misconfigured` and says where."""
    try:
        return _File.model_validate(tomllib.loads(text)).fault
    except tomllib.TOMLDecodeError as error:
        raise Misconfigured(f"{source}: {error}") from error
    except ValidationError as error:
        raise Misconfigured(f"{source}: {_first_fault(error)}") from error


def chosen(selector: str, machines: Sequence[Machine]) -> tuple[Machine, ...]:
    """The machines that a selector names, each once, in the farm's order. Raises `Misconfigured` for bad grammar."""
    picked = {machine.address for part in selector.split(",") for machine in _part(part.strip(), machines)}
    return tuple(machine for machine in machines if machine.address in picked)


def _part(part: str, machines: Sequence[Machine]) -> Sequence[Machine]:
    family, _, which = part.rpartition(":")
    if family:
        return _among(which, [machine for machine in machines if machine.family == family], part)
    if re.fullmatch(r"all|[\d%-]+", which):
        return _among(which, machines, part)
    return [machine for machine in machines if machine.family == which]


def _among(which: str, machines: Sequence[Machine], part: str) -> Sequence[Machine]:
    if which == "all":
        return machines
    if found := re.fullmatch(r"(\d+)%", which):
        count = min(len(machines), max(1, round(len(machines) * int(found[1]) / 100)))
        return [machines[place * len(machines) // count] for place in range(count)]
    if found := re.fullmatch(r"(\d+)(?:-(\d+))?", which):
        first, last = int(found[1]), int(found[2] or found[1])
        return machines[max(0, first - 1) : last] if first else ()
    raise Misconfigured(f"machines: {part!r} is no selector: write all, 3, 5-9, 10%, avalon, avalon:2 or avalon:50%")


def _first_fault(error: ValidationError) -> str:
    """`fault 2: at: …`, counted from 1 as people count."""
    fault = error.errors(include_url=False)[0]
    where = fault["loc"][1:] if len(fault["loc"]) > 1 else fault["loc"]
    place = [f"fault {part + 1}" if isinstance(part, int) else str(part) for part in where]
    message = fault["msg"].removeprefix("Value error, ")
    return ": ".join([*place, message])
