"""The on-site page of a running agent, over HTTP: simulated machines, a real backend's door."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import socket
import ssl
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from structlog.testing import capture_logs

from agent import app, status
from agent.config import AgentSettings, Lan
from agent.daemon import Daemon, Manager
from agent.enrolment import State, enroll
from agent.errors import Misconfigured
from agent.lan.password import Password
from agent.lan.server import context
from agent.simulator.farm import Farm
from agent.simulator.machine import Machine
from agent.uplink import Pacing
from tests.agent.backend import Backend, serving
from tests.agent.certificates import self_signed
from tests.agent.until import until
from tests.conftest import Simulated
from tests.world.leaks import Searcher

AUTH = {"Authorization": aiohttp.encode_basic_auth("anyone", "correct horse")}


class Site:
    """A running agent's page, and what is behind it."""

    def __init__(self, settings: AgentSettings, farm: Farm, backend: Backend, client: aiohttp.ClientSession) -> None:
        self.settings = settings
        self.state = State(settings.state_dir)
        self.machines: Sequence[Machine] = farm.machines
        self.backend = backend
        self.daemon = Daemon(load=lambda: self.settings)
        self.client = client

    async def get(self, path: str, **more: Any) -> tuple[int, str]:
        url = f"http://127.0.0.1:{self.settings.lan.port}{path}"
        async with self.client.get(url, **{"headers": AUTH} | more) as answer:
            return answer.status, await answer.text()

    async def press(self, what: str, token: str, **headers: str) -> int:
        url = f"http://127.0.0.1:{self.settings.lan.port}/{what}"
        async with self.client.post(url, data={"token": token}, headers=AUTH | headers) as answer:
            return answer.status

    async def token(self) -> str:
        found = re.search(r'name="token" value="([^"]+)"', (await self.get("/"))[1])
        assert found
        return found[1]

    def now(self) -> status.Status:
        return status.read(self.state.status)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


@contextlib.asynccontextmanager
async def running(site: Site) -> AsyncIterator[None]:
    stop = asyncio.Event()
    pacing = Pacing(base_s=0.05, cap_s=0.1, paused_s=0.2)
    work = app.run(site.settings, lambda: datetime.now(UTC), stop, pacing=pacing, write_s=0.05, daemon=site.daemon)
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        stop.set()
        async with asyncio.timeout(20):
            await task


@pytest.fixture
async def site(tmp_path: Path, simulated: Simulated) -> AsyncIterator[Site]:
    """Three machines that were asked already."""
    farm = await simulated("avalon", "whatsminer", "avalon")
    async with serving(Backend()) as backend, aiohttp.ClientSession() as client:
        settings = AgentSettings.model_validate(
            {
                "state_dir": tmp_path / "state",
                "network": {"ranges": [machine.address for machine in farm.machines]},
                "poll": {"interval_s": 1, "deadline_s": 0.8, "vendor_passwords": True},
                "spool": {"flush_s": 0.1},
                "lan": {"port": free_port()},
            }
        )
        made = Site(settings, farm, backend, client)
        await enroll(made.state, backend.url, "CODE")
        Password(made.state.lan_password).set("correct horse")
        async with running(made):
            await until(lambda: len({one.machine for kept in backend.stored.values() for one in kept.readings}) == 3)
            await until(lambda: made.state.status.exists() and made.now().machines.reachable == 3)
            yield made


async def test_everything_needs_the_password_and_a_name_of_ours(site: Site) -> None:
    for path in ("/", "/machines", "/m/mnr-0123456789abcdef", "/sent", "/metrics", "/static/page.css", "/none"):
        assert (await site.get(path, headers={}))[0] == 401, path
        assert (await site.get(path, headers=AUTH | {"Host": "evil.example"}))[0] == 421, path
    assert (await site.get("/none"))[0] == 404


async def test_every_answer_keeps_to_itself(site: Site) -> None:
    for path in ("/", "/machines", "/sent", "/metrics", "/static/page.js", "/none"):
        async with site.client.get(f"http://127.0.0.1:{site.settings.lan.port}{path}", headers=AUTH) as answer:
            assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'; script-src 'self'")
            assert answer.headers["Cache-Control"] == "no-store"
            assert "Set-Cookie" not in answer.headers
            text = await answer.text()
            assert not re.search(r"""(src|href|action)=["']?(https?:)?//""", text), "a request to somebody else"
            assert not re.search(r"<script>|<style|\son\w+=|\sstyle=", text), "inline, which the policy forbids"


async def test_it_says_what_status_says(site: Site) -> None:
    _, text = await site.get("/")
    for name, value in status.lines(site.now(), datetime.now(UTC)):
        if name in ("site", "backend"):
            assert value in text
    assert "3 known, 3 reachable" in text
    assert "hashing" in text


async def test_a_machine_is_found_by_any_of_its_names_and_shown_with_the_way_to_it(site: Site) -> None:
    machine = site.machines[1]
    _, text = await site.get("/machines", params={"q": machine.address})
    found = re.findall(r'href="/m/(mnr-[0-9a-z]{16})">([0-9.]+)<', text)
    assert [address for _, address in found] == [machine.address]
    pseudonym = found[0][0]
    status_code, text = await site.get(f"/m/{pseudonym}")
    assert status_code == 200
    assert f'href="http://{machine.address}/"' in text
    assert pseudonym in text
    assert "TH/s" in text
    mac = re.search(r"<dt>MAC</dt><dd>([^<]+)<", text)
    assert mac
    _, text = await site.get("/machines", params={"q": mac[1].replace(":", "-").lower()})
    assert pseudonym in text
    noted = [json.loads(line) for line in site.state.disclosures.read_text().splitlines()]
    looks = ("all machines", pseudonym)  # each once: a page that renews itself is one look
    assert [(one["what"], one["pseudonym"], one["seen_from"]) for one in noted] == [
        ("on-site page", look, "127.0.0.1") for look in looks
    ]
    for other in ("mnr-0000000000000000", "<b>x"):
        status_code, text = await site.get(f"/m/{other}")
        assert status_code == 404
        assert "<b>" not in text
    assert "No machine has that" in (await site.get("/machines", params={"q": "nobody"}))[1]


async def test_what_is_shown_as_sent_is_what_arrived_and_names_nobody(site: Site) -> None:
    _, page = await site.get("/sent")
    batch = re.findall(r'href="/sent/([0-9a-f-]{36})"', page)[-1]
    _, body = await site.get(f"/sent/{batch}")
    arrived = {str(one.id): one for one in site.backend.arrived}
    assert json.loads(body)["readings"] == json.loads(arrived[batch].model_dump_json(exclude_none=True))["readings"]
    searcher = Searcher({word for machine in site.machines for word in machine.identifiers})
    assert list(searcher.search(body.encode())) == []
    assert list(searcher.search(page.encode())) == []
    assert (await site.get("/sent/none"))[0] == 404


async def test_prometheus_gets_numbers_and_no_names(site: Site) -> None:
    _, text = await site.get("/metrics")
    assert 'itsminer_agent_machines{state="hashing"} 3.0' in text
    assert 'itsminer_agent_uplink_batches_total{outcome="acknowledged"}' in text
    assert "itsminer_agent_spool_oldest_age_seconds" in text
    counted = re.search(r"itsminer_agent_read_seconds_count (\d+)", text)
    assert counted
    assert int(counted[1]) >= 3
    searcher = Searcher({word for machine in site.machines for word in machine.identifiers})
    assert list(searcher.search(text.encode())) == []
    assert "mnr-" not in text


async def test_a_pause_stops_asking_and_sending_and_survives_a_restart(site: Site) -> None:
    assert await site.press("pause", "made up") == 403
    token = await site.token()
    assert await site.press("pause", token, **{"Sec-Fetch-Site": "cross-site"}) == 403
    assert site.now().paused_since is None
    assert await site.press("pause", token) == 200
    await until(lambda: site.now().paused_since)
    await asyncio.sleep(0.5)  # what had left the agent before may still arrive
    arrived = len(site.backend.arrived)
    asked_at = site.now().machines.last_round_at
    await asyncio.sleep(2.2)  # two intervals in which nothing may happen
    assert len(site.backend.arrived) == arrived
    assert site.now().machines.last_round_at == asked_at
    assert "Paused" in (await site.get("/machines"))[1]
    assert "itsminer_agent_paused 1.0" in (await site.get("/metrics"))[1]
    assert site.state.pause.exists()
    assert await site.press("resume", token) == 200
    await until(lambda: len(site.backend.arrived) > arrived)
    assert site.now().paused_since is None
    moments = [(one.machine, one.time) for kept in site.backend.stored.values() for one in kept.readings]
    assert len(set(moments)) == len(moments)


async def test_an_agent_that_was_paused_starts_paused(tmp_path: Path, site: Site) -> None:
    token = await site.token()
    await site.press("pause", token)
    folder = tmp_path / "again"
    second = Site(
        site.settings.model_copy(update={"state_dir": folder, "lan": Lan(port=free_port())}),
        Farm([]),
        site.backend,
        site.client,
    )
    await enroll(second.state, site.backend.url, "CODE")
    second.state.pause.write_bytes(site.state.pause.read_bytes())
    arrived = len(site.backend.arrived)
    async with running(second):
        await until(lambda: second.state.status.exists() and second.now().paused_since)
        assert second.now().machines.last_round_at is None
    assert len(site.backend.arrived) == arrived


async def test_new_settings_are_taken_without_losing_a_round_and_bad_ones_change_nothing(site: Site) -> None:
    kept = [machine.address for machine in site.machines[:2]]
    before = site.settings
    site.settings = before.model_copy(
        update={
            "network": before.network.model_copy(update={"ranges": tuple(kept)}),
            "poll": before.poll.model_copy(update={"interval_s": 7.0}),
        }
    )
    with capture_logs() as logs:
        site.daemon.reload.set()
        await until(lambda: site.now().machines.known == 2)
        assert "poll.interval_s" in site.now().settings
        site.backend.stored.clear()
        await until(lambda: len({one.time for kept in site.backend.stored.values() for one in kept.readings}) >= 4)
        moments = sorted({one.time for kept in site.backend.stored.values() for one in kept.readings})
        assert (moments[-1] - moments[0]).total_seconds() == len(moments) - 1, "a round was lost"

        def refuse() -> AgentSettings:
            raise Misconfigured("agent.toml:3: poll.x: there is no such setting")

        object.__setattr__(site.daemon, "load", refuse)
        site.daemon.reload.set()
        await until(lambda: "refused" in site.now().settings)
        assert "there is no such setting" in (await site.get("/"))[1]
    events = {entry["event"]: entry for entry in logs}
    assert events["settings.reloaded"]["changed"] == ["network.ranges"]
    assert events["settings.need_restart"]["names"] == ["poll.interval_s"]
    assert events["settings.refused"]["log_level"] == "error"
    assert site.now().machines.known == 2


async def test_another_port_is_taken_at_run_time_and_one_that_is_taken_is_told_once(site: Site) -> None:
    before = site.settings
    with socket.create_server(("127.0.0.1", 0)) as taken, capture_logs() as logs:
        site.settings = before.model_copy(update={"lan": Lan(port=taken.getsockname()[1])})
        site.daemon.reload.set()
        await until(lambda: any(entry["event"] == "lan.cannot_listen" for entry in logs))
        site.settings = before.model_copy(update={"lan": Lan(port=free_port())})
        site.daemon.reload.set()
        await until(lambda: any(entry.get("port") == site.settings.lan.port for entry in logs))
    assert (await site.get("/"))[0] == 200
    assert sum(entry["event"] == "lan.cannot_listen" for entry in logs) == 1


async def test_systemd_hears_that_it_is_ready_how_it_does_and_that_it_lives(tmp_path: Path, site: Site) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.setblocking(False)
        second = Site(
            site.settings.model_copy(update={"state_dir": tmp_path / "b"}), Farm([]), site.backend, site.client
        )
        await enroll(second.state, site.backend.url, "CODE")
        environment = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "3000000"}
        second.daemon = Daemon(Manager(environment))
        told: list[str] = []

        def heard(word: str) -> bool:
            with contextlib.suppress(BlockingIOError):
                while True:
                    told.append(manager.recv(1_000).decode())
            return any(word in one for one in told)

        async with running(second):
            await until(lambda: heard("3 of 3 machines answer; everything is sent"))
            await until(lambda: heard("WATCHDOG=1"))
        await until(lambda: heard("STOPPING=1"))
    assert told[0] == "READY=1"
    assert told[-1] == "STOPPING=1"


async def test_with_a_certificate_the_page_is_served_over_tls_alone(tmp_path: Path, site: Site) -> None:
    authority, _ = self_signed(tmp_path)
    lan = Lan(port=free_port(), certificate_file=authority, key_file=tmp_path / "private.pem")
    site.settings = site.settings.model_copy(update={"lan": lan})
    with capture_logs() as logs:
        site.daemon.reload.set()
        await until(lambda: any(entry.get("port") == lan.port and entry["event"] == "lan.open" for entry in logs))
    trusted = ssl.create_default_context(cafile=str(authority))
    async with site.client.get(f"https://127.0.0.1:{lan.port}/", headers=AUTH, ssl=trusted) as answer:
        assert (answer.status, "3 known" in await answer.text()) == (200, True)
        assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
    with pytest.raises(aiohttp.ClientError):
        await site.get("/")


async def test_where_only_totals_leave_they_are_what_is_shown_as_sent(tmp_path: Path, simulated: Simulated) -> None:
    farm = await simulated(*["avalon"] * 5)
    async with serving(Backend()) as backend, aiohttp.ClientSession() as client:
        settings = AgentSettings.model_validate(
            {
                "state_dir": tmp_path / "state",
                "network": {"ranges": [machine.address for machine in farm.machines]},
                "poll": {"interval_s": 1, "deadline_s": 0.8},
                "spool": {"flush_s": 0.1},
                "privacy": {"mode": "aggregate"},
                "lan": {"port": free_port()},
            }
        )
        site = Site(settings, farm, backend, client)
        await enroll(site.state, backend.url, "CODE")
        Password(site.state.lan_password).set("correct horse")
        async with running(site):
            await until(lambda: any(one.aggregates for one in backend.stored.values()))
            _, page = await site.get("/sent")
            batch = re.findall(r'href="/sent/([0-9a-f-]{36})"', page)[-1]
            _, body = await site.get(f"/sent/{batch}")
            _, listed = await site.get("/machines")
            pseudonym = re.findall(r"mnr-[0-9a-z]{16}", listed)[0]
            _, machine = await site.get(f"/m/{pseudonym}")
    arrived = next(one for one in backend.arrived if str(one.id) == batch)
    assert arrived.aggregates
    assert json.loads(body)["aggregates"] == json.loads(arrived.model_dump_json(exclude_none=True))["aggregates"]
    assert "Total of 5 machines, the whole site" in page
    assert "no reading of a single machine" in page
    assert "mnr-" not in page
    assert "it stays here, only totals leave this site" in machine


def test_a_certificate_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.pem").write_text("no certificate")
    with pytest.raises(Misconfigured, match=r"lan.certificate_file .*x.pem"):
        context(Lan(certificate_file=tmp_path / "x.pem", key_file=tmp_path / "x.pem"))
    assert context(Lan()) is None
