"""Scenario files: what machines say, what people do, what should fire. Reading and checking them.

The format is written down beside the shared examples; an unknown key is an error. `rehearsal` plays them.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails

from backend.warnings.overrides import NAMES
from backend.warnings.series import Polls


class BadScenario(ValueError):
    """The file is no scenario; the message says where and why."""


def _duration(value: object) -> timedelta:
    found = _DURATION.fullmatch(value) if isinstance(value, str) and value else None
    if found is None:
        raise ValueError("a time is written as 90s, 20m, 1h30m or 2d")
    days, hours, minutes, seconds = (float(part or 0) for part in found.groups())
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)


_DURATION: Final = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")
Duration = Annotated[timedelta, BeforeValidator(_duration)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Machine(_Strict):
    """A machine, and what it says in each poll."""

    name: Annotated[str, Field(min_length=1, pattern=r"^\S+$")]
    model: str | None = None
    expected_ths: Annotated[float, Field(gt=0)] | None = None
    boards: Annotated[int, Field(ge=0)] | None = None
    declared: bool = True
    series: Mapping[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _readable(self) -> Self:
        self.polls()
        return self

    def polls(self) -> Polls:
        """The machine's series, read."""
        return Polls(self.series)


class Silencing(_Strict):
    """Nobody is told for a while."""

    duration: Annotated[Duration, Field(alias="for")]
    rule: str | None = None
    machine: str | None = None


class Maintenance(_Strict):
    """Nobody is told of anything at the site."""

    duration: Annotated[Duration, Field(alias="for")]


class Threshold(BaseModel):
    """Other numbers for a rule: some of `overrides.NAMES`."""

    model_config = ConfigDict(extra="allow", frozen=True)
    __pydantic_extra__: dict[str, float]
    rule: str
    machine: str | None = None
    model: str | None = None

    @model_validator(mode="after")
    def _known_numbers(self) -> Self:
        if strangers := self.numbers.keys() - NAMES:
            raise ValueError(f"there is no {', '.join(sorted(strangers))}; there are {', '.join(sorted(NAMES))}")
        if not self.numbers:
            raise ValueError(f"give a number of the rule: {', '.join(sorted(NAMES))}")
        return self

    @property
    def numbers(self) -> dict[str, float]:
        return dict(self.__pydantic_extra__)


class Act(_Strict):
    """Something that a person does."""

    at: Duration
    pause_machine: str | None = None
    resume_machine: str | None = None
    silence: Silencing | None = None
    acknowledge: str | None = None
    threshold: Threshold | None = None
    restart_backend: Literal[True] | None = None
    maintenance: Maintenance | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if len(self.model_fields_set - {"at"}) != 1:
            raise ValueError("one thing is done at a time: give one of pause_machine, resume_machine, silence, …")
        return self

    @property
    def machine(self) -> str | None:
        """The machine that it is about."""
        if self.acknowledge is not None:
            return split(self.acknowledge)[1] or None
        named = self.silence or self.threshold
        return self.pause_machine or self.resume_machine or (named.machine if named else None)

    @property
    def rule(self) -> str | None:
        """The rule that it is about."""
        if self.acknowledge is not None:
            return split(self.acknowledge)[0]
        named = self.silence or self.threshold
        return named.rule if named else None


class Agent(_Strict):
    """When the site's agent sends nothing, and how wrong its clock is."""

    silent: tuple[Duration, Duration] | None = None
    clock_offset_s: float = 0

    @model_validator(mode="after")
    def _forwards(self) -> Self:
        if self.silent is not None and self.silent[0] >= self.silent[1]:
            raise ValueError("silent is a beginning and an end: the end comes later")
        return self


class Expectation(_Strict):
    """What is so at a time."""

    at: Duration
    firing: tuple[str, ...]
    notified: Annotated[int, Field(ge=0)] | None = None


class Scenario(_Strict):
    """A file."""

    site: Annotated[str, Field(min_length=1)]
    start: AwareDatetime
    interval_s: Annotated[float, Field(gt=0)]
    machines: Annotated[tuple[Machine, ...], Field(alias="machine")] = ()
    acts: Annotated[tuple[Act, ...], Field(alias="set")] = ()
    agents: Annotated[tuple[Agent, ...], Field(alias="agent")] = ()
    expectations: Annotated[tuple[Expectation, ...], Field(alias="expect")] = ()

    @model_validator(mode="after")
    def _known_machines(self) -> Self:
        names = [machine.name for machine in self.machines]
        if len(set(names)) < len(names):
            raise ValueError("two machines have one name")
        named = {act.machine for act in self.acts} | {
            split(text)[1] for each in self.expectations for text in each.firing
        }
        if strangers := named - set(names) - {None, ""}:
            raise ValueError(f"there is no machine {', '.join(sorted(map(str, strangers)))}")
        return self

    def rules(self) -> set[str]:
        """The rules that it names."""
        told = {split(text)[0] for each in self.expectations for text in each.firing}
        return told | {rule for act in self.acts if (rule := act.rule) is not None}


def split(firing: str) -> tuple[str, str]:
    """Rule and machine of "rule machine"; "" for a site's rule."""
    rule, _, machine = firing.strip().partition(" ")
    return rule, machine.strip()


def load(path: Path) -> Scenario:
    """Read a file. Raises `BadScenario`."""
    try:
        return Scenario.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadScenario(f"cannot be read: {error}") from error
    except ValidationError as error:
        raise BadScenario("; ".join(map(_said, error.errors()))) from error


def _said(fault: ErrorDetails) -> str:
    """A fault with its place, tables counted as in the file: the second [[machine]] is machine 2."""
    places = [str(part + 1) if isinstance(part, int) else str(part) for part in fault["loc"]]
    return ": ".join(filter(None, (" ".join(places), fault["msg"].removeprefix("Value error, "))))
