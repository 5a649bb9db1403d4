"""P01: the agent sends the fields of the published contract, and nothing else of what a miner says."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from agent import wire
from agent.simulator.families.kinds import family_machine
from agent.simulator.machine import Firmware, Request
from tests import loopback
from tests.promises.deployed import Service, until
from tests.promises.onsite import site
from tests.world.leaks import Searcher

CONTRACT = Path(__file__).parents[2] / "docs" / "contract.md"
MODELS: tuple[type[BaseModel], ...] = (
    wire.Batch,
    wire.Reading,
    wire.Board,
    wire.Pool,
    wire.Aggregate,
    wire.Spread,
)
UNITS = ("ths", "w", "j_per_th", "s", "ms", "c", "mhz", "v", "rpm")

SAID = {
    "Owner": "Wilhelmina Ackermann",
    "Complaint": "fan of rack seventeen is loud",
    "Contact": "night.shift@acme-mining.example",
    "Uplink": "stratum+tcp://acme.rig17:letmein99@pool.acme-mining.example:3333",
    "Serial Note": "JYZZSECRET0042",
}
"""Fields that no contract knows, in a miner's own words."""
PLANTED = (*SAID.values(), "acme-mining", "letmein99", "Complaint", "Serial Note")


@dataclass(frozen=True)
class Talkative:
    """Firmware that puts words of its own into every object that it answers."""

    inner: Firmware

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def rpc(self, request: Request, now: datetime) -> bytes | None:
        answer = self.inner.rpc(request, now)
        return answer if answer is None else json.dumps(_with_words(json.loads(answer))).encode()


def _with_words(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _with_words(one) for name, one in value.items()} | SAID
    return [_with_words(one) for one in value] if isinstance(value, list) else value


async def test_what_a_miner_says_beside_the_contract_never_leaves_the_site(tmp_path: Path, service: Service) -> None:
    families = ("whatsminer", "avalon", "antminer")
    machines = [
        replace(made, firmware=Talkative(made.firmware))
        for made in (family_machine(family, loopback.take()[0], seed) for seed, family in enumerate(families, start=1))
    ]
    answer = machines[0].firmware.rpc({"command": "summary"}, service.now()) or b""
    assert all(word.encode() in answer for word in PLANTED)
    customer = await service.customer()
    async with site(tmp_path, service, customer, machines) as here:
        async with here.running():

            async def all_hash() -> bool:
                return [one["state"] for one in await here.stored()] == ["hashing"] * 3

            await until(all_hash)
        sent, seen = here.sent, bytes(here.wire.seen)
    assert len({reading["machine"] for batch in sent for reading in batch["readings"]}) == 3
    for batch in sent:
        wire.decode(json.dumps(batch).encode())  # refuses what the contract does not list
        assert not [text for text in _texts(batch) if not _is_plain(text)]
    searcher = Searcher([*PLANTED, *(name for machine in machines for name in machine.identifiers if len(name) > 5)])
    assert list(searcher.search(seen)) == []
    assert [word for text in _texts(sent) for word in searcher.search(text.encode())] == []
    named = set(re.findall(rb"\r\n([A-Za-z-]+):", seen[seen.index(b"POST /v1/batches") :].partition(b"\r\n\r\n")[0]))
    usual = {b"Host", b"User-Agent", b"Authorization", b"Accept", b"Accept-Encoding"}
    assert named == usual | {b"Content-Type", b"Content-Encoding", b"Content-Length"}


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        value = value.values()
    if isinstance(value, str):
        yield value
    elif not isinstance(value, int | float | bool):
        for one in value:
            yield from _texts(one)


_PSEUDONYM = r"(mnr|wrk|act|pol|epo)-[0-9a-hjkmnp-tv-z]{16}"
_ID = r"[0-9a-f-]{36}|sit_[a-z0-9]+"
_TIME = r"\d{4}-\d\d-\d\dT[\d:.]+Z"
_NAME = r"[A-Za-z0-9][A-Za-z0-9 .,_+/()-]{0,63}"  # of a make, a model, a firmware, a driver; of a public pool


def _is_plain(text: str) -> bool:
    return re.fullmatch(f"{_PSEUDONYM}|{_ID}|{_TIME}|{_NAME}", text) is not None and "@" not in text


@pytest.mark.parametrize("model", MODELS)
def test_the_contract_lists_each_field_with_its_unit_and_why_it_is_needed(model: type[BaseModel]) -> None:
    section = re.search(rf"^## {model.__name__}\n(.*?)(?=^## |\Z)", CONTRACT.read_text(), re.MULTILINE | re.DOTALL)
    assert section
    listed = dict(re.findall(r"^\| `(\w+)` \| \w* \| (.+) \|$", section[1], re.MULTILINE))
    assert listed.keys() == model.model_fields.keys()
    for name, why in listed.items():
        assert len(why) >= 10, name
        unit = next((unit for unit in UNITS if name.endswith(f"_{unit}")), None)
        is_measured = "float" in str(model.model_fields[name].annotation)
        if is_measured and model is not wire.Spread and "Spread" not in str(model.model_fields[name].annotation):
            assert unit, f"{name} is measured in what?"
