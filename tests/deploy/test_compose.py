"""Compose, image and proxy: they parse, and name only what there is."""

from __future__ import annotations

import importlib
import ipaddress
import os
import re
import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any, Final

import click
import pytest

from backend import config, config_file
from backend.__main__ import main as backend_main

ROOT: Final = Path(__file__).parents[2]
DEPLOY: Final = ROOT / "deploy"
DATA_SOURCE: Final = ROOT / "dashboards/provisioning/datasources/itsminer.yaml"
PROVIDER: Final = ROOT / "dashboards/provisioning/dashboards/itsminer.yaml"


def yaml_file(path: Path) -> Any:
    yaml: Any = importlib.import_module("yaml")
    return yaml.safe_load(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    parsed: dict[str, Any] = yaml_file(DEPLOY / "compose.yaml")
    return parsed


def mounts(service: dict[str, Any]) -> dict[str, str]:
    """Inside → outside."""
    parts = [volume.split(":") for volume in service.get("volumes", ())]
    return {inside: outside for outside, inside, *_ in parts}


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions, continued lines joined."""
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    lines = re.sub(r"\\\n", " ", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE)).splitlines()
    return [(line.split()[0], line.split(maxsplit=1)[1]) for line in lines if line.strip()]


# --- compose ---


def test_files_and_volumes_that_compose_mounts_are_there(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        for inside, outside in mounts(service).items():
            if outside.startswith("."):
                assert (DEPLOY / outside).exists(), (name, outside)
            else:
                assert outside in compose["volumes"], (name, outside)
            assert inside.startswith("/")
        assert set(service["networks"]) <= set(compose["networks"])
        assert set(service.get("depends_on", ())) <= set(compose["services"])
    build = compose["services"]["backend"]["build"]
    assert (DEPLOY / build["context"] / build["dockerfile"]).samefile(DEPLOY / "Dockerfile")


def test_each_variable_is_explained_in_the_example_and_used() -> None:
    used = set(re.findall(r"\$\{(\w+)", (DEPLOY / "compose.yaml").read_text()))
    explained = set(re.findall(r"^(\w+)=", (DEPLOY / ".env.example").read_text(), re.MULTILINE))
    assert used == explained


def test_secrets_have_no_default() -> None:
    text = (DEPLOY / "compose.yaml").read_text()
    assert re.search(r"\$\{GRAFANA_ADMIN_PASSWORD:\?", text)
    assert re.search(r"^GRAFANA_ADMIN_PASSWORD=$", (DEPLOY / ".env.example").read_text(), re.MULTILINE)
    assert re.search(r"^ITSMINER_READ_TOKEN=$", (DEPLOY / ".env.example").read_text(), re.MULTILINE)


def test_containers_are_locked_up_and_only_the_proxy_is_open(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert ("ports" in service) == (name == "caddy")
    # One network only is between proxy and backend: its addresses are the ones that are believed.
    networks = {name: set(service["networks"]) for name, service in compose["services"].items()}
    assert networks["caddy"] & networks["backend"] == {"inside"}


def test_images_have_versions_and_no_host(compose: dict[str, Any]) -> None:
    images = [s["image"] for s in compose["services"].values() if "build" not in s]
    images += [value.split()[0] for name, value in instructions() if name == "FROM"]
    for image in images:
        assert re.fullmatch(r"[a-z]+(/[a-z]+)?:\d+\.\d+[\w.-]*", image), image


def test_the_mounted_settings_are_settings_and_believe_the_inner_network(
    compose: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = config_file.load(DEPLOY / "backend.toml", environ={})
    (subnet,) = compose["networks"]["inside"]["ipam"]["config"]
    assert [ipaddress.ip_network(p) for p in settings.listen.proxies] == [ipaddress.ip_network(subnet["subnet"])]
    assert settings.listen.host == "0.0.0.0"
    # What is commented out works as well, once the secrets are there.
    whole = re.sub(r"^# ?(?=\[|\w+ = )", "", (DEPLOY / "backend.toml").read_text(), flags=re.MULTILINE)
    assert {"smtp", "sms"} <= tomllib.loads(whole).keys()
    assert mounts(compose["services"]["backend"])["/etc/itsminer/backend.toml"] == "./backend.toml"
    assert str(settings.data_dir) in mounts(compose["services"]["backend"])


def test_grafana_gets_what_the_provisioning_files_ask_for(compose: dict[str, Any]) -> None:
    grafana = compose["services"]["grafana"]
    wanted = set(re.findall(r": \$(\w+)|- \$(\w+)", DATA_SOURCE.read_text()))
    assert {name for pair in wanted for name in pair if name} <= grafana["environment"].keys()
    (source,) = yaml_file(DATA_SOURCE)["datasources"]
    assert grafana["environment"]["GF_PLUGINS_PREINSTALL_SYNC"] == source["type"]
    (provider,) = yaml_file(PROVIDER)["providers"]
    inside = mounts(grafana)
    assert any(path.startswith(provider["options"]["path"] + "/") for path in inside)
    assert {"/etc/grafana/provisioning/datasources", "/etc/grafana/provisioning/dashboards"} <= inside.keys()
    assert grafana["environment"]["ITSMINER_API_URL"] == f"http://backend:{config.Listen().port}"


# --- the image ---


def test_what_the_image_copies_is_there_and_is_sent_to_the_build() -> None:
    ignored = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    sent = {line.removeprefix("!") for line in ignored if line.startswith("!")}
    copied = set()
    for name, value in instructions():
        if name == "COPY" and not value.startswith("--from"):
            *sources, _ = value.split()
            copied |= {source.removeprefix("./") for source in sources}
    assert all((ROOT / source).exists() for source in copied)
    assert copied == sent


def test_the_image_installs_by_hash_and_runs_as_nobody_special() -> None:
    given = instructions()
    runs = [value for name, value in given if name == "RUN"]
    assert any("--require-hashes" in run and "requirements.lock" in run for run in runs)
    assert any("--no-index" in run for run in runs)
    user = next(value for name, value in given if name == "USER")
    assert int(user.split(":")[0]) > 0
    last_stage = max(n for n, (name, _) in enumerate(given) if name == "FROM")
    assert any(name == "USER" for name, _ in given[last_stage:])
    assert any(name == "HEALTHCHECK" for name, _ in given[last_stage:])


def test_the_image_starts_a_command_that_there_is_and_asks_an_address_that_answers() -> None:
    given = dict(instructions())
    assert given["ENTRYPOINT"] == '["itsminer-backend"]'
    name, *arguments = [word.strip('", ') for word in given["CMD"].strip("[]").split(",")]
    command = backend_main.get_command(click.Context(backend_main), name)
    assert command is not None
    assert arguments[0] in {option for parameter in command.params for option in parameter.opts}
    assert f"127.0.0.1:{config.Listen().port}/healthz" in given["HEALTHCHECK"]
    assert given["EXPOSE"] == str(config.Listen().port)


# --- the proxy ---


def test_caddy_accepts_its_file(tmp_path: Path) -> None:
    caddy = shutil.which("caddy")
    if caddy is None:
        pytest.skip("no Caddy here: Debian has it as the package caddy")
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "ITSMINER_DOMAIN": "miners.example.com",
        "ITSMINER_TLS_EMAIL": "admin@example.com",
    }
    result = subprocess.run(
        [caddy, "validate", "--adapter", "caddyfile", "--config", DEPLOY / "Caddyfile"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=environment,
    )
    assert result.returncode == 0, result.stderr
    assert "Valid configuration" in result.stdout + result.stderr


def test_the_proxy_leads_to_the_services_and_gets_its_variables(compose: dict[str, Any]) -> None:
    text = (DEPLOY / "Caddyfile").read_text()
    upstreams = re.findall(r"\{\$\w+:(\w+):(\d+)\}", text)
    assert dict(upstreams) == {"backend": str(config.Listen().port), "grafana": "3000"}
    assert set(dict(upstreams)) <= set(compose["services"])
    needed = set(re.findall(r"\{\$(\w+)\}", text))
    assert needed <= compose["services"]["caddy"]["environment"].keys()


def test_the_proxy_keeps_no_log_of_who_asked() -> None:
    lines = [line.strip() for line in (DEPLOY / "Caddyfile").read_text().splitlines()]
    assert not any(line.split()[:1] == ["log"] for line in lines)


def test_the_proxy_lets_through_as_much_as_the_backend_takes() -> None:
    megabytes = re.search(r"max_size (\d+)MB", (DEPLOY / "Caddyfile").read_text())
    assert megabytes is not None
    assert int(megabytes[1]) > config.Limits().batch_mb


# --- the steps ---


def test_every_command_of_the_steps_is_one_that_there_is() -> None:
    text = (DEPLOY / "README.md").read_text()
    blocks = "\n".join(re.findall(r"```sh\n(.*?)```", text, re.DOTALL))
    found = set(re.findall(r"(?:^|itsminer-)(backend|agent) (?!itsminer-)([a-z-]+(?: [a-z]+)?)", blocks, re.MULTILINE))
    assert len(found) >= 9
    for program, words in found:
        group: Any = importlib.import_module(f"{program}.__main__").main
        first, *rest = words.split()
        command = group.get_command(click.Context(group), first)
        assert command is not None, words
        if isinstance(command, click.Group):
            assert command.get_command(click.Context(command), rest[0]) is not None, words


def test_every_option_of_the_backends_steps_is_one_that_there_is() -> None:
    text = re.sub(r"\s+#.*", "", (DEPLOY / "README.md").read_text())
    for line in re.findall(r"^backend (.+)$", text, re.MULTILINE):
        group, name, *arguments = shlex.split(line)
        parent = backend_main.get_command(click.Context(backend_main), group)
        assert isinstance(parent, click.Group)
        command = parent.get_command(click.Context(parent), name)
        assert command is not None
        options = {option for parameter in command.params for option in parameter.opts}
        assert {a for a in arguments if a.startswith("--")} <= options, line


def test_every_file_of_the_steps_is_there() -> None:
    text = (DEPLOY / "README.md").read_text()
    for path in set(re.findall(r"(?<![\w/-])((?:deploy|agent|backend)/[\w./-]*\w\.\w+)", text)):
        assert (ROOT / path).exists(), path
    assert (DEPLOY / ".env.example").exists()
