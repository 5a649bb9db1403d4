"""`[[ssh]]`: how machines are logged in to, by password, by key or with neither."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.config import SshLogin, load
from agent.errors import Misconfigured

HEAD = "[[ssh]]\nmake = 'Antminer'\nusername = 'root'\n"


def ssh(folder: Path, lines: str = "") -> SshLogin:
    path = folder / "agent.toml"
    path.write_text(HEAD + lines)
    return load(path).ssh[0]


def test_a_login_without_a_file_is_one_without_a_password(tmp_path: Path) -> None:
    login = ssh(tmp_path)
    assert (login.password(), login.key(), login.port) == (None, None, 22)


def test_a_password_comes_from_its_file_beside_the_settings(tmp_path: Path) -> None:
    login = ssh(tmp_path, "password_file = 'secret'\nport = 2222\n")
    with pytest.raises(Misconfigured, match="ssh of Antminer: cannot read"):
        login.password()
    (tmp_path / "secret").write_text("\n")
    with pytest.raises(Misconfigured, match=r"ssh of Antminer: .*secret is empty"):
        login.password()
    (tmp_path / "secret").write_text("hunter2\n")
    assert login.password() == "hunter2"
    assert login.port == 2222


def test_a_key_that_others_may_read_is_not_used(tmp_path: Path) -> None:
    login = ssh(tmp_path, "key_file = 'key'\n")
    with pytest.raises(Misconfigured, match="cannot read"):
        login.key()
    (tmp_path / "key").write_bytes(b"private")
    (tmp_path / "key").chmod(0o644)
    with pytest.raises(Misconfigured, match=r"chmod 600 .*key"):
        login.key()
    (tmp_path / "key").chmod(0o600)
    assert login.key() == b"private"


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("password_file = 'a'\nkey_file = 'b'\n", "ssh.0: give a password_file or a key_file, not both"),
        ("port = 0\n", r"agent.toml:4: ssh.0.port: .*greater"),
        ("password = 'hunter2'\n", "agent.toml:4: ssh.0.password: there is no such setting"),
    ],
)
def test_a_fault_is_named(tmp_path: Path, lines: str, message: str) -> None:
    with pytest.raises(Misconfigured, match=message) as fault:
        ssh(tmp_path, lines)
    assert "hunter2" not in str(fault.value)
