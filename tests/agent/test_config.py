"""Settings: the example documents all of them and is right; a fault is named by file, line and setting."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

import agent
from agent.config import AgentSettings, load
from agent.errors import Misconfigured

EXAMPLE = Path(agent.__file__).with_name("agent.example.toml")
NO_DEFAULT = {("backend", "url"), ("backend", "ca_file"), ("lan", "certificate_file"), ("lan", "key_file")}
COMMENTED = re.compile(r"^# ((\w+) = .*|\[\[\w+\]\])$", re.MULTILINE)


def write(folder: Path, text: str) -> Path:
    path = folder / "agent.toml"
    path.write_text(text)
    return path


def flat(value: Any, where: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    if not isinstance(value, dict):
        return {where: value}
    return {place: one for key, inner in value.items() for place, one in flat(inner, (*where, key)).items()}


def uncommented() -> dict[str, Any]:
    return tomllib.loads(COMMENTED.sub(r"\1", EXAMPLE.read_text()))


def settings_of(model: type[BaseModel], where: tuple[str, ...] = ()) -> set[tuple[str, ...]]:
    found: set[tuple[str, ...]] = set()
    for name, info in model.model_fields.items():
        if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
            found |= settings_of(info.annotation, (*where, name))
        else:
            found.add((*where, name))
    return found


def test_the_example_is_right_as_it_stands() -> None:
    settings = load(EXAMPLE)
    assert settings.network.ranges == ("192.168.1.0/24",)
    assert settings.model_copy(update={"network": AgentSettings().network}) == AgentSettings()


def test_the_example_documents_every_setting_and_no_other() -> None:
    assert set(flat(uncommented())) == settings_of(AgentSettings)
    assert set(uncommented()["credentials"][0]) == {"make", "username", "password_file"}
    assert set(uncommented()["ssh"][0]) == {"make", "username", "password_file", "port"}
    assert "key_file = " in EXAMPLE.read_text(), "instead of a password, so not beside it"


def test_a_commented_out_value_of_the_example_is_the_default() -> None:
    defaults = flat(AgentSettings().model_dump(mode="json"))
    for place, value in flat(uncommented()).items():
        if place not in NO_DEFAULT | {("credentials",), ("ssh",), ("network", "ranges")}:
            assert value == defaults[place], place


def test_the_uncommented_example_is_valid(tmp_path: Path) -> None:
    load(write(tmp_path, COMMENTED.sub(r"\1", EXAMPLE.read_text())))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[poll]\n\nintervall_s = 5\n", r"agent.toml:3: poll.intervall_s: there is no such setting"),
        ("[pol]\ninterval_s = 5\n", r"agent.toml:1: pol: there is no such setting"),
        ("lan = 8080\n", r"agent.toml:1: lan: this is a table: write its name in \[brackets\]"),
        ("[poll]\ninterval_s = 0\n", r"agent.toml:2: poll.interval_s: .*greater"),
        ("[poll]\nengine = 'both'\n", r"agent.toml:2: poll.engine: .*'auto', 'pyasic' or 'asic-rs'"),
        ("[poll]\ndeadline_s = nan\n", r"agent.toml:2: poll.deadline_s: "),
        ("[network]\nranges = ['192.168.1.0/33']\n", r"agent.toml:2: network.ranges.0: .*write 192.168.1.0/24"),
        ("[network]\nranges = [\n '10.0.0.9-5',\n]\n", r"agent.toml:2: network.ranges.0: .*ends before it begins"),
        ("[network]\nranges = ['farm.example']\n", r"network.ranges.0: .*no range"),
        ("[backend]\nurl = 'http://miners.example.com'\n", r"agent.toml:2: backend.url: plain http is refused"),
        ("[pools]\npublic = ['10.0.0.1']\n", r"agent.toml:2: pools.public.0: .*no public host name"),
        ("[pools]\npublic = ['pool']\n", r"agent.toml:2: pools.public.0: .*no public host name"),
        ("[lan]\nhost = 'farm'\n", r"agent.toml:2: lan.host"),
        ("[lan]\nnames = ['a b']\n", r"agent.toml:2: lan.names.0: "),
        ("[lan]\nkey_file = 'x'\n", r"agent.toml:1: lan: .*belong together"),
        ("state_dir = 5\n", r"agent.toml:1: state_dir: "),
        (
            "[[credentials]]\nmake = 'Antminer'\nusername = 'root'\n",
            r"agent.toml:1: credentials.0.password_file: Field required",
        ),
        ("[poll\n", r"agent.toml: .*line 1"),
        ("[poll]\nengine = 'pyasic'\nengine = 'auto'\n", r"agent.toml: .*line 3"),
    ],
)
def test_a_fault_is_named_by_file_line_and_setting(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(Misconfigured, match=message):
        load(write(tmp_path, text))


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured) as error:
        load(write(tmp_path, "[poll]\ninterval_s = 0\nx = 1\n[log]\nlevel = 'loud'\n"))
    assert len(str(error.value).splitlines()) == 3


def test_a_fault_quotes_no_value_that_may_be_a_secret(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured) as error:
        load(write(tmp_path, "[[credentials]]\nmake = 'Antminer'\nusername = 'root'\npassword = 'hunter2'\n"))
    assert "hunter2" not in str(error.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match=r"missing.toml: cannot be read \(No such file"):
        load(tmp_path / "missing.toml")
    (tmp_path / "agent.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(Misconfigured, match="not UTF-8"):
        load(tmp_path / "agent.toml")


def test_relative_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    text = """
state_dir = "state"
[backend]
ca_file = "../authority.pem"
[[credentials]]
make = "Antminer"
username = "root"
password_file = "secret"
"""
    settings = load(write(tmp_path, text))
    assert settings.state_dir == tmp_path / "state"
    assert settings.backend.ca_file == tmp_path / "../authority.pem"
    assert settings.credentials[0].password_file == tmp_path / "secret"


@pytest.mark.parametrize("one", ["10.0.0.0/16", "10.0.0.1", "10.0.0.1-99", "10.0.0.1-10.0.3.9", "10.0.0.1, 10.0.0.5-9"])
def test_ranges_come_in_several_shapes(tmp_path: Path, one: str) -> None:
    assert load(write(tmp_path, f"[network]\nranges = ['{one}']\n")).network.ranges == (one,)


def test_settings_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        setattr(AgentSettings().poll, "interval_s", 5)  # noqa: B010 - the type checker knows that it is frozen


def test_passwords_come_from_their_files(tmp_path: Path) -> None:
    text = "[[credentials]]\nmake = 'Antminer'\nusername = 'root'\npassword_file = 'secret'\n"
    credential = load(write(tmp_path, text)).credentials[0]
    with pytest.raises(Misconfigured, match="cannot read"):
        credential.password()
    (tmp_path / "secret").write_text("\n")
    with pytest.raises(Misconfigured, match="is empty"):
        credential.password()
    (tmp_path / "secret").write_text("hunter2 \n")
    assert credential.password() == "hunter2 "
    assert "hunter2" not in repr(credential)
