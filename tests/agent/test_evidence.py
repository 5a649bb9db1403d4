"""What can be found out of a machine, from the machine itself, over SSH, and from what was known of it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import asyncssh
import pytest

from agent.config import AgentSettings
from agent.drivers.protocol import Miner
from agent.drivers.registry import engine
from agent.errors import AgentError, BadReply, MinerUnreachable, Misconfigured
from agent.evidence import Desk, address_of, look_into, ssh_logins
from agent.hostkeys import HostKeys
from agent.identity import identity
from agent.keyring import Keyring, Kind
from agent.probe import PORTS
from agent.reading import Facts, Live
from agent.ssh import Limits, Login
from agent.ssh_commands import FAMILIES
from agent.support import compose
from agent.vault import MachineName, PlainName
from agent.wire import State
from tests.agent.ssh_machine import Answer, Machine, hang, running
from tests.conftest import Simulated
from tests.loopback import take
from tests.world.leaks import Searcher

NOW = datetime(2026, 3, 1, 12, 0, 7, tzinfo=UTC)
HOST_KEY = asyncssh.generate_private_key("ssh-ed25519")
CLIENT_KEY = asyncssh.generate_private_key("ssh-ed25519")
KEYRING = Keyring(bytes(range(32)))


def settings(folder: Path, **changes: object) -> AgentSettings:
    made: dict[str, object] = {"poll": {"engine": "asic-rs", "vendor_passwords": True}, "state_dir": folder}
    return AgentSettings.model_validate(made | changes)


def secret(folder: Path, text: str | bytes) -> Path:
    path = folder / f"secret-{len(list(folder.iterdir()))}"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    path.chmod(0o600)
    return path


def desk(folder: Path, made: AgentSettings, vault: Mapping[str, MachineName | PlainName] | None = None) -> Desk:
    return Desk(
        settings=made,
        keyring=KEYRING,
        vault=vault or {},
        listed=(),
        driver=engine(made.poll.engine, credentials=made.credentials, vendor_passwords=True),
        host_keys=HostKeys(folder / "ssh_host_keys"),
        clock=lambda: NOW,
        say=lambda line: None,
        limits=Limits(login_s=5, command_s=1),
    )


def as_logged(name: str) -> str:
    """What no driver reads (the pool's password, the network's name, who stole it) has its word before it in a log."""
    words = {"net-.*": "essid=", "thief.*": "user=", "[0-9a-f]{16}": "pass="}
    return next((word for form, word in words.items() if re.fullmatch(form, name)), "") + name


async def test_a_machine_with_ssh_gives_facts_a_reading_and_logs_and_its_text_names_nobody(
    simulated: Simulated, tmp_path: Path
) -> None:
    farm = await simulated("antminer")
    miner = farm.machines[0]
    log = "log of " + ", ".join(map(as_logged, miner.identifiers)) + "\n"
    answers: dict[str, bytes | Answer] = {command.line: log.encode() for command in FAMILIES["antminer"]}
    there = Machine([HOST_KEY], 0, {"root": "hunter2hunter2"}, answers=answers | {"dmesg | tail -n 1500": hang})
    async with running(there, miner.address):
        ssh = {
            "make": "antminer",
            "username": "root",
            "port": there.port,
            "password_file": secret(tmp_path, "hunter2hunter2"),
        }
        at_desk = desk(tmp_path, settings(tmp_path, ssh=[ssh]))
        findings, redactor = await look_into(miner.address, at_desk, over_ssh=True)
    text = compose(findings, redactor, NOW)
    assert there.asked == [command.line for command in FAMILIES["antminer"]]
    assert findings.machine == KEYRING.pseudonym(Kind.MACHINE, identity(findings.facts))
    assert findings.reading is not None
    assert findings.reading.machine == findings.machine
    assert findings.reading.time == datetime(2026, 3, 1, 12, tzinfo=UTC), "on the poll's grid"
    assert findings.misses == ()
    assert text.count("log of ") == len(answers) - 1
    assert "it did not come to an end in time" in text
    assert list(Searcher(name for name in miner.identifiers if len(name) >= 6).search(text.encode())) == []
    assert "hunter2" not in text


async def test_a_machine_without_ssh_gives_the_rest_and_the_reason(simulated: Simulated, tmp_path: Path) -> None:
    farm = await simulated("bitaxe")
    address = farm.machines[0].address
    said: list[str] = []
    at_desk = replace(desk(tmp_path, settings(tmp_path)), say=said.append)
    findings, redactor = await look_into(address, at_desk, over_ssh=True)
    assert findings.visit is None
    assert findings.reading is not None
    assert "no login for SSH to machines of this make" in findings.misses[0]
    assert any("No logs over SSH" in line for line in said)
    assert address not in compose(findings, redactor, NOW)


async def test_a_dead_machine_is_told_from_what_was_known_of_it(tmp_path: Path) -> None:
    address = take()[0]
    known = MachineName(address=address, mac="02:00:5e:00:00:77", make="Antminer", model="S19", workers=("acme.r77x",))
    machine = KEYRING.pseudonym(Kind.MACHINE, "02:00:5e:00:00:77")
    findings, redactor = await look_into(address, desk(tmp_path, settings(tmp_path), {machine: known}), over_ssh=False)
    text = compose(findings, redactor, NOW)
    assert findings.machine == machine
    assert findings.reading is None
    assert "model: S19" in text
    assert f"{machine} does not answer as a miner" in text
    assert "r77x" not in redactor.redact("worker r77x here")


async def test_a_dead_machine_that_nobody_knows_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(MinerUnreachable, match="none is known there"):
        await look_into(take()[0], desk(tmp_path, settings(tmp_path)), over_ssh=True)


async def test_a_changed_host_key_is_told_and_the_rest_is_there(simulated: Simulated, tmp_path: Path) -> None:
    farm = await simulated("antminer")
    address = farm.machines[0].address
    file = secret(tmp_path, "right-password")
    there = Machine([HOST_KEY], 0, {"root": "right-password"}, answers={})
    async with running(there, address):
        made = settings(
            tmp_path, ssh=[{"make": "antminer", "username": "root", "port": there.port, "password_file": file}]
        )
        first, _ = await look_into(address, desk(tmp_path, made), over_ssh=True)
        there_port = there.port
    assert first.visit is not None
    assert first.visit.is_first
    impostor = Machine([CLIENT_KEY], there_port, {"root": "right-password"}, answers={})
    async with running(impostor, address):
        second, redactor = await look_into(address, desk(tmp_path, made), over_ssh=True)
    assert second.visit is None
    assert impostor.tried == []
    assert "--new-host-key" in second.misses[0]
    assert address not in compose(second, redactor, NOW)


class Mute:
    """A machine that says who it is and then nothing more."""

    name = "mute"

    def __init__(self, address: str, error: AgentError | None = None) -> None:
        self.facts = Facts(address=address, driver="mute", make="Antminer", mac="02:00:5e:00:00:78")
        self._error = error

    async def find(self, address: str) -> Miner | None:
        return self

    async def read(self) -> Live:
        if self._error:
            raise self._error
        return await asyncio.Future()

    async def refresh(self) -> Facts:
        return self.facts


@pytest.mark.parametrize(
    ("error", "told"), [(None, r"no answer within 0\.5 s"), (BadReply("half an answer"), "half an answer")]
)
async def test_a_machine_that_stops_answering_is_told_and_counts_as_unreachable(
    tmp_path: Path, error: AgentError | None, told: str
) -> None:
    address = take()[0]
    made = settings(tmp_path, poll={"deadline_s": 0.5}, pools={"expected": ["acmecorp@pool.acme-mine.example"]})
    at_desk = replace(desk(tmp_path, made), driver=Mute(address, error))
    async with await asyncio.start_server(lambda _, writer: writer.close(), address, PORTS[0]):
        findings, redactor = await look_into(address, at_desk, over_ssh=False)
    assert findings.reading is not None
    assert findings.reading.state is State.UNREACHABLE
    assert re.fullmatch(f"reading: {told}", findings.misses[0])
    assert not re.search("acme", redactor.redact("acmecorp at POOL.acme-mine.example"), re.IGNORECASE)


def test_logins_are_those_of_the_firmware_then_of_the_maker(tmp_path: Path) -> None:
    word, key = secret(tmp_path, "word"), secret(tmp_path, CLIENT_KEY.export_private_key())
    made = settings(
        tmp_path,
        ssh=[
            {"make": "Antminer", "username": "root", "password_file": word},
            {"make": "BOS", "username": "bos", "key_file": key, "port": 2222},
            {"make": "Whatsminer", "username": "super"},
        ],
        credentials=[{"make": "Antminer", "username": "web", "password_file": word}],
    )
    facts = Facts(address="10.0.0.1", driver="x", make="Antminer", firmware="BOS+ 22.08")
    bos, ant = ssh_logins(facts, made)
    assert (bos.username, bos.password, bos.port) == ("bos", None, 2222)
    assert bos.key is not None
    assert bos.key.get_fingerprint() == CLIENT_KEY.get_fingerprint()
    assert ant == Login("root", "word")
    assert ssh_logins(Facts(address="10.0.0.1", driver="x", make="MicroBT"), made) == [Login("super")]
    assert ssh_logins(Facts(address="10.0.0.1", driver="x", make="Avalon"), made) == []
    assert ssh_logins(Facts(address="10.0.0.1", driver="x"), made) == []


def test_without_a_login_for_ssh_the_makes_credentials_are_used(tmp_path: Path) -> None:
    made = settings(
        tmp_path, credentials=[{"make": "Antminer", "username": "root", "password_file": secret(tmp_path, "w")}]
    )
    assert ssh_logins(Facts(address="10.0.0.1", driver="x", make="Antminer"), made) == [Login("root", "w")]


@pytest.mark.parametrize(
    ("ssh", "message"),
    [
        ({"make": "Antmner", "username": "root"}, "ssh of Antmner: write one of antminer,"),
        ({"make": "Antminer", "username": "root", "key_file": "{file}"}, "that is no private key"),
        ({"make": "Antminer", "username": "root", "password_file": "/nowhere/x"}, "cannot read"),
    ],
)
def test_a_wrong_login_is_named(tmp_path: Path, ssh: dict[str, str], message: str) -> None:
    file = secret(tmp_path, "not a key")
    made = settings(tmp_path, ssh=[{name: value.format(file=file) for name, value in ssh.items()}])
    with pytest.raises(Misconfigured, match=message):
        ssh_logins(Facts(address="10.0.0.1", driver="x", make="Antminer"), made)


def test_a_machine_is_named_by_its_address_or_its_pseudonym(tmp_path: Path) -> None:
    vault: dict[str, MachineName | PlainName] = {
        "mnr-0123456789abcdef": MachineName(address="192.168.1.7"),
        "wrk-0123456789abcdef": PlainName(kind="worker", value="x"),
    }
    anywhere = settings(tmp_path)
    assert address_of("192.168.1.9", anywhere, vault) == "192.168.1.9"
    assert address_of(" MNR-0123456789abcdef ", anywhere, vault) == "192.168.1.7"
    for where, message in (
        ("mnr-0000000000000000", "not known here"),
        ("10.0.0.0/30", "is 2 addresses"),
        ("farm", "no range"),
    ):
        with pytest.raises(Misconfigured, match=message):
            address_of(where, anywhere, vault)


def test_an_address_outside_the_ranges_gets_no_password(tmp_path: Path) -> None:
    made = settings(tmp_path, network={"ranges": ["192.168.1.0/24"], "exclude": ["192.168.1.9"]})
    assert address_of("192.168.1.8", made, {}) == "192.168.1.8"
    for where in ("192.168.2.8", "192.168.1.9"):
        with pytest.raises(Misconfigured, match=r"outside of network\.ranges"):
            address_of(where, made, {})
