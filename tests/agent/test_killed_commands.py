"""`enroll`, `rotate-key` and `forget`, killed before each change of the disk: what is there fits, a second try ends."""

from __future__ import annotations

import asyncio
import itertools
import shutil
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from agent import durable, known, vault
from agent.__main__ import main
from agent.commands.keys import forgotten
from agent.enrolment import State, enroll, load
from agent.hostkeys import FILE, Door, HostKey, HostKeys
from agent.keyring import Keyring
from agent.known import KnownMachines
from agent.pools import PublicPools
from agent.pseudonym import pseudonymize
from agent.rotation import old_keys, rotate
from agent.vault import Vault
from tests.agent.backend import Backend, serving
from tests.agent.killed import enrolling, forgetting, kills, rotating
from tests.agent.raw import FACTS, raw

POOLS = PublicPools()


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
async def backend() -> AsyncIterator[Backend]:
    async with serving(Backend()) as made:
        yield made


@pytest.fixture
def fresh(tmp_path: Path) -> Callable[[], Path]:
    """Copies of the state of a site that knows one machine."""
    made = State(durable.private_folder(tmp_path / "made"))
    keyring = Keyring.create(made.key)
    filled, machines = Vault(made.vault, keyring, now), KnownMachines(made.machines, keyring, now)
    filled.remember(raw(), POOLS)
    machines.seen(FACTS)
    asyncio.run(filled.write())
    asyncio.run(machines.write())
    for port in (22, 2222):
        HostKeys(made.folder / FILE).pin(Door(FACTS.address, port), HostKey("ssh-ed25519", "AAAA"), now())
    numbers = itertools.count()
    return lambda: shutil.copytree(made.folder, tmp_path / str(next(numbers)))


def starts(state: State) -> Keyring:
    """What a starting agent reads of a site: all of it, or an error that says what to do."""
    keyring = Keyring.load(state.key)
    Vault(state.vault, keyring, now)
    KnownMachines(state.machines, keyring, now).load([FACTS.address])
    old_keys(state.old_keys, keyring)
    return keyring


def copies(folder: Path, key: bytes) -> list[Path]:
    return [path for path in folder.iterdir() if path.is_file() and key.strip() in path.read_bytes()]


async def test_an_enrolment_that_was_killed_can_be_done_again_and_the_key_stays(
    tmp_path: Path, backend: Backend
) -> None:
    numbers = itertools.count()
    killed, config = 0, tmp_path / "agent.toml"
    folders = kills(enrolling, lambda: tmp_path / str(next(numbers)), backend.url)
    while (folder := await asyncio.to_thread(next, folders, None)) is not None:
        killed += 1
        state = State(folder)
        key = state.key.read_bytes() if state.key.exists() else None
        if not state.enrolment.exists():
            config.write_text(f"state_dir = '{folder}'\n[network]\nranges = ['127.254.254.254']\n")
            said = await asyncio.to_thread(CliRunner().invoke, main, ["run", "--config", str(config)])
            assert (said.exit_code, "not enrolled yet; run: itsminer-agent enroll" in said.stderr) == (1, True)
        await enroll(state, backend.url, "CODE", again=True)
        assert load(state).token.get_secret_value() == "tok_0123456789abcdef"
        key = key or state.key.read_bytes()
        assert key == state.key.read_bytes()
        rotate(state, now(), keeps_old=False)
        assert not copies(folder, key)
    assert killed > 8


@pytest.mark.parametrize("old", ["keep", "destroy"])
def test_a_change_of_keys_that_was_killed_leaves_a_site_that_starts(fresh: Callable[[], Path], old: str) -> None:
    killed = 0
    for folder in kills(rotating, fresh, old):
        killed += 1
        state = State(folder)
        keyring = starts(state)
        assert FACTS.address in {one.address for one in known.remembered(state.machines, keyring)}
        assert len(vault.read(state.vault, keyring)) == 4
        after = rotate(state, now(), keeps_old=False)
        assert starts(state).epoch == after.epoch
        assert not copies(folder, keyring.archived().encode())
    assert killed > 8


def test_a_machine_whose_forgetting_was_killed_is_still_known_or_gone_from_everywhere(
    fresh: Callable[[], Path],
) -> None:
    pseudonym = pseudonymize(raw(), starts(State(fresh())), POOLS).machine
    killed = 0
    for folder in kills(forgetting, fresh, pseudonym):
        killed += 1
        state = State(folder)
        keyring = starts(state)
        forgotten(state, pseudonym)
        assert pseudonym not in vault.read(state.vault, keyring)
        assert known.remembered(state.machines, keyring) == []
        assert FACTS.address not in (folder / FILE).read_text()
    assert killed > 6
