"""A machine's logs over SSH: real servers on loopback, friendly and hostile."""

from __future__ import annotations

import asyncio
import logging
import stat
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import asyncssh
import pytest

from agent.errors import DiskTrouble, MinerUnreachable
from agent.hostkeys import HostKeyChanged, HostKeys
from agent.ssh import Limits, Login, LoginRefused, load_key, visit
from agent.ssh_commands import Command
from tests.agent.ssh_machine import Answer, Machine, flood, hang, hang_up, running
from tests.loopback import take

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ED25519 = asyncssh.generate_private_key("ssh-ed25519")
OTHER = asyncssh.generate_private_key("ssh-ed25519")
ECDSA = asyncssh.generate_private_key("ecdsa-sha2-nistp256")
RSA = asyncssh.generate_private_key("ssh-rsa", key_size=2048)
KERNEL = Command("kernel log", "dmesg", "")
MESSAGES = Command("system log", "cat /var/log/messages", "")
HASTY = Limits(login_s=5, command_s=0.5, output_bytes=100_000)


@pytest.fixture
def keys(tmp_path: Path) -> HostKeys:
    return HostKeys(tmp_path / "state" / "ssh_host_keys")


@pytest.fixture
def address() -> str:
    return take()[0]


@pytest.fixture(autouse=True)
def library_log(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """Whatever a test does, the library logs nothing: it would log addresses and users."""
    caplog.set_level(logging.DEBUG)
    yield caplog
    assert not [record for record in caplog.records if record.name.startswith("asyncssh")]


def machine(
    key: asyncssh.SSHKey = ED25519,
    *,
    port: int = 0,
    password: str = "right",
    authorized: asyncssh.SSHKey | None = None,
    answers: dict[str, bytes | Answer] | None = None,
) -> Machine:
    answers = {"dmesg": b"[ 0.1] booted\n"} if answers is None else answers
    return Machine([key], port, {"root": password}, authorized, answers)


def at(
    machine: Machine, username: str = "root", password: str | None = "right", key: asyncssh.SSHKey | None = None
) -> Login:
    return Login(username, password, key, machine.port)


def now() -> datetime:
    return NOW


async def test_a_password_opens_the_machine_and_each_command_is_answered(address: str, keys: HostKeys) -> None:
    async with running(machine(answers={"dmesg": b"k\n", "cat /var/log/messages": b"m\n"}), address) as there:
        seen = await visit(address, [at(there)], [KERNEL, MESSAGES], keys, now)
    assert [(one.command, one.data, one.ending, one.exit_status) for one in seen.outputs] == [
        (KERNEL, b"k\n", "whole", 0),
        (MESSAGES, b"m\n", "whole", 0),
    ]
    assert seen.is_first
    assert seen.fingerprint == ED25519.get_fingerprint()


async def test_a_key_opens_the_machine_and_no_password_is_tried(address: str, keys: HostKeys) -> None:
    async with running(machine(authorized=OTHER), address) as there:
        seen = await visit(address, [at(there, password=None, key=OTHER)], [KERNEL], keys, now)
    assert seen.outputs[0].data == b"[ 0.1] booted\n"
    assert there.tried == []


async def test_firmware_that_asks_for_no_password_is_let_in_with_an_empty_one(address: str, keys: HostKeys) -> None:
    async with running(machine(password=""), address) as there:
        seen = await visit(address, [at(there, password=None)], [KERNEL], keys, now)
    assert seen.outputs[0].exit_status == 0


async def test_a_password_is_given_to_a_machine_that_asks_for_it_by_keyboard(address: str, keys: HostKeys) -> None:
    async with running(machine(), address, password_auth=False, kbdint_auth=True) as there:
        seen = await visit(address, [at(there)], [KERNEL], keys, now)
    assert seen.outputs[0].exit_status == 0
    assert there.tried == [("root", "right")]


async def test_logins_are_tried_in_their_order(address: str, keys: HostKeys) -> None:
    async with running(machine(), address) as there:
        logins = [at(there, password="wrong"), at(there, "admin", "old"), at(there)]
        seen = await visit(address, logins, [KERNEL], keys, now)
    assert there.tried == [("root", "wrong"), ("admin", "old"), ("root", "right")]
    assert seen.is_first, "met on this visit, though a login was refused first"


async def test_a_wrong_password_is_tried_once_and_the_message_says_where_to_look(address: str, keys: HostKeys) -> None:
    async with running(machine(), address) as there:
        with pytest.raises(LoginRefused, match=r"login of root; check the \[\[ssh\]\] section") as refusal:
            await visit(address, [at(there, password="hunter2")], [KERNEL], keys, now)
    assert there.tried == [("root", "hunter2")]
    assert "hunter2" not in str(refusal.value)
    assert "hunter2" not in repr(at(there, password="hunter2"))


async def test_without_any_login_the_machine_is_not_even_asked(address: str, keys: HostKeys) -> None:
    async with running(machine(), address) as there:
        with pytest.raises(LoginRefused, match="no login for SSH"):
            await visit(address, [], [KERNEL], keys, now)
    assert there.connections == 0


async def test_a_machine_with_another_host_key_gets_no_password(address: str, keys: HostKeys) -> None:
    async with running(machine(), address) as there:
        await visit(address, [at(there)], [KERNEL], keys, now)
    async with running(machine(OTHER, port=there.port), address) as impostor:
        with pytest.raises(HostKeyChanged, match="run again with --new-host-key"):
            await visit(address, [at(impostor)], [KERNEL], keys, now)
    assert impostor.connections == 1
    assert impostor.tried == []
    assert impostor.asked == []


async def test_a_machine_with_another_kind_of_host_key_is_another_machine(address: str, keys: HostKeys) -> None:
    async with running(machine(), address) as there:
        await visit(address, [at(there)], [KERNEL], keys, now)
    async with running(machine(RSA, port=there.port), address) as impostor:
        with pytest.raises(HostKeyChanged):
            await visit(address, [at(impostor)], [KERNEL], keys, now)


@pytest.mark.parametrize("pinned", [RSA, ECDSA], ids=["rsa", "ecdsa"])
async def test_a_machine_that_got_a_further_host_key_is_asked_for_the_pinned_one(
    address: str, keys: HostKeys, pinned: asyncssh.SSHKey
) -> None:
    async with running(machine(pinned), address) as there:
        await visit(address, [at(there)], [KERNEL], keys, now)
    more = Machine([ED25519, pinned], there.port, {"root": "right"}, answers={"dmesg": b""})
    async with running(more, address):
        seen = await visit(address, [at(there)], [KERNEL], keys, now)
    assert seen.fingerprint == pinned.get_fingerprint()
    assert not seen.is_first


async def test_old_dropbear_that_signs_with_sha1_is_still_read(address: str, keys: HostKeys) -> None:
    old = {"signature_algs": ["ssh-rsa"], "kex_algs": ["diffie-hellman-group14-sha1"], "mac_algs": ["hmac-sha1"]}
    async with running(machine(RSA), address, **old, encryption_algs=["aes128-ctr"]) as there:
        seen = await visit(address, [at(there)], [KERNEL], keys, now)
    assert seen.outputs[0].exit_status == 0


async def test_a_host_key_that_cannot_be_kept_stops_the_visit_before_the_password(address: str, tmp_path: Path) -> None:
    (tmp_path / "state").symlink_to(tmp_path / "not there")
    async with running(machine(), address) as there:
        with pytest.raises(DiskTrouble):
            await visit(address, [at(there)], [KERNEL], HostKeys(tmp_path / "state" / "keys"), now)
    assert there.tried == []


async def test_the_pins_are_for_the_agents_eyes_only(address: str, tmp_path: Path) -> None:
    path = tmp_path / "ssh_host_keys"
    async with running(machine(), address) as there:
        await visit(address, [at(there)], [KERNEL], HostKeys(path), now)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "right" not in path.read_text()


async def test_a_command_that_hangs_costs_only_itself_and_keeps_its_whole_lines(address: str, keys: HostKeys) -> None:
    async with running(machine(answers={"dmesg": hang, "cat /var/log/messages": b"m\n"}), address) as there:
        seen = await visit(address, [at(there)], [KERNEL, MESSAGES], keys, now, HASTY)
    assert [(one.data, one.ending) for one in seen.outputs] == [(b"one line\n", "too slow"), (b"m\n", "whole")]


async def test_a_flood_is_cut_and_the_next_command_is_still_asked(address: str, keys: HostKeys) -> None:
    patient = Limits(login_s=5, command_s=20, output_bytes=100_000)
    async with running(machine(answers={"dmesg": flood, "cat /var/log/messages": b"m\n"}), address) as there:
        seen = await visit(address, [at(there)], [KERNEL, MESSAGES], keys, now, patient)
    cut, after = seen.outputs
    assert cut.ending == "too long"
    assert 90_000 < len(cut.data) <= 100_000
    assert cut.data.endswith(b"flood\n")
    assert (after.data, after.ending) == (b"m\n", "whole")


async def test_one_endless_line_leaves_nothing_since_no_piece_of_it_can_be_judged(address: str, keys: HostKeys) -> None:
    async with running(machine(answers={"dmesg": b"x" * 300_000}), address) as there:
        seen = await visit(address, [at(there)], [KERNEL], keys, now, HASTY)
    assert (seen.outputs[0].data, seen.outputs[0].ending) == (b"", "too long")


async def test_a_machine_that_hangs_up_in_the_middle_leaves_what_it_had_said(address: str, keys: HostKeys) -> None:
    async with running(machine(answers={"dmesg": hang_up, "cat /var/log/messages": b"m\n"}), address) as there:
        seen = await visit(address, [at(there)], [KERNEL, MESSAGES], keys, now, HASTY)
    assert [(one.data, one.ending) for one in seen.outputs] == [(b"last words\n", "broken off")]
    assert there.asked == ["dmesg"]


async def test_what_a_machine_does_not_have_is_an_answer_and_no_error(address: str, keys: HostKeys) -> None:
    async with running(machine(answers={}), address) as there:
        seen = await visit(address, [at(there)], [KERNEL], keys, now)
    assert (seen.outputs[0].data, seen.outputs[0].exit_status) == (b"sh: dmesg: not found\n", 127)


async def test_ssh_that_is_turned_off_is_unreachable(address: str, keys: HostKeys) -> None:
    with pytest.raises(MinerUnreachable, match="turned off"):
        await visit(address, [Login("root", "x", port=9)], [KERNEL], keys, now)


@pytest.mark.parametrize(
    ("greeting", "word"),
    [
        (b"", "in time"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n" * 3, "in time|as it should|hangs up"),
        (b"SSH-2.0-x\r\n" + bytes(range(256)) * 40, "as it should|hangs up|in time"),
        (b"\xff" * 70_000, "as it should|hangs up|in time"),
    ],
    ids=["silent", "a web page", "packets of noise", "an endless greeting"],
)
async def test_what_is_no_ssh_server_is_unreachable_in_time(
    address: str, keys: HostKeys, greeting: bytes, word: str
) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(greeting)
        await reader.read()
        writer.close()

    began = time.monotonic()
    async with await asyncio.start_server(answer, address, 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(MinerUnreachable, match=word):
            await visit(address, [Login("root", "x", port=port)], [KERNEL], keys, now, Limits(login_s=0.5))
    assert time.monotonic() - began < 4


async def test_a_cancelled_visit_leaves_no_connection_behind(address: str, keys: HostKeys) -> None:
    async with running(machine(answers={"dmesg": hang}), address) as there:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await visit(address, [at(there)], [KERNEL], keys, now, Limits(command_s=60))
        assert there.asked == ["dmesg"]
        async with asyncio.timeout(5):
            await there.left.wait()
        assert there.open_now == 0


def test_a_private_key_is_read_and_a_bad_one_is_named_without_being_quoted() -> None:
    assert load_key(OTHER.export_private_key()).get_fingerprint() == OTHER.get_fingerprint()
    with pytest.raises(ValueError, match="no private key") as fault:
        load_key(b"-----BEGIN OPENSSH PRIVATE KEY-----\nsecret\n-----END OPENSSH PRIVATE KEY-----\n")
    assert "secret" not in str(fault.value)
    with pytest.raises(ValueError, match="passphrase"):
        load_key(OTHER.export_private_key("pkcs8-pem", passphrase="x"))
