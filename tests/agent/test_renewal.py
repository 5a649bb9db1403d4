"""The agent's token is changed now and then, at a real backend's door; whenever it dies, one of the two opens it."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from agent import app, durable, enrolment, transit
from agent.config import AgentSettings
from agent.enrolment import Enrolment, State
from agent.errors import NotAllowed, Rejected
from agent.keyring import Keyring
from agent.renewal import EVERY, Renewal
from tests.agent.backend import Backend, serving
from tests.agent.until import until
from tests.promises.deployed import Service, running

SOON = timedelta(minutes=20)
"""The backend lets a former token in for less."""


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    (tmp_path / "backend").mkdir()
    async with running(tmp_path / "backend") as made:
        yield made


def enrolled(folder: Path, url: str, token: str) -> State:
    state = State(durable.private_folder(folder / "agent"))
    enrolment._keep(state, Enrolment(url=url, account="a", site="sit_1", token=SecretStr(token)))
    return state


@contextlib.asynccontextmanager
async def renewal(state: State, renewed: list[str] | None = None) -> AsyncIterator[Renewal]:
    """As in a process that has just started."""
    async with transit.session("http://127.0.0.1") as client:
        said = renewed if renewed is not None else []
        clock = lambda: datetime.now(UTC)  # noqa: E731
        yield Renewal(client, state, lambda: enrolment.load(state), clock, lambda: said.append("renewed"))


def token_of(state: State) -> str:
    return enrolment.load(state).token.get_secret_value()


async def opens(service: Service, token: str) -> bool:
    return (await service.post("/v1/batches", token)).status != 401


async def test_a_new_token_takes_the_place_of_the_old_one(tmp_path: Path, service: Service) -> None:
    old = (await service.customer()).agent
    state = enrolled(tmp_path, service.url, old)
    renewed: list[str] = []
    async with renewal(state, renewed) as one:
        await one.renew()
    new = token_of(state)
    assert (new != old, renewed, enrolment.load(state).next_token) == (True, ["renewed"], None)
    assert await opens(service, new)
    assert await opens(service, old)  # what was on its way arrives
    service.ahead += SOON
    assert (await opens(service, new), await opens(service, old)) == (True, False)


class Died(Exception):
    """The process is no more."""


@pytest.mark.parametrize("dies", ["before it asks", "before the answer", "before the new one is written"])
async def test_whenever_it_dies_the_site_is_not_locked_out(
    tmp_path: Path, service: Service, monkeypatch: pytest.MonkeyPatch, dies: str
) -> None:
    state = enrolled(tmp_path, service.url, (await service.customer()).agent)
    post, write, writes = transit.post, durable.write, 0

    async def no_post(*arguments: Any) -> Any:
        if dies == "before the answer":
            await post(*arguments)
        raise Died

    def no_second_write(*arguments: Any, **more: Any) -> None:
        nonlocal writes
        writes += 1
        if writes == 2:
            raise Died
        write(*arguments, **more)

    with monkeypatch.context() as patched:
        if dies == "before the new one is written":
            patched.setattr(durable, "write", no_second_write)
        else:
            patched.setattr(transit, "post", no_post)
        async with renewal(state) as one:
            with pytest.raises(Died):
                await one.renew()
    service.ahead += SOON  # it is started again much later
    async with renewal(state) as one:
        assert one._due_in_s() == 0
        await one.renew()
    assert await opens(service, token_of(state))
    assert enrolment.load(state).next_token is None


async def test_a_site_that_is_enrolled_anew_meanwhile_keeps_that_token(
    tmp_path: Path, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = enrolled(tmp_path, service.url, (await service.customer()).agent)
    post = transit.post

    async def enrolled_meanwhile(*arguments: Any) -> Any:
        answer = await post(*arguments)
        enrolled(tmp_path, service.url, "imt_" + "a" * 43)
        return answer

    monkeypatch.setattr(transit, "post", enrolled_meanwhile)
    renewed: list[str] = []
    async with renewal(state, renewed) as one:
        await one.renew()
    assert (token_of(state), renewed) == ("imt_" + "a" * 43, [])


async def test_a_running_agent_changes_a_token_that_is_a_month_old(tmp_path: Path, service: Service) -> None:
    old = (await service.customer()).agent
    state = enrolled(tmp_path, service.url, old)
    Keyring.create(state.key)
    month_ago = datetime.now(UTC).timestamp() - 31 * 86_400
    os.utime(state.enrolment, (month_ago, month_ago))
    settings = AgentSettings.model_validate({"state_dir": state.folder, "network": {"ranges": ["127.254.254.254"]}})
    stop = asyncio.Event()
    task = asyncio.create_task(app.run(settings, lambda: datetime.now(UTC), stop))
    await until(lambda: token_of(state) != old)
    stop.set()
    await task
    assert await opens(service, token_of(state))


async def test_a_backend_that_changes_no_tokens_costs_none(tmp_path: Path) -> None:
    async with serving(Backend()) as backend:  # it knows no such address
        state = enrolled(tmp_path, backend.url, "imt_old456789")
        async with renewal(state) as one:
            with pytest.raises(Rejected, match="404"):
                await one.renew()
    assert (token_of(state), enrolment.load(state).next_token) == ("imt_old456789", None)


async def test_a_token_that_was_revoked_is_kept_and_that_is_said_once(tmp_path: Path, service: Service) -> None:
    state = enrolled(tmp_path, service.url, "imt_" + "r" * 43)
    async with renewal(state) as one:
        with pytest.raises(NotAllowed, match="401"):
            await one.renew()
    assert token_of(state) == "imt_" + "r" * 43
    with capture_logs() as logs:
        async with renewal(state) as one:
            task = asyncio.create_task(one.run())
            await until(lambda: logs)
            task.cancel()
    assert [(entry["event"], "imt_" in repr(entry)) for entry in logs] == [("token.not_renewed", False)]


async def test_it_is_time_after_a_month_and_never_later_though_a_clock_was_wrong(tmp_path: Path) -> None:
    state = enrolled(tmp_path, "http://127.0.0.1:1", "imt_old456789")
    now = datetime.now(UTC).timestamp()
    async with renewal(state) as one:
        for days_ago, due_in_days in ((0, 30), (20, 10), (31, 0), (-400, 30)):
            at = now - 86_400 * days_ago
            os.utime(state.enrolment, (at, at))
            assert one._due_in_s() == pytest.approx(86_400 * due_in_days, abs=60)
    assert timedelta(days=30) == EVERY


def test_two_programs_do_not_write_over_each_others_token(tmp_path: Path) -> None:
    state = enrolled(tmp_path, "http://127.0.0.1:1", "imt_old456789")
    assert not enrolment.change(state, SecretStr("imt_another00"), {"token": SecretStr("imt_third000")})
    assert token_of(state) == "imt_old456789"
    assert enrolment.change(state, SecretStr("imt_old456789"), {"token": SecretStr("imt_third000")})
    assert token_of(state) == "imt_third000"
