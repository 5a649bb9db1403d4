"""Wire contract v1: everything that may leave a site, and nothing else.

A `Batch` of `Reading`s is all that an agent ever sends. Every field is a number with its unit in its
name, an enumeration, a catalogued name or a pseudonym. A field that a machine does not give is absent
(`None` here, left out of the JSON), never 0. Unknown fields are refused in both directions, so a new
field is a decision made in this file and not a side effect of a firmware update.

This module imports the standard library and pydantic only: it is the one thing that both programs share.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Final, NewType
from uuid import UUID

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
)

CONTRACT: Final = 1
"""The contract version this module speaks; a batch of another version is refused, not guessed at."""

MAX_READINGS: Final = 2_000
"""Readings in one batch; the agent sends about 500."""

MachineId = NewType("MachineId", str)
"""`mnr-` + 16 Crockford base32 characters: a machine, known by name only at its site."""

_CODE = "[0-9a-hjkmnp-tv-z]{16}"


def _utc(value: datetime) -> datetime:
    return value.astimezone(UTC)


def _machine(value: str) -> MachineId:
    return MachineId(value)


Instant = Annotated[AwareDatetime, AfterValidator(_utc)]
Machine = Annotated[str, StringConstraints(pattern=f"^mnr-{_CODE}$"), AfterValidator(_machine)]
Worker = Annotated[str, StringConstraints(pattern=f"^wrk-{_CODE}$")]
PoolAccount = Annotated[str, StringConstraints(pattern=f"^act-{_CODE}$")]
PoolHost = Annotated[
    str,
    StringConstraints(pattern=rf"^(pol-{_CODE}|[a-z0-9-]+(\.[a-z0-9-]+)+)$", max_length=100),
]
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9 .,_+/()-]*$", max_length=64)]
"""A catalogued name: make, model, firmware version, driver, power mode."""
FaultCode = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]{1,24}:[A-Za-z0-9_.-]{1,24}$")]
"""`vendor:code`, never the vendor's free text."""

Hashrate = Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]
Watts = Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]
Celsius = Annotated[float, Field(ge=-60, le=250, allow_inf_nan=False)]
Rpm = Annotated[int, Field(ge=0, le=100_000)]
Count = Annotated[int, Field(ge=0, le=2**53)]
Seconds = Annotated[float, Field(ge=0, le=4e9, allow_inf_nan=False)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class State(StrEnum):
    """What a machine was doing when it was asked."""

    HASHING = "hashing"
    IDLE = "idle"  # answers, is meant to mine, makes no hashes
    PAUSED = "paused"  # answers, and is not meant to mine
    UNREACHABLE = "unreachable"  # did not answer within the agent's deadline
    FAULT = "fault"  # answers, makes no hashes, and names a fault code


class Board(_Frozen):
    """One hash board."""

    index: Annotated[int, Field(ge=0, le=63)]
    hashrate_ths: Hashrate | None = None
    expected_ths: Hashrate | None = None
    board_temp_c: Celsius | None = None
    chip_temp_c: Celsius | None = None  # the hottest chip that the board reports
    chips_working: Count | None = None
    chips_expected: Count | None = None
    frequency_mhz: Annotated[float, Field(ge=0, le=10_000, allow_inf_nan=False)] | None = None
    voltage_v: Annotated[float, Field(ge=0, le=1_000, allow_inf_nan=False)] | None = None


class Pool(_Frozen):
    """One configured pool; `host` is a well-known public name or a pseudonym."""

    host: PoolHost
    account: PoolAccount | None = None
    worker: Worker | None = None
    alive: bool | None = None
    active: bool | None = None


class Reading(_Frozen):
    """What one machine said in one poll. Made by `agent.pseudonym.pseudonymize` and nowhere else."""

    time: Instant  # on the poll's grid, so that series of a site line up
    machine: Machine
    make: Name | None = None
    model: Name | None = None
    firmware: Name | None = None
    driver: Name | None = None  # which reader and version: readers disagree (Avalon: 184 against 197 TH/s)
    read_ms: Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)] | None = None
    state: State
    is_meant_to_mine: bool | None = None
    hashrate_ths: Hashrate | None = None
    expected_ths: Hashrate | None = None
    power_w: Watts | None = None
    efficiency_j_per_th: Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)] | None = None
    uptime_s: Seconds | None = None
    inlet_temp_c: Celsius | None = None
    outlet_temp_c: Celsius | None = None
    fans_rpm: Annotated[tuple[Rpm, ...], Field(max_length=16)] | None = None
    boards: Annotated[tuple[Board, ...], Field(max_length=64)] | None = None
    shares_accepted: Count | None = None
    shares_rejected: Count | None = None
    shares_stale: Count | None = None
    last_share_age_s: Seconds | None = None
    pools: Annotated[tuple[Pool, ...], Field(max_length=16)] | None = None
    pool_expected: bool | None = None  # compared at the site with the pools declared there
    fault_codes: Annotated[tuple[FaultCode, ...], Field(max_length=64)] | None = None
    power_mode: Name | None = None

    @property
    def chip_temp_c(self) -> float | None:
        """The hottest chip of all boards, °C."""
        temps = [b.chip_temp_c for b in self.boards or () if b.chip_temp_c is not None]
        return max(temps, default=None)

    @property
    def board_temp_c(self) -> float | None:
        """The hottest board sensor, °C."""
        temps = [b.board_temp_c for b in self.boards or () if b.board_temp_c is not None]
        return max(temps, default=None)


class Batch(_Frozen):
    """What one request carries: readings of one site."""

    id: UUID  # the backend stores each id once, however often it arrives
    contract: int = CONTRACT
    site: Annotated[str, StringConstraints(pattern=r"^[a-z0-9_-]{1,64}$")]
    agent: Name  # the agent's version
    sent_at: Instant
    backlog_s: Seconds = 0.0  # age of the oldest reading still unsent at the site
    readings: Annotated[tuple[Reading, ...], Field(max_length=MAX_READINGS)]


class ContractError(ValueError):
    """The bytes are not a batch of this contract; the message says which field and why, and quotes no value."""


class UnknownContract(ContractError):
    """The batch is of a contract version that this side does not speak."""


def encode(message: Batch | Reading) -> bytes:
    """UTF-8 JSON without absent fields: the exact bytes that leave the site (before compression)."""
    return message.model_dump_json(exclude_none=True).encode()


def decode(data: bytes) -> Batch:
    """Parse a batch.

    Raises `UnknownContract` when it says another version and `ContractError` when it is not a batch.
    """
    try:
        version = _version(data)
        if version != CONTRACT:
            raise UnknownContract(f"contract version {version} is not known here; this side speaks {CONTRACT}")
        return Batch.model_validate_json(data)
    except ValidationError as error:
        raise ContractError(describe(error)) from error


def describe(error: ValidationError, most: int = 5) -> str:
    """Name the fields at fault and the reason, without the values: they may be somebody's names."""
    faults: list[Any] = error.errors(include_input=False, include_url=False, include_context=False)
    lines = [f"{'.'.join(map(str, fault['loc'])) or 'batch'}: {fault['msg']}" for fault in faults[:most]]
    if len(faults) > most:
        lines.append(f"and {len(faults) - most} more")
    return "; ".join(lines)


class _Version(BaseModel):
    contract: int = CONTRACT


def _version(data: bytes) -> int:
    """Only the version, so that a batch from the future gets the error that says so."""
    return _Version.model_validate_json(data).contract


def schema() -> str:
    """JSON Schema of a batch, for the published contract."""
    return json.dumps(Batch.model_json_schema(), indent=1, sort_keys=True)
