"""`rotate-key`, `forget`, `export-labels` and what is written down of them, as their owner runs them."""

from __future__ import annotations

import asyncio
import csv
import json
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from agent import known, vault
from agent.__main__ import main
from agent.enrolment import State
from agent.keyring import Keyring
from agent.known import KnownMachines
from agent.pools import PublicPools
from agent.pseudonym import pseudonymize
from agent.spool import Spool
from agent.vault import Vault
from tests.agent.raw import FACTS, raw

SECOND = raw(address="192.168.17.43", mac="02:00:5E:1C:A7:40", serial="=cmd()", hostname="=HYPERLINK(1)")
POOLS = PublicPools()


def now() -> datetime:
    return datetime.now(UTC)


def itsminer_agent(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(one) for one in arguments])


@pytest.fixture
def state(tmp_path: Path) -> State:
    """A site that has seen two machines."""
    made = State(tmp_path)
    keyring = Keyring.create(made.key)
    filled, machines = Vault(made.vault, keyring, now), KnownMachines(made.machines, keyring, now)
    for one in (raw(), SECOND):
        filled.remember(one, POOLS)
        machines.seen(one.facts)
    asyncio.run(filled.write())
    asyncio.run(machines.write())
    return made


def name_of(state: State) -> str:
    return pseudonymize(raw(), Keyring.load(state.key), POOLS).machine


def disclosed(state: State) -> list[dict[str, object]]:
    return [json.loads(line) for line in state.disclosures.read_text().splitlines()]


def test_nothing_on_the_disk_names_a_machine(state: State) -> None:
    names = (FACTS.serial, FACTS.mac, FACTS.hostname, "acme", "hall3x42")
    for path in state.folder.rglob("*"):
        if path.is_file():
            assert not [name for name in names if name and name.encode() in path.read_bytes()], path


def test_a_reveal_is_written_down_and_is_none_without_it(state: State) -> None:
    assert itsminer_agent("reveal", name_of(state), "--state", state.folder).exit_code == 0
    assert itsminer_agent("reveal", "mnr-0000000000000000", "--state", state.folder).exit_code == 1
    assert [(one["what"], one["pseudonym"]) for one in disclosed(state)] == [
        ("reveal", name_of(state)),
        ("reveal", "mnr-0000000000000000"),
    ]
    assert all(one["who"] and one["at"] for one in disclosed(state))
    assert stat.S_IMODE(state.disclosures.stat().st_mode) == 0o600
    state.disclosures.unlink()
    state.disclosures.mkdir()  # nothing can be written down
    result = itsminer_agent("reveal", name_of(state), "--state", state.folder)
    assert result.exit_code == 1
    assert FACTS.address not in result.output


class TestRotateKey:
    @pytest.mark.parametrize("old", ["keep", "destroy"])
    def test_gives_other_pseudonyms_and_still_reveals_the_old_ones(self, state: State, old: str) -> None:
        before = name_of(state)
        for _ in range(2):
            assert itsminer_agent("rotate-key", "--old", old, "--yes", "--state", state.folder).exit_code == 0
        assert name_of(state) != before
        assert FACTS.address in itsminer_agent("reveal", before, "--state", state.folder).output
        assert len(known.remembered(state.machines, Keyring.load(state.key))) == 2
        assert stat.S_IMODE(state.key.stat().st_mode) == 0o600
        assert not list(state.folder.glob("*.next"))

    def test_that_keeps_the_old_key_reveals_what_only_that_key_can(self, state: State) -> None:
        """A machine that the vault knows by its newest name alone."""
        before = name_of(state)
        itsminer_agent("rotate-key", "--old", "keep", "--yes", "--state", state.folder)
        keyring = Keyring.load(state.key)
        vault.store(state.vault, keyring, vault.Content())
        anew = Vault(state.vault, keyring, now)
        anew.remember(raw(), POOLS)
        asyncio.run(anew.write())
        assert FACTS.address in itsminer_agent("reveal", before, "--state", state.folder).output

    def test_that_destroys_the_old_key_leaves_no_trace_of_it(self, state: State) -> None:
        key = state.key.read_text().strip()
        itsminer_agent("rotate-key", "--old", "destroy", "--yes", "--state", state.folder)
        assert not [path for path in state.folder.rglob("*") if path.is_file() and key.encode() in path.read_bytes()]

    def test_is_refused_while_an_agent_runs_and_asks_first(self, state: State) -> None:
        before = state.key.read_bytes()
        with Spool(state.spool, 2**20):
            result = itsminer_agent("rotate-key", "--old", "keep", "--yes", "--state", state.folder)
        assert result.exit_code == 1
        assert "stop it first" in result.stderr
        assert itsminer_agent("rotate-key", "--old", "keep", "--state", state.folder).exit_code == 1
        assert itsminer_agent("rotate-key", "--yes", "--state", state.folder).exit_code == 2
        assert state.key.read_bytes() == before


class TestForget:
    def test_is_for_good(self, state: State) -> None:
        machine = name_of(state)
        result = itsminer_agent("forget", machine, "--state", state.folder)
        assert (result.exit_code, result.output) == (0, f"{machine} is forgotten.\n")
        again = Vault(state.vault, Keyring.load(state.key), now)
        again.remember(raw(), POOLS)  # it is still there, and still asked
        asyncio.run(again.write())
        revealed = itsminer_agent("reveal", machine, "--state", state.folder)
        assert revealed.exit_code == 1
        listed = known.remembered(state.machines, Keyring.load(state.key))
        assert [facts.address for facts in listed] == ["192.168.17.43"]
        assert machine not in vault.read(state.vault, Keyring.load(state.key))

    def test_outlives_a_new_key(self, state: State) -> None:
        machine = name_of(state)
        itsminer_agent("forget", machine, "--state", state.folder)
        itsminer_agent("rotate-key", "--old", "keep", "--yes", "--state", state.folder)
        assert itsminer_agent("reveal", machine, "--state", state.folder).exit_code == 1

    def test_is_refused_while_an_agent_runs(self, state: State) -> None:
        with Spool(state.spool, 2**20):
            assert "stop it first" in itsminer_agent("forget", name_of(state), "--state", state.folder).stderr
        assert name_of(state) in vault.read(state.vault, Keyring.load(state.key))


class TestExportLabels:
    def test_writes_a_table_for_its_owner_alone(self, state: State) -> None:
        file = state.folder / "labels.csv"
        result = itsminer_agent("export-labels", file, "--state", state.folder)
        assert result.output == f"5 labels are in {file}.\n"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        rows = {row["pseudonym"]: row for row in csv.DictReader(file.open())}
        assert rows[name_of(state)]["label"] == FACTS.hostname
        assert rows[name_of(state)]["address"] == FACTS.address
        assert "'=HYPERLINK(1)" in [row["label"] for row in rows.values()]  # no formula for a spreadsheet
        assert [(one["what"], one["entries"]) for one in disclosed(state)] == [("export-labels", 5)]

    def test_writes_json_for_programs_and_never_over_a_file(self, state: State) -> None:
        file = state.folder / "labels.json"
        itsminer_agent("export-labels", "--format", "json", file, "--state", state.folder)
        kinds = [one["kind"] for one in json.loads(file.read_text())]
        assert sorted(kinds) == ["account", "machine", "machine", "pool", "worker"]
        again = itsminer_agent("export-labels", file, "--state", state.folder)
        assert again.exit_code == 1
        assert "is there already" in again.stderr
