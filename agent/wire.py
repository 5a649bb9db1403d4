"""Wire contract v1: everything that may leave a site, and nothing else.

A `Batch` of `Reading`s, or of `Aggregate`s in their place, is all that an agent ever sends. Every field is a
number with its unit in its name, an enumeration, a catalogued name or a pseudonym. A field that a machine does
not give is absent (`None` here, left out of the JSON), never 0. Unknown fields are refused in both directions, so
a new field is a decision made in this file and not a side effect of a firmware update.

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

FEWEST: Final = 5
"""Machines in a group that totals are told of: of fewer, a total tells of each."""

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
    StringConstraints(pattern=rf"^(pol-{_CODE}|([a-z0-9-]+\.)+[a-z][a-z0-9-]*)$", max_length=100),
]
Epoch = Annotated[str, StringConstraints(pattern=f"^epo-{_CODE}$")]
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
GroupSize = Annotated[int, Field(ge=FEWEST, le=2**53)]
Percentile = Annotated[float, Field(ge=-60, le=1e6, allow_inf_nan=False)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


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
    """Which board, from 0: a missing board is named by its place."""
    hashrate_ths: Hashrate | None = None
    """TH/s now: a weak board is found by it."""
    expected_ths: Hashrate | None = None
    """TH/s that the maker or the firmware expects of this board."""
    board_temp_c: Celsius | None = None
    """°C, the hottest sensor on the board: cooling."""
    chip_temp_c: Celsius | None = None
    """°C, the hottest chip that the board reports: the first sign of a machine that cooks itself."""
    chips_working: Count | None = None
    """Chips that answer: a dying board loses them one by one."""
    chips_expected: Count | None = None
    """Chips that the board was made with."""
    frequency_mhz: Annotated[float, Field(ge=0, le=10_000, allow_inf_nan=False)] | None = None
    """MHz, the mean of the board: explains a hashrate that is low by choice."""
    voltage_v: Annotated[float, Field(ge=0, le=1_000, allow_inf_nan=False)] | None = None
    """V: explains power and faults of the supply."""


class Pool(_Frozen):
    """One configured pool; `host` is a well-known public name or a pseudonym."""

    host: PoolHost
    """A well-known public pool's name, or the pseudonym of a private one: which pools are down."""
    account: PoolAccount | None = None
    """Pseudonym of the pool account (or wallet): hashrate that goes to a strange account is seen."""
    worker: Worker | None = None
    """Pseudonym of the worker name."""
    alive: bool | None = None
    """Whether the machine calls the pool alive."""
    active: bool | None = None
    """Whether the machine works for this pool now."""


class Reading(_Frozen):
    """What one machine said in one poll. Made by `agent.pseudonym.pseudonymize` and nowhere else."""

    time: Instant
    """UTC, on the poll's grid, so that the series of a site line up."""
    machine: Machine
    """Pseudonym of the machine: the same one stays the same, and only its site can say which it is."""
    make: Name | None = None
    """The maker, from a catalogue: thresholds differ by it."""
    model: Name | None = None
    """The model, from a catalogue: nominal values differ by it."""
    firmware: Name | None = None
    """The firmware's version: faults come with updates."""
    driver: Name | None = None
    """What read the machine, with its version: readers disagree (an Avalon: 184 against 197 TH/s)."""
    read_ms: Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)] | None = None
    """ms that the machine took to answer: a machine slows down before it fails."""
    state: State
    """What the machine was doing."""
    is_meant_to_mine: bool | None = None
    """False when its owner stopped it: then nothing is warned about."""
    hashrate_ths: Hashrate | None = None
    """TH/s now, as the machine measures it (seconds to minutes, by firmware)."""
    expected_ths: Hashrate | None = None
    """TH/s that the maker or the firmware expects."""
    power_w: Watts | None = None
    """W, as the machine measures it: cost."""
    efficiency_j_per_th: Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)] | None = None
    """J/TH, power over hashrate."""
    uptime_s: Seconds | None = None
    """s since the miner started: restarts."""
    inlet_temp_c: Celsius | None = None
    """°C of the air (or liquid) that goes in."""
    outlet_temp_c: Celsius | None = None
    """°C of the air (or liquid) that comes out."""
    fans_rpm: Annotated[tuple[Rpm, ...], Field(max_length=16)] | None = None
    """rpm of each fan in the machine's order, without the power supply's: a stopped fan is a 0."""
    boards: Annotated[tuple[Board, ...], Field(max_length=64)] | None = None
    """The hash boards."""
    shares_accepted: Count | None = None
    """Shares accepted since the miner started."""
    shares_rejected: Count | None = None
    """Shares rejected since the miner started: wasted work."""
    shares_stale: Count | None = None
    """Shares that came too late, since the miner started: the line to the pool."""
    last_share_age_s: Seconds | None = None
    """s since the last accepted share: work that reaches nobody."""
    pools: Annotated[tuple[Pool, ...], Field(max_length=16)] | None = None
    """The configured pools in the machine's order."""
    pool_expected: bool | None = None
    """Whether the pools are those declared at the site; compared there, in clear, and only the answer leaves."""
    fault_codes: Annotated[tuple[FaultCode, ...], Field(max_length=64)] | None = None
    """The vendor's fault codes, as vendor:code."""
    power_mode: Name | None = None
    """The power mode that the machine names: explains a hashrate that is low by choice."""

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


class Spread(_Frozen):
    """One number over a group of machines."""

    machines: GroupSize
    """How many machines told it; of fewer than 5 it is not said."""
    total: Annotated[float, Field(ge=0, le=1e12, allow_inf_nan=False)] | None = None
    """The sum, of what can be added up (TH/s, W): what the site makes and uses."""
    p10: Percentile
    """A tenth of the machines have less: the weak ones."""
    p50: Percentile
    """Half of the machines have less: the usual one."""
    p90: Percentile
    """A tenth of the machines have more: the hot ones."""


class Aggregate(_Frozen):
    """A site, or all machines of one model of it, in one poll: what leaves where single machines may not."""

    time: Instant
    """UTC, on the poll's grid."""
    make: Name | None = None
    """The maker, of a group by model; absent in what is of the whole site."""
    model: Name | None = None
    """The model, of a group by model; absent in what is of the whole site."""
    machines: GroupSize
    """How many machines were asked; a group of fewer than 5 is not told of."""
    hashing: Count
    """How many of them make hashes."""
    idle: Count
    """How many are meant to and make none."""
    paused: Count
    """How many are not meant to."""
    unreachable: Count
    """How many did not answer."""
    fault: Count
    """How many name a fault and make none."""
    hashrate_ths: Spread | None = None
    """TH/s of the machines that answered."""
    power_w: Spread | None = None
    """W of the machines that measure it."""
    efficiency_j_per_th: Spread | None = None
    """J/TH of the machines that measure their power."""
    chip_temp_c: Spread | None = None
    """°C of each machine's hottest chip."""
    inlet_temp_c: Spread | None = None
    """°C of the air (or liquid) that goes in."""


class Batch(_Frozen):
    """What one request carries: readings of one site, or totals of it where single machines may not be told of."""

    id: UUID
    """UUID: the backend stores each id once, however often it arrives."""
    contract: int = CONTRACT
    """The contract's version."""
    site: Annotated[str, StringConstraints(pattern=r"^[a-z0-9_-]{1,64}$")]
    """The backend's own name of the site, given at enrolment."""
    agent: Name
    """The agent's version: faults come with updates."""
    epoch: Epoch | None = None
    """Pseudonym of the key itself: under another one no machine of before comes again, and none of them is down."""
    sent_at: Instant
    """UTC by the agent's clock when it sent this: a clock that is wrong is seen."""
    backlog_s: Seconds = 0.0
    """s, the age of the oldest reading still unsent at the site."""
    readings: Annotated[tuple[Reading, ...], Field(max_length=MAX_READINGS)]
    """The readings."""
    aggregates: Annotated[tuple[Aggregate, ...], Field(max_length=MAX_READINGS)] | None = None
    """Totals, in place of readings."""


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
        batch = Batch.model_validate_json(data)
    except ValidationError as error:
        _check_version(_version(data))  # a batch from the future gets the error that says so
        raise ContractError(describe(error)) from error
    _check_version(batch.contract)
    return batch


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
    """Only the version; ours where it cannot be told."""
    try:
        return _Version.model_validate_json(data).contract
    except ValidationError:
        return CONTRACT


def _check_version(version: int) -> None:
    if version != CONTRACT:
        raise UnknownContract(f"contract version {version} is not known here; this side speaks {CONTRACT}")


def schema() -> str:
    """JSON Schema of a batch, for the published contract."""
    return json.dumps(Batch.model_json_schema(), indent=1, sort_keys=True)
