"""Who may see the on-site page, and how long guessing takes."""

from __future__ import annotations

import base64
import stat
from pathlib import Path

import pytest

from agent.errors import Misconfigured
from agent.lan.gate import Gate
from agent.lan.password import Password


class Clock:
    now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


def basic(password: str) -> str:
    return "Basic " + base64.b64encode(f"me:{password}".encode()).decode()


@pytest.fixture
def password(tmp_path: Path) -> Password:
    made = Password(tmp_path / "lan-password")
    made.set("correct horse")
    return made


async def status(gate: Gate, said: str | None, address: str = "10.0.0.9") -> int:
    refusal = await gate.refusal(said, address)
    return refusal.status if refusal else 200


def test_the_file_holds_a_hash_and_is_the_agents_own(password: Password, tmp_path: Path) -> None:
    path = tmp_path / "lan-password"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "correct" not in path.read_text()
    assert password.fits("correct horse")
    assert not password.fits("correct horsf")
    before = path.read_text()
    password.set("correct horse")
    assert path.read_text() != before, "salted"


def test_a_short_password_is_refused_and_a_damaged_file_is_named(password: Password, tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="too short"):
        password.set("short")
    for text in ("nonsense", f"scrypt:3:8:5:{'0' * 32}:{'0' * 64}", f"scrypt:16777216:8:5:{'0' * 32}:{'0' * 64}"):
        (tmp_path / "lan-password").write_text(text)
        with pytest.raises(Misconfigured, match="damaged; run: itsminer-agent lan-password"):
            password.fits("correct horse")


async def test_only_the_password_opens(password: Password) -> None:
    gate = Gate(password, (), Clock())
    assert await status(gate, None) == 401
    assert await status(gate, "Bearer correct horse") == 401
    assert await status(gate, "Basic %%%") == 401
    assert await status(gate, basic("wrong")) == 401
    assert await status(gate, basic("correct horse")) == 200
    assert await status(gate, basic("correct horse")) == 200


async def test_a_new_password_counts_at_once_and_the_old_one_no_more(password: Password, tmp_path: Path) -> None:
    gate = Gate(password, (), Clock())
    assert await status(gate, basic("correct horse")) == 200
    password.set("battery staple")
    assert await status(gate, basic("correct horse")) == 401
    assert await status(gate, basic("battery staple")) == 200
    (tmp_path / "lan-password").unlink()
    assert await status(gate, basic("battery staple")) == 401


async def test_whoever_guesses_waits_ever_longer_and_nobody_else_does(password: Password) -> None:
    clock = Clock()
    gate = Gate(password, (), clock)
    assert await status(gate, basic("correct horse"), "10.0.0.1") == 200
    assert [await status(gate, basic("wrong")) for _ in range(3)] == [401, 401, 401]
    assert await status(gate, basic("correct horse")) == 429, "no guess is looked at, or waiting would cost nothing"
    assert await status(gate, basic("correct horse"), "10.0.0.1") == 200
    clock.now_s += 1
    assert await status(gate, basic("wrong")) == 401
    clock.now_s += 1
    assert await status(gate, basic("correct horse")) == 429
    clock.now_s += 1
    assert await status(gate, basic("correct horse")) == 200
    assert await status(gate, basic("wrong")) == 401, "what was wrong before is forgiven"


async def test_a_file_that_is_no_good_opens_for_nobody(password: Password, tmp_path: Path) -> None:
    gate = Gate(password, (), Clock())
    (tmp_path / "lan-password").write_text("nonsense")
    assert await status(gate, basic("correct horse")) == 503


async def test_names_that_others_may_point_at_us_are_not_ours(password: Password) -> None:
    gate = Gate(password, ("Farm.example.com",), Clock())
    for host in ("127.0.0.1:8620", "192.168.1.5", "[::1]:8620", "localhost:8620", "farm.example.com:8620"):
        assert gate.knows_host(host), host
    for host in ("evil.example", "127.0.0.1.evil.example", "farm.example.com.evil.example", "", "a:b:c"):
        assert not gate.knows_host(host), host
