"""`itsminer-agent support-bundle` as its own program, at a real terminal: shown in full, sent after a yes only."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pty
import re
import stat
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import asyncssh
import pytest

from agent import durable
from agent.enrolment import State
from agent.keyring import Keyring
from agent.ssh_commands import FAMILIES
from tests.agent.backend import problem
from tests.agent.ssh_machine import Answer, Machine, running
from tests.agent.support_door import Door, opened
from tests.conftest import Simulated
from tests.world.leaks import Searcher

HOST_KEY = asyncssh.generate_private_key("ssh-ed25519")
PASSWORD = "correct-horse-7"


@dataclass
class Site:
    """One machine that allows SSH, an enrolled agent's files, and the backend that it is enrolled at."""

    folder: Path
    address: str
    identifiers: tuple[str, ...]
    there: Machine
    door: Door

    @property
    def config(self) -> Path:
        return self.folder / "agent.toml"

    @property
    def sent(self) -> list[str]:
        return [bundle["text"] for bundle in self.door.taken.values()]


@pytest.fixture
async def site(simulated: Simulated, tmp_path: Path) -> AsyncIterator[Site]:
    farm = await simulated("antminer")
    miner = farm.machines[0]
    known = [name for name in miner.identifiers[:5] if len(name) >= 6]
    answers: dict[str, bytes | Answer] = {
        command.line: f"\x1b]0;owned\x07{' '.join(known)} pass={PASSWORD}\n".encode()
        for command in FAMILIES["antminer"]
    }
    there = Machine([HOST_KEY], 0, {"root": PASSWORD}, answers=answers)
    async with running(there, miner.address), opened() as door:
        made = Site(tmp_path, miner.address, tuple(known), there, door)
        state = State(durable.private_folder(tmp_path / "state"))
        Keyring.create(state.key)
        enrolment = {"url": door.url, "account": "acc_1", "site": "sit_1", "token": "tok_0123456789abcdef"}
        durable.write(state.enrolment, json.dumps(enrolment).encode())
        (tmp_path / "password").write_text(PASSWORD)
        made.config.write_text(
            f"state_dir = 'state'\n[poll]\nengine = 'asic-rs'\nvendor_passwords = true\n[[ssh]]\nmake = 'Antminer'\n"
            f"username = 'root'\nport = {there.port}\npassword_file = 'password'\n"
        )
        yield made


@dataclass
class Terminal:
    """A program at a terminal, and a person who reads and types."""

    master: int
    process: asyncio.subprocess.Process
    screen: bytearray = field(default_factory=bytearray)

    async def shows(self, words: bytes) -> None:
        async with asyncio.timeout(60):
            while words not in self.screen:
                await self._read()

    async def ends(self) -> int:
        async with asyncio.timeout(60):
            with contextlib.suppress(OSError):  # EIO: nobody has the other end any more
                while await self._read():
                    pass
            return await self.process.wait()

    def types(self, keys: bytes) -> None:
        os.write(self.master, keys)

    @property
    def text(self) -> str:
        """What stands on the screen, as the program wrote it."""
        return self.screen.decode().replace("\r\n", "\n")

    async def _read(self) -> int:
        data = await asyncio.to_thread(os.read, self.master, 65_536)
        self.screen += data
        return len(data)


@contextlib.asynccontextmanager
async def at_a_terminal(*arguments: str) -> AsyncIterator[Terminal]:
    master, slave = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "agent", *arguments, stdin=slave, stdout=slave, stderr=slave, start_new_session=True
    )
    os.close(slave)
    try:
        yield Terminal(master, process)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        os.close(master)


async def run(*arguments: str) -> tuple[int, str, str]:
    """Without a terminal."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "agent", *arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(60):
        out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


def bundle(site: Site, *options: str) -> tuple[str, ...]:
    return ("support-bundle", site.address, "--config", str(site.config), *options)


def disclosed(site: Site) -> list[str]:
    lines = (site.folder / "state" / "disclosures.log").read_text().splitlines()
    return [json.loads(line)["what"] for line in lines]


async def test_at_a_terminal_the_text_is_shown_in_full_and_a_yes_sends_that_very_text(site: Site) -> None:
    async with at_a_terminal(*bundle(site)) as terminal:
        await terminal.shows(b"[y/N]")
        assert site.sent == [], "not before the yes"
        terminal.types(b"y\n")
        assert await terminal.ends() == 0
    (text,) = site.sent
    assert text in terminal.text
    assert list(Searcher(site.identifiers).search(text.encode())) == []
    assert PASSWORD not in text
    assert "owned" not in text
    assert re.search(r"Sent. Tell support this number: [0-9a-f-]{36}. It is kept until 2026-01-31.", terminal.text)
    assert f"first SSH visit to {site.address}" in terminal.text
    assert disclosed(site) == ["support-bundle", "support-bundle sent"]
    assert not any(name in (site.folder / "state" / "disclosures.log").read_text() for name in site.identifiers)


@pytest.mark.parametrize("answer", [b"n\n", b"\n", b"\x04"], ids=["no", "nothing typed", "end of input"])
async def test_anything_but_a_yes_sends_nothing(site: Site, answer: bytes) -> None:
    async with at_a_terminal(*bundle(site, "--no-ssh")) as terminal:
        await terminal.shows(b"[y/N]")
        terminal.types(answer)
        assert await terminal.ends() == (1 if answer == b"\x04" else 0)
    assert site.door.headers == []
    assert disclosed(site) == ["support-bundle"]


async def test_a_yes_that_was_typed_before_the_question_does_not_count(site: Site) -> None:
    async with at_a_terminal(*bundle(site, "--no-ssh")) as terminal:
        await terminal.shows(b"Reading the machine")
        terminal.types(b"y\ny\n")
        await terminal.shows(b"[y/N]")
        terminal.types(b"n\n")
        assert await terminal.ends() == 0
    assert site.door.headers == []


async def test_without_a_terminal_the_text_is_printed_and_nothing_is_sent(site: Site) -> None:
    code, out, err = await run(*bundle(site))
    assert code == 0
    assert out.startswith("ItsMiner support bundle\n")
    assert "Nothing was sent: there is no terminal" in err
    assert site.door.headers == []
    assert not any(name in out for name in site.identifiers)


async def test_with_yes_the_text_is_shown_kept_and_sent(site: Site) -> None:
    code, out, err = await run(*bundle(site, "--yes", "--save", str(site.folder / "bundle.txt")))
    assert code == 0, err
    assert [out] == site.sent
    assert (site.folder / "bundle.txt").read_text() == out
    assert stat.S_IMODE((site.folder / "bundle.txt").stat().st_mode) == 0o600
    code, _, err = await run(*bundle(site, "--save", str(site.folder / "bundle.txt")))
    assert code == 1
    assert "is there already; name a new file" in err


async def test_a_backend_that_refuses_is_told_in_one_line(site: Site) -> None:
    site.door.answers = [problem(401, "unknown token")]
    code, _, err = await run(*bundle(site, "--no-ssh", "--yes"))
    assert code == 1
    assert re.search("^itsminer-agent: the bundle was not sent: .*unknown token.*--save FILE", err, re.MULTILINE)
    assert "Traceback" not in err


async def test_a_changed_host_key_is_trusted_only_when_the_operator_says_so(site: Site) -> None:
    await run(*bundle(site))
    visits = len(site.there.asked)
    keys = site.folder / "state/ssh_host_keys"
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode().split()[1]
    changed = re.sub(r"AAAA\S+", other, keys.read_text())
    durable.write(keys, changed.encode())
    code, out, err = await run(*bundle(site))
    assert code == 0
    assert "run again with --new-host-key" in err
    assert "logs over SSH: mnr-" in out
    assert len(site.there.asked) == visits
    _, out, _ = await run(*bundle(site, "--new-host-key"))
    assert len(site.there.asked) == 2 * visits
    assert keys.read_text() != changed


async def test_a_site_that_is_not_enrolled_shows_the_text_and_says_that_it_cannot_send(site: Site) -> None:
    code, out, err = await run(*bundle(site, "--no-ssh", "--yes", "--state", str(site.folder / "elsewhere")))
    assert code == 0
    assert out.startswith("ItsMiner support bundle\n")
    assert "this site is not enrolled" in err
    assert site.door.headers == []


async def test_a_machine_that_is_not_there_is_one_line_and_exit_code_1(site: Site) -> None:
    code, out, err = await run("support-bundle", "127.99.99.99", "--config", str(site.config))
    assert (code, out) == (1, "")
    assert err.splitlines()[-1].startswith("itsminer-agent: no miner answers at 127.99.99.99")
