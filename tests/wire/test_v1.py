"""Contract v1 as it was published: agents in the field speak it for years, so these files never change."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path

import pytest

from agent.wire import ContractError, UnknownContract, decode, encode

FOLDER = Path(__file__).parent / "v1"
PUBLISHED = {
    "aggregates.json": "b4187bba1e346134",
    "empty.json": "2b3ca7e31bcd413a",
    "epoch.json": "94ad2ddb6ad4e035",
    "full.json": "654576ae11aaf324",
    "refused-clear-worker.json": "03ad8b26845f8e56",
    "refused-contract-2.json": "6b922b692994b472",
    "refused-four-machines.json": "5d01df0b595c2342",
    "refused-free-text-fault.json": "54e977187c883630",
    "refused-mac-as-machine.json": "469278814dceadbf",
    "refused-machine-in-aggregate.json": "60318f51fbb61150",
    "refused-naive-time.json": "f04e273ae1009e80",
    "refused-negative-hashrate.json": "a7ac06808fa78e1e",
    "refused-no-state.json": "19fc9b021dc657c8",
    "refused-not-json.json": "b7d082ee12e91b75",
    "refused-pool-with-user.json": "d9ef5438b293c179",
    "refused-unknown-batch-field.json": "8c51d633e13d56f3",
    "refused-unknown-field.json": "83d740deff65a127",
    "states.json": "1108af5ad5db168c",
}
ACCEPTED = [name for name in PUBLISHED if not name.startswith("refused-")]
REFUSED = [name for name in PUBLISHED if name.startswith("refused-")]


def test_the_published_files_are_what_they_were() -> None:
    assert {path.name: sha256(path.read_bytes()).hexdigest()[:16] for path in FOLDER.iterdir()} == PUBLISHED


@pytest.mark.parametrize("name", ACCEPTED)
def test_a_published_batch_is_read_and_written_byte_for_byte(name: str) -> None:
    data = (FOLDER / name).read_bytes()
    assert encode(decode(data)) == data


def test_the_full_batch_holds_every_field_of_a_reading() -> None:
    batch = decode((FOLDER / "full.json").read_bytes())
    reading = batch.readings[0]
    assert all(getattr(reading, name) is not None for name in type(reading).model_fields)
    assert (batch.backlog_s, reading.fans_rpm, reading.inlet_temp_c) == (61.5, (6000, 0), -3.5)


def test_the_totals_hold_every_number_there_is() -> None:
    site, group = decode((FOLDER / "aggregates.json").read_bytes()).aggregates or ()
    assert all(getattr(site, name) is not None for name in type(site).model_fields if name not in ("make", "model"))
    assert (group.make, group.machines, group.power_w) == ("Antminer", 7, None)


def test_an_absent_field_is_absent_and_never_null_or_zero() -> None:
    for reading in json.loads((FOLDER / "states.json").read_bytes())["readings"]:
        assert reading.keys() == {"time", "machine", "state"}


@pytest.mark.parametrize("name", REFUSED)
def test_a_batch_that_is_none_is_refused_without_quoting_it(name: str) -> None:
    with pytest.raises(ContractError) as error:
        decode((FOLDER / name).read_bytes())
    assert not any(word in str(error.value) for word in ("rig1", "02:00:5e", "Fan error", "html"))


def test_a_batch_of_another_version_is_refused_by_its_version() -> None:
    with pytest.raises(UnknownContract, match=r"version 2 .* speaks 1"):
        decode((FOLDER / "refused-contract-2.json").read_bytes())
