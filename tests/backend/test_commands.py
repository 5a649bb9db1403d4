"""The commands as people type them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from backend.__main__ import COMMANDS, main
from tests import registry_file


class Shell:
    """Runs commands with the settings of one folder."""

    def __init__(self, folder: Path) -> None:
        registry_file.put(folder / "data")
        self.config = folder / "backend.toml"
        self.config.write_text('data_dir = "data"\npublic_url = "https://miners.example.com"\n')

    def run(self, *arguments: str) -> Result:
        return CliRunner().invoke(main, arguments, env={"ITSMINER_BACKEND_CONFIG": str(self.config)})

    def json(self, *arguments: str) -> Any:
        result = self.run(*arguments, "--json")
        assert result.exit_code == 0, result.stderr
        return json.loads(result.stdout)

    def refused(self, *arguments: str) -> str:
        """What it says when it does not do it."""
        result = self.run(*arguments)
        assert (result.exit_code, result.stdout) == (1, "")
        return result.stderr


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


@pytest.fixture
def farm(shell: Shell) -> str:
    """An account with a site named North."""
    shell.json("account", "add", "Demo Mining")
    shell.json("site", "add", "Demo Mining", "North")
    return "Demo Mining"


@pytest.mark.parametrize("command", [[], *([name] for name in COMMANDS), ["site", "code"], ["token", "revoke"]])
def test_every_command_explains_itself(shell: Shell, command: list[str]) -> None:
    result = shell.run(*command, "--help")
    assert result.exit_code == 0
    assert "Usage:" in result.stdout


def test_an_account_is_added_once_and_listed(shell: Shell) -> None:
    assert shell.run("account", "list").stdout == "There are no accounts yet.\n"
    added = shell.json("account", "add", "Demo Mining")
    assert added == {"id": added["id"], "name": "Demo Mining", "region": "eu"}
    assert shell.json("account", "add", "Other", "--region", "us")["region"] == "us"
    assert shell.refused("account", "add", "Demo Mining") == (
        "itsminer-backend: there is an account named Demo Mining already\n"
    )
    assert [one["name"] for one in shell.json("account", "list")] == ["Demo Mining", "Other"]
    assert added["id"] in shell.run("account", "list").stdout


def test_a_member_is_added_with_contacts_in_one_form(shell: Shell, farm: str) -> None:
    assert shell.run("member", "list", farm).stdout == "The account has no members yet.\n"
    shell.json("member", "add", farm, "--email", "Shift@Farm.example", "--phone", "+1 415 555 0123", "--verified")
    shell.json("member", "add", farm, "--email", "b@farm.example", "--role", "viewer", "--language", "de")
    first, second = sorted(shell.json("member", "list", farm), key=lambda one: str(one["role"]))
    assert (first["email"], first["phone"], first["role"]) == ("shift@farm.example", "+14155550123", "owner")
    assert first["email_verified_at"]
    assert first["phone_verified_at"]
    assert (second["role"], second["language"], second["phone"]) == ("viewer", "de", None)
    assert second["email_verified_at"] is None
    table = shell.run("member", "list", farm).stdout.splitlines()
    assert len(table) == 3
    assert first["id"] in table[2]


def test_what_cannot_be_a_contact_is_refused(shell: Shell, farm: str) -> None:
    assert "no e-mail address" in shell.refused("member", "add", farm, "--email", "nobody")
    assert "no phone number" in shell.refused("member", "add", farm, "--email", "a@b.example", "--phone", "1")
    assert shell.run("member", "add", farm, "--email", "a@b.example", "--role", "king").exit_code == 2


def test_a_site_gets_a_code_that_says_what_to_type_at_the_site(shell: Shell, farm: str) -> None:
    [site] = shell.json("site", "list", farm)
    code = shell.json("site", "code", farm, "North")
    assert code.keys() == {"code", "site", "expires_at"}
    assert code["site"] == site["id"]
    shown = shell.run("site", "code", farm, site["id"]).stdout.splitlines()
    assert shown[-1].startswith("At the site: itsminer-agent enroll --backend https://miners.example.com ")
    assert shell.refused("site", "code", farm, "South") == (
        "itsminer-backend: there is no site South in this account\n"
    )


def test_a_new_site_says_what_comes_next(shell: Shell, farm: str) -> None:
    lines = shell.run("site", "add", farm, "South").stdout.splitlines()
    account = shell.json("account", "list")[0]["id"]
    assert lines[-1] == f"Next: itsminer-backend site code {account} {lines[0].split()[1]}"
    assert shell.run("site", "list", farm).stdout.splitlines()[0].split() == ["id", "name", "last_batch_at"]


def test_a_token_is_shown_once_listed_and_revoked(shell: Shell, farm: str) -> None:
    added = shell.json("token", "add", farm, "--label", "grafana")
    assert added["token"].startswith("imt_")
    listed = shell.run("token", "list", farm).stdout
    assert added["id"] in listed
    assert added["token"] not in listed
    shell.json("token", "revoke", farm, added["id"])
    [token] = shell.json("token", "list", farm)
    assert token["revoked_at"]
    assert "no token tok_x" in shell.refused("token", "revoke", farm, "tok_x")


def test_one_accounts_things_are_not_anothers(shell: Shell, farm: str) -> None:
    shell.json("account", "add", "Other")
    token = shell.json("token", "add", farm, "--label", "grafana")["id"]
    assert shell.json("token", "list", "Other") == []
    assert shell.json("site", "list", "Other") == []
    assert "there is no token" in shell.refused("token", "revoke", "Other", token)
    assert "there is no site North" in shell.refused("site", "code", "Other", "North")


def test_an_account_that_there_is_not_is_said_so(shell: Shell) -> None:
    assert shell.refused("site", "list", "nobody") == "itsminer-backend: there is no account nobody\n"


def test_settings_that_are_wrong_are_said_so(shell: Shell, tmp_path: Path) -> None:
    assert "cannot be read" in shell.refused("account", "list", "--config", str(tmp_path / "nothing.toml"))
    shell.config.write_text("region = 5\nregiom = 6\n")
    assert [line.split(": ")[0] for line in shell.refused("serve").splitlines()] == ["itsminer-backend"] * 2


def test_serve_says_what_to_change_instead_of_starting(shell: Shell) -> None:
    shell.config.write_text('data_dir = "data"\n[listen]\nport = 0\n[rules.chip_hit]\nfor_s = 5\n')
    result = shell.run("serve")
    assert result.exit_code == 1
    assert f"itsminer-backend: {shell.config}: rules: there is no rule chip_hit" in result.stderr


@pytest.mark.parametrize("url", ["sqlite:////proc/registry.db", "mysql://db.example.com/x", "nonsense"])
def test_a_registry_that_cannot_be_used_is_said_so_in_one_line(shell: Shell, url: str) -> None:
    shell.config.write_text(f'data_dir = "data"\n[registry]\nurl = "{url}"\n')
    said = shell.refused("account", "list")
    assert said.startswith("itsminer-backend: ")
    assert len(said.splitlines()) == 1


def test_a_command_that_there_is_not_is_a_usage_error(shell: Shell) -> None:
    assert shell.run("frobnicate").exit_code == 2
    assert shell.run("token", "add", "x").exit_code == 2
