"""Settings: the example documents each one, a typo names its line, secrets stay secret."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, SecretStr

from backend import config
from backend.config import BackendSettings, Misconfigured
from backend.config_file import load

EXAMPLE = Path(config.__file__).with_name("backend.example.toml")
NOT_IN_THE_FILE = {"seal.keys", "store.master_key", "store.token", "smtp.password", "sms.token", "sms.signature_secret"}


def written(folder: Path, text: str) -> Path:
    file = folder / "backend.toml"
    file.write_text(text)
    return file


def complaint(folder: Path, text: str, environ: dict[str, str] | None = None) -> str:
    with pytest.raises(Misconfigured) as refused:
        load(written(folder, text), environ or {})
    return str(refused.value)


def settings_of(model: type[BaseModel], prefix: str = "") -> dict[str, Any]:
    """Every setting by its full name, with its default."""
    found: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        default = field.get_default(call_default_factory=True)
        if isinstance(default, BaseModel):
            found |= settings_of(type(default), f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = default
    return found


def examples() -> dict[str, Any]:
    """What the example file's commented-out lines say, by full name; checks that each is a line of TOML."""
    table, found = "", {}
    for line in EXAMPLE.read_text().splitlines():
        if header := re.match(r"#? ?\[([\w.]+)\]$", line):
            table = header[1] + "."
        elif re.match(r"# \w+ = ", line):
            [(name, value)] = tomllib.loads(line.removeprefix("# ")).items()
            found[table + name] = value
    return found


def test_the_example_as_it_is_gives_the_defaults() -> None:
    assert load(EXAMPLE, {}) == BackendSettings()


def test_the_example_documents_every_setting() -> None:
    documented = {name for name in examples() if not name.startswith("rules.")} | {"rules"}
    assert documented == settings_of(BackendSettings).keys() - NOT_IN_THE_FILE


@pytest.mark.parametrize("name", examples())
def test_a_commented_out_value_is_the_default(name: str) -> None:
    default = settings_of(BackendSettings).get(name)
    if default is not None:
        shown = examples()[name]
        assert (tuple(shown) if isinstance(shown, list) else shown) == (
            str(default) if isinstance(default, Path) else default
        )


def test_the_example_with_everything_uncommented_loads(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("sentinel\n")
    text = re.sub(r"(?m)^# (\[[\w.]+\]$|\w+ = )", r"\1", EXAMPLE.read_text())
    text = re.sub(r'(?m)^(\w+_file) = "[^"]*"', r'\1 = "secret"', text)
    settings = load(written(tmp_path, text), {})
    assert settings.smtp.password == SecretStr("sentinel")
    assert settings.rules == {"machine_offline": {"for_s": 300, "clear_for_s": 120}}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[listen]\nport = 80\nhots = "x"\n', ":3: listen.hots: there is no such setting"),
        ("[listen]\n\nport = 65536\n", ":3: listen.port: Input should be less than or equal to 65535"),
        ("region = 'EU'\n", ":1: region: "),
        ("contact = 'help@example.com'\n", ":1: contact: this is a table: write its name in [brackets]"),
        ("[lisen]\nport = 1\n", ":1: lisen: there is no such setting"),
        ("listen = 5\n", ":1: listen: "),
        ("smtp = 5\n", ":1: smtp: "),
        ("[smtp]\ntls = 'maybe'\n", ":2: smtp.tls: "),
        ("[smtp]\nhost = 'mail.example.com'\n", ":1: smtp: a host needs a sender"),
        ("[smtp]\nusername = 'x'\n", ":1: smtp: a username needs password_file"),
        ("[sms]\nurl = 'https://sms.example.com'\n", ":1: sms: a url needs account, sender, and token_file"),
        ("public_url = 'miners.example.com'\n", ":1: public_url: "),
        ("public_url = 'https://miners.example.com/?x'\n", ":1: public_url: "),
        ("[listen]\nproxies = ['here']\n", ":2: listen.proxies.0: "),
        ("[limits]\nbatch_mb = 0\n", ":2: limits.batch_mb: "),
        ("[rules.chip_hot]\nfor_s = 'long'\n", ":2: rules.chip_hot.for_s: "),
        ("[notify]\nrepeat_s = -1\n", ":2: notify.repeat_s: "),
        ("[notify]\nrepeat_s = nan\n", ":2: notify.repeat_s: "),
        ('data_dir = "x"\nport = = 1\n', "line 2"),
    ],
)
def test_a_mistake_stops_the_start_and_names_file_line_and_setting(tmp_path: Path, text: str, said: str) -> None:
    message = complaint(tmp_path, text)
    assert message.startswith(str(tmp_path / "backend.toml"))
    assert said in message


def test_every_mistake_is_told_at_once(tmp_path: Path) -> None:
    assert len(complaint(tmp_path, "[listen]\nport = -1\nhots = 1\n").splitlines()) == 2


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match=r"nothing\.toml: cannot be read \(No such file or directory\)"):
        load(tmp_path / "nothing.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(Misconfigured, match=r"binary\.toml: cannot be read \(not UTF-8\)"):
        load(tmp_path / "binary.toml")


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    settings = load(written(tmp_path, 'data_dir = "data"\n'), {})
    assert settings.data_dir == tmp_path / "data"
    assert settings.registry_url == f"sqlite:///{tmp_path / 'data' / 'registry.db'}"


SMTP = '[smtp]\nusername = "u"\npassword_file = "secret"\n'


def test_a_secret_comes_from_its_file_or_first_from_the_environment(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(" from-file \n")
    of_file = load(written(tmp_path, SMTP), {})
    of_environment = load(written(tmp_path, SMTP), {"ITSMINER_SMTP_PASSWORD": "from-environment"})
    assert (of_file.smtp.password, of_environment.smtp.password) == (
        SecretStr("from-file"),
        SecretStr("from-environment"),
    )


def test_the_registrys_url_may_be_in_all_three_places(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("postgresql://of-file\n")
    text = "[registry]\nurl = 'postgresql://of-settings'\n"
    assert load(written(tmp_path, text), {}).registry_url == "postgresql://of-settings"
    text += "url_file = 'url'\n"
    assert load(written(tmp_path, text), {}).registry_url == "postgresql://of-file"
    environ = {"ITSMINER_REGISTRY_URL": "postgresql://of-environment"}
    assert load(written(tmp_path, text), environ).registry_url == "postgresql://of-environment"


def test_a_secret_in_the_file_is_refused_and_never_repeated(tmp_path: Path) -> None:
    for section, name in (("smtp", "password"), ("sms", "token")):
        message = complaint(tmp_path, f"[{section}]\n{name} = 'sentinel'\n")
        assert f"put it into a file and name that in {section}.{name}_file" in message
        assert "sentinel" not in message


def test_secrets_show_neither_in_a_repr_nor_in_an_error(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("sentinel")
    assert "sentinel" not in repr(load(written(tmp_path, SMTP), {}))
    assert "sentinel" not in complaint(tmp_path, SMTP + "port = 'x'\n")
    assert "sentinel" not in complaint(tmp_path, SMTP + "port = 'x'\n", {"ITSMINER_SMS_TOKEN": "sentinel"})


def test_a_secret_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert "smtp.password_file cannot be read (No such file or directory)" in complaint(tmp_path, SMTP)


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        BackendSettings().listen.port = 1  # type: ignore[misc]  # that is the test


def test_a_data_folder_is_made_for_nobody_else(tmp_path: Path) -> None:
    settings = BackendSettings(data_dir=tmp_path / "a" / "b")
    settings.make_data_dir()
    settings.make_data_dir()
    assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o700
    (tmp_path / "file").write_text("")
    with pytest.raises(Misconfigured, match="cannot be made"):
        BackendSettings(data_dir=tmp_path / "file").make_data_dir()
