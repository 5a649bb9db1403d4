"""`status` and `reveal`, as somebody at the site types them."""

from __future__ import annotations

import asyncio
import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from agent import status as statuses
from agent.__main__ import main
from agent.enrolment import State
from agent.keyring import Keyring
from agent.pools import PublicPools
from agent.status import MachineCounts, SpoolStatus, Status, UplinkStatus
from agent.vault import Vault
from tests.agent.raw import FACTS, raw

KEY = Keyring(bytes(range(32)))


def itsminer_agent(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(one) for one in arguments])


@pytest.fixture
def state(tmp_path: Path) -> State:
    KEY.keep(tmp_path / "site.key")
    return State(tmp_path)


def now() -> datetime:
    return datetime.now(UTC)


def fill(state: State) -> None:
    vault = Vault(state.vault, KEY, now)
    vault.remember(raw(hostname="rack\x1b[31m7"), PublicPools())
    asyncio.run(vault.write())


def a_status(**changes: object) -> Status:
    base = Status(
        version="0.1.0",
        pid=os.getpid(),
        site="sit_1",
        site_name="North hall",
        backend="https://miners.example.com",
        started_at=now() - timedelta(hours=3),
        written_at=now() - timedelta(seconds=2),
        write_s=5,
        machines=MachineCounts(known=60, reachable=58, last_round_at=now() - timedelta(seconds=20)),
        uplink=UplinkStatus(acknowledged_readings=4_200, last_acknowledged_at=now() - timedelta(minutes=3)),
    )
    return base.model_copy(update=changes)


class TestReveal:
    def test_names_the_machine_behind_a_pseudonym(self, state: State) -> None:
        fill(state)
        result = itsminer_agent("reveal", KEY.pseudonym("mnr", FACTS.mac or ""), "--state", state.folder)
        assert result.exit_code == 0
        assert result.output.splitlines() == [
            "address:   192.168.17.42",
            "mac:       02:00:5E:1C:A7:3F",
            "serial:    JYZZDEABCJG0042",
            "hostname:  rack�[31m7",
            "make:      Antminer",
            "model:     S19 Pro",
            "firmware:  20221226",
            "worker:    acme.hall3x42",
            "pool:      pool.acme-mining.example",
        ]

    @pytest.mark.parametrize(
        ("kind", "value", "line"),
        [
            ("wrk", "hall3x42", "worker:    hall3x42"),
            ("act", "acme", "account:   acme"),
            ("pol", "pool.acme-mining.example", "pool:      pool.acme-mining.example"),
        ],
    )
    def test_names_what_is_behind_every_other_kind(self, state: State, kind: str, value: str, line: str) -> None:
        fill(state)
        result = itsminer_agent("reveal", KEY.pseudonym(kind, value).upper(), "--state", state.folder)
        assert result.output.splitlines() == [line]

    def test_speaks_json_to_programs(self, state: State) -> None:
        fill(state)
        result = itsminer_agent("reveal", "--json", KEY.pseudonym("wrk", "hall3x42"), "--state", state.folder)
        assert json.loads(result.output) == {"kind": "worker", "value": "hall3x42"}

    @pytest.mark.parametrize(
        ("pseudonym", "says"),
        [("mnr-0000000000000000", "not known here"), ("hall3x42", "no pseudonym"), ("mnr-il", "no pseudonym")],
    )
    def test_says_when_it_knows_nothing(self, state: State, pseudonym: str, says: str) -> None:
        result = itsminer_agent("reveal", pseudonym, "--state", state.folder)
        assert result.exit_code == 1
        assert result.stderr.startswith("itsminer-agent: ")
        assert says in result.stderr
        assert result.stdout == ""

    def test_finds_the_state_by_the_settings(self, state: State, monkeypatch: pytest.MonkeyPatch) -> None:
        fill(state)
        (state.folder / "agent.toml").write_text('state_dir = "."\n')
        monkeypatch.setenv("ITSMINER_AGENT_CONFIG", str(state.folder / "agent.toml"))
        assert itsminer_agent("reveal", KEY.pseudonym("act", "acme")).output == "account:   acme\n"

    def test_says_what_to_do_about_a_damaged_vault(self, state: State) -> None:
        state.vault.write_text("{")
        result = itsminer_agent("reveal", "mnr-0000000000000000", "--state", state.folder)
        assert result.exit_code == 1
        assert "move it away" in result.stderr


class TestStatus:
    def test_of_a_healthy_agent_is_short_and_clear(self, state: State) -> None:
        statuses.write(state.status, a_status())
        result = itsminer_agent("status", "--state", state.folder)
        assert result.exit_code == 0
        assert result.output.splitlines() == [
            f"agent:     running (pid {os.getpid()}, version 0.1.0, started 3 h ago)",
            "site:      North hall (sit_1)",
            "backend:   https://miners.example.com",
            "machines:  60 known, 58 reachable, last asked 20 s ago",
            "uplink:    everything is sent",
            "sent:      4200 readings since the start, last 3 min ago",
            "waiting:   nothing",
        ]

    def test_of_trouble_says_which_and_since_when(self, state: State) -> None:
        trouble = a_status(
            uplink=UplinkStatus(state="paused", why="the token is not valid", since=now() - timedelta(days=3)),
            spool=SpoolStatus(
                batches=7, bytes=2_500_000, oldest_at=now() - timedelta(days=3), dropped_batches=2,
                dropped_readings=900, quarantined=1, trouble="the disk is full: /x",
            ),
            machines=MachineCounts(),
        )  # fmt: skip
        statuses.write(state.status, trouble)
        lines = itsminer_agent("status", "--state", state.folder).output.splitlines()
        assert lines[3:] == [
            "machines:  0 known, 0 reachable, not asked yet",
            "uplink:    paused (since 3 days ago): the token is not valid",
            "sent:      0 readings since the start, last never",
            "waiting:   7 batches, 2.5 MB, the oldest from 3 days ago",
            "dropped:   900 readings in 2 batches: the spool was full",
            "refused:   1 batches are in quarantine",
            "disk:      the disk is full: /x",
        ]

    def test_of_an_agent_that_is_not_there_fails(self, state: State) -> None:
        statuses.write(state.status, a_status(pid=2**22 + 1))
        result = itsminer_agent("status", "--state", state.folder)
        assert result.exit_code == 1
        assert "agent:     stopped" in result.output

    def test_of_an_agent_that_hangs_fails(self, state: State) -> None:
        statuses.write(state.status, a_status(written_at=now() - timedelta(minutes=2)))
        result = itsminer_agent("status", "--state", state.folder, "--json")
        assert result.exit_code == 1
        assert json.loads(result.output)["life"] == "not responding"

    def test_speaks_json_to_programs(self, state: State) -> None:
        statuses.write(state.status, a_status())
        said = json.loads(itsminer_agent("status", "--json", "--state", state.folder).output)
        assert (said["life"], said["machines"]["known"], said["uplink"]["state"]) == ("running", 60, "idle")

    @pytest.mark.parametrize(("content", "says"), [(None, "no agent has run"), ("{", "is damaged")])
    def test_that_is_not_there_or_damaged_is_said(self, state: State, content: str | None, says: str) -> None:
        if content:
            state.status.write_text(content)
        result = itsminer_agent("status", "--state", state.folder)
        assert result.exit_code == 1
        assert says in result.stderr


def test_a_setting_that_is_wrong_is_named_by_every_command(tmp_path: Path) -> None:
    (tmp_path / "agent.toml").write_text("stat_dir = '.'\n")
    for command in (
        ["status"],
        ["reveal", "mnr-0000000000000000"],
        ["enroll", "--backend", "https://x.example", "C"],
        ["run"],
    ):
        result = itsminer_agent(*command, "--config", tmp_path / "agent.toml")
        assert result.exit_code == 1
        assert "agent.toml:1: stat_dir: there is no such setting" in result.stderr
