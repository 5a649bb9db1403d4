"""Enrolment: one code, one token, a key that stays; and what is said when it does not go well."""

from __future__ import annotations

import json
import stat
from collections.abc import AsyncIterator, Callable
from importlib.metadata import version
from pathlib import Path

import pytest
from aiohttp import web

from agent.enrolment import State, enroll, load
from agent.errors import AgentError, DiskTrouble, Misconfigured, Rejected, RetryLater
from agent.keyring import Keyring
from tests.agent.backend import Backend, problem, says, serving
from tests.agent.certificates import self_signed


@pytest.fixture
async def backend() -> AsyncIterator[Backend]:
    async with serving(Backend()) as made:
        yield made


@pytest.fixture
def state(tmp_path: Path) -> State:
    return State(tmp_path / "state")


async def test_a_code_is_traded_for_a_token_that_only_the_agent_reads(backend: Backend, state: State) -> None:
    enrolment = await enroll(state, f"{backend.url}/", " CODE-1 ")
    assert backend.enrolments == [{"code": "CODE-1", "agent": version("itsminer"), "contract": 1}]
    assert load(state) == enrolment
    assert (enrolment.url, enrolment.site, enrolment.site_name) == (backend.url, "sit_0000000000000001", "North hall")
    assert enrolment.token.get_secret_value() == "tok_0123456789abcdef"
    assert stat.S_IMODE(state.folder.stat().st_mode) == 0o700
    assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in state.folder.iterdir()} == {
        "enrolment.json": 0o600,
        "site.key": 0o600,
    }


async def test_the_token_shows_in_no_repr(backend: Backend, state: State) -> None:
    assert "tok_" not in repr(await enroll(state, backend.url, "CODE"))


async def test_the_key_never_leaves_the_site(backend: Backend, state: State) -> None:
    await enroll(state, backend.url, "CODE")
    assert state.key.read_text().strip() not in json.dumps([backend.enrolments, backend.requests])


async def test_an_enrolled_site_is_not_enrolled_again_by_mistake(backend: Backend, state: State) -> None:
    await enroll(state, backend.url, "CODE")
    before = state.enrolment.read_bytes()
    with pytest.raises(Misconfigured, match="--again"):
        await enroll(state, backend.url, "CODE-2")
    assert state.enrolment.read_bytes() == before
    assert len(backend.enrolments) == 1


async def test_enrolling_again_keeps_the_key_and_so_every_pseudonym(backend: Backend, state: State) -> None:
    await enroll(state, backend.url, "CODE")
    before = Keyring.load(state.key).pseudonym("mnr", "x")
    granted = {"account": "acc_2", "site": "sit_2", "site_name": "", "token": "tok_another", "contract": 1}
    backend.answers = [lambda: web.json_response(granted, status=201)]
    assert (await enroll(state, backend.url, "CODE-2", again=True)).site == "sit_2"
    assert Keyring.load(state.key).pseudonym("mnr", "x") == before
    assert load(state).token.get_secret_value() == "tok_another"


@pytest.mark.parametrize(
    ("answer", "error", "message"),
    [
        (problem(404, "this code is not known"), Rejected, "did not take the code: this code is not known"),
        (problem(410, "this code has expired"), Rejected, "expired"),
        (problem(401, "this code has been used"), Rejected, "used"),
        (problem(422, "contract 1 is too old"), Rejected, "too old"),
        (problem(429, "10 tries a minute"), Rejected, "the code is still good"),
        (says(404, "not found"), Rejected, "check --backend"),
        (says(301, Location="https://x.example"), Rejected, "redirects elsewhere"),
        (says(503), Rejected, "trouble of its own"),
        (says(418), Rejected, "418"),
        (says(201, "<html>", "text/html"), Rejected, "no ItsMiner backend"),
        (says(201, '{"account": "a"}', "application/json"), Rejected, "no ItsMiner backend"),
        (
            says(201, json.dumps({"account": "a", "site": "s", "token": "t" * 20, "contract": 2}), "application/json"),
            Rejected,
            "contract 2",
        ),
        (
            says(
                201, json.dumps({"account": "a", "site": "s", "token": "t\r\nX: y", "contract": 1}), "application/json"
            ),
            Rejected,
            "no ItsMiner backend",
        ),
    ],
)
async def test_a_refusal_says_what_to_do_and_leaves_a_state_that_can_be_retried(
    backend: Backend, state: State, answer: Callable[[], web.Response], error: type[AgentError], message: str
) -> None:
    backend.answers = [answer]
    with pytest.raises(error, match=message):
        await enroll(state, backend.url, "CODE")
    assert not state.enrolment.exists()
    key = state.key.read_bytes()
    await enroll(state, backend.url, "CODE")
    assert state.key.read_bytes() == key


async def test_plain_http_is_refused_before_anything_is_sent_or_made(state: State) -> None:
    with pytest.raises(Misconfigured, match="TLS only"):
        await enroll(state, "http://miners.example.com", "CODE")
    assert not state.folder.exists()


async def test_a_backend_that_is_not_there_costs_no_code(state: State) -> None:
    async with serving(Backend()) as gone:
        pass
    with pytest.raises(RetryLater, match="no connection"):
        await enroll(state, gone.url, "CODE")


async def test_a_backend_with_an_authority_of_its_own(tmp_path: Path, state: State) -> None:
    authority, context = self_signed(tmp_path)
    async with serving(Backend(), context) as backend:
        with pytest.raises(RetryLater, match="ca_file"):
            await enroll(state, backend.url, "CODE")
        assert (await enroll(state, backend.url, "CODE", authority)).url == backend.url


async def test_a_disk_that_takes_nothing_is_noticed_before_the_code_is_used_up(
    backend: Backend, tmp_path: Path
) -> None:
    (tmp_path / "state").write_text("a file, not a folder")
    with pytest.raises(DiskTrouble):
        await enroll(State(tmp_path / "state"), backend.url, "CODE")
    assert backend.enrolments == []


async def test_a_key_that_cannot_be_read_is_not_replaced(backend: Backend, state: State) -> None:
    state.folder.mkdir()
    state.key.write_text("damaged")
    state.key.chmod(0o600)
    with pytest.raises(Misconfigured, match="no site key"):
        await enroll(state, backend.url, "CODE")
    assert state.key.read_text() == "damaged"
    assert backend.enrolments == []


def test_no_enrolment_is_said_to_be_none(state: State) -> None:
    with pytest.raises(Misconfigured, match="not enrolled"):
        load(state)


@pytest.mark.parametrize(
    "content", ["", "{}", '{"url": "http://x.example", "account": "a", "site": "s", "token": "t"}']
)
def test_a_damaged_enrolment_is_refused_without_quoting_it(state: State, content: str) -> None:
    state.folder.mkdir()
    state.enrolment.write_text(content)
    state.enrolment.chmod(0o600)
    with pytest.raises(Misconfigured, match="--again"):
        load(state)


async def test_an_enrolment_that_others_may_read_is_refused(backend: Backend, state: State) -> None:
    await enroll(state, backend.url, "CODE")
    state.enrolment.chmod(0o644)
    with pytest.raises(Misconfigured, match="chmod 600"):
        load(state)
