"""Host keys are trusted once and pinned; what contradicts a pin says what to do."""

from __future__ import annotations

import shutil
import stat
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import asyncssh
import pytest

from agent.errors import DiskTrouble, Misconfigured
from agent.hostkeys import Door, HostKey, HostKeyChanged, HostKeys

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HERE = Door("10.0.0.7", 22)
THERE = Door("fe80::7", 2222)


def made() -> HostKey:
    algorithm, blob = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode().split()[:2]
    return HostKey(algorithm, blob)


ONE, TWO = made(), made()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "ssh_host_keys"


def test_a_machine_is_met_once_and_known_from_then_on(path: Path) -> None:
    keys = HostKeys(path)
    assert not keys.check(HERE, ONE)
    keys.pin(HERE, ONE, NOW)
    keys.pin(THERE, TWO, NOW)
    again = HostKeys(path)
    assert again.check(HERE, ONE)
    assert again.check(THERE, TWO)
    pin = again.pinned(HERE)
    assert pin is not None
    assert (pin.key, pin.since) == (ONE, NOW)


def test_another_key_is_refused_with_both_fingerprints_and_what_to_do(path: Path) -> None:
    keys = HostKeys(path)
    keys.pin(HERE, ONE, NOW)
    with pytest.raises(HostKeyChanged) as refusal:
        keys.check(HERE, TWO)
    said = str(refusal.value)
    for word in (
        "10.0.0.7",
        ONE.fingerprint,
        TWO.fingerprint,
        "since 2026-03-01",
        "--new-host-key",
        "No password was sent",
    ):
        assert word in said
    assert keys.check(HERE, ONE), "the pin is as it was"


def test_a_key_of_another_known_machine_is_named_as_that(path: Path) -> None:
    keys = HostKeys(path)
    keys.pin(HERE, ONE, NOW)
    keys.pin(THERE, TWO, NOW)
    with pytest.raises(HostKeyChanged, match="The new key is that of fe80::7 port 2222: has the address gone"):
        keys.check(HERE, TWO)


def test_the_same_address_on_another_port_is_another_machine(path: Path) -> None:
    keys = HostKeys(path)
    keys.pin(HERE, ONE, NOW)
    assert not keys.check(Door(HERE.address, 2222), TWO)


def test_a_forgotten_machine_is_met_anew(path: Path) -> None:
    keys = HostKeys(path)
    assert not keys.forget(HERE)
    keys.pin(HERE, ONE, NOW)
    assert keys.forget(HERE)
    assert not keys.check(HERE, TWO)


def test_the_fingerprint_is_the_one_that_ssh_keygen_prints(tmp_path: Path) -> None:
    keygen = shutil.which("ssh-keygen")
    if keygen is None:
        pytest.skip("ssh-keygen is not installed here")
    file = tmp_path / "key.pub"
    file.write_text(f"{ONE.algorithm} {ONE.blob}\n")
    printed = subprocess.run([keygen, "-lf", file], capture_output=True, text=True, check=True).stdout
    assert ONE.fingerprint in printed.split()


def test_the_file_is_one_that_ssh_can_use(path: Path) -> None:
    keys = HostKeys(path)
    keys.pin(HERE, ONE, NOW)
    keys.pin(THERE, TWO, NOW)
    known = asyncssh.read_known_hosts(str(path))
    for door, key in ((HERE, ONE), (THERE, TWO)):
        trusted = known.match(door.address, door.address, door.port)[0]
        assert {one.export_public_key().decode().split()[1] for one in trusted} == {key.blob}


def test_the_file_is_for_its_owner_only_and_whole(path: Path) -> None:
    HostKeys(path).pin(HERE, ONE, NOW)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [file.name for file in path.parent.iterdir()] == ["ssh_host_keys"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o622])
def test_a_file_that_others_can_get_at_is_not_trusted(path: Path, mode: int) -> None:
    keys = HostKeys(path)
    keys.pin(HERE, ONE, NOW)
    path.chmod(mode)
    with pytest.raises(Misconfigured, match=r"chmod 600 .*ssh_host_keys"):
        keys.check(HERE, ONE)


@pytest.mark.parametrize(
    "line",
    [
        "10.0.0.7 ssh-ed25519",
        f"10.0.0.7 ssh-ed25519 not*base64 since {NOW.isoformat()}",
        f"10.0.0.7 ssh-ed25519 {ONE.blob} since yesterday",
        f"pool.example.com ssh-ed25519 {ONE.blob} since {NOW.isoformat()}",
    ],
)
def test_a_damaged_line_is_named_and_never_taken_for_no_pin(path: Path, line: str) -> None:
    keys = HostKeys(path)
    keys.pin(THERE, TWO, NOW)
    path.write_text(f"# kept by hand\n\n{path.read_text()}{line}\n")
    with pytest.raises(Misconfigured, match="ssh_host_keys:4 is damaged"):
        keys.check(HERE, ONE)


def test_a_file_of_other_bytes_is_not_trusted(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"\xff\xfe")
    path.chmod(0o600)
    with pytest.raises(Misconfigured, match="cannot read"):
        HostKeys(path).check(HERE, ONE)


def test_a_pin_that_cannot_be_written_is_an_error_and_no_trust(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises((DiskTrouble, Misconfigured)):
        HostKeys(tmp_path / "file" / "keys").pin(HERE, ONE, NOW)
