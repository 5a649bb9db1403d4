"""Passwords: the operator's go before the vendor's, and without either none is sent."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from agent.config import Credential
from agent.drivers.logins import Login, Logins
from agent.drivers.registry import engine
from agent.errors import MinerUnreachable, Misconfigured
from agent.simulator.families.kinds import family_machine
from agent.simulator.farm import Farm
from agent.simulator.machine import Login as Asked
from tests import loopback
from tests.agent.drivers.doors import doors, hang, say

ENGINES = ("auto", "asic-rs", "pyasic")
ANTMINER = b'HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Digest realm="antMiner", nonce="n", qop="auth"\r\n'
ANTMINER += b"Content-Length: 0\r\nConnection: close\r\n\r\n"


@dataclass(frozen=True)
class Page:
    """A firmware whose web page asks for another login than the vendor's."""

    firmware: object
    login: Asked

    def __getattr__(self, name: str) -> object:
        return getattr(self.firmware, name)


@pytest.fixture
async def secured() -> AsyncIterator[str]:
    """The address of an Antminer whose operator changed its password."""
    (address,) = loopback.take()
    machine = family_machine("antminer", address, seed=0)
    login = Asked(realm="antMiner Configuration", user="root", password="a better one")
    machine = replace(machine, firmware=Page(machine.firmware, login))  # type: ignore[arg-type]
    async with Farm([machine]).listening() as farm:
        if farm.left_out:
            pytest.skip(f"cannot simulate it here: {farm.left_out}")
        yield address


def credentials(tmp_path: Path, make: str = "Antminer", password: str = "a better one") -> tuple[Credential, ...]:
    (tmp_path / "password").write_text(password + "\n")
    return (Credential(make=make, username="root", password_file=tmp_path / "password"),)


@pytest.mark.parametrize("name", ENGINES)
async def test_a_machine_is_read_with_the_operator_s_login(secured: str, tmp_path: Path, name: str) -> None:
    miner = await engine(name, credentials=credentials(tmp_path)).find(secured)

    assert miner is not None
    assert miner.facts.mac is not None
    assert (await miner.read()).hashrate_ths


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("order", [("an old one", "a better one"), ("a better one", "an old one")])
async def test_of_several_logins_for_a_make_the_one_that_works_is_found_and_kept(
    secured: str, tmp_path: Path, name: str, order: tuple[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    given: list[Credential] = []
    for number, password in enumerate(order):
        (tmp_path / str(number)).mkdir()
        given += credentials(tmp_path / str(number), password=password)
    driver = engine(name, credentials=given)
    for _ in range(2):
        miner = await driver.find(secured)
        assert miner is not None
        assert miner.facts.mac is not None
        assert (await miner.read()).hashrate_ths
    assert not [record for record in caplog.records if "one" in record.getMessage() and "old" in record.getMessage()]


@pytest.mark.parametrize("vendor_passwords", [True, False])
async def test_a_machine_with_a_password_that_we_do_not_have_is_read_without(
    secured: str, vendor_passwords: bool
) -> None:
    miner = await engine(vendor_passwords=vendor_passwords).find(secured)

    assert miner is not None
    assert miner.facts.mac is None
    live = await miner.read()
    assert live.hashrate_ths
    assert live.boards is not None
    assert len(live.boards) == 3
    assert live.fans_rpm is not None


@pytest.mark.parametrize("name", ENGINES)
async def test_no_password_is_sent_that_nobody_allowed(name: str) -> None:
    """Not the vendors' to find out what it is, and not to read it. asic-rs answers the page's question with no name."""
    (address,) = loopback.take()
    version = b'{"STATUS":[{"STATUS":"S"}],"VERSION":[{"Type":"Antminer S19 Pro","Miner":"1","CompileTime":"x"}]}\0'
    async with doors(address, port80=say(ANTMINER), port4028=say(version)) as opened:
        miner = await engine(name).find(address)
        if miner is not None:
            with pytest.raises(Exception):  # noqa: B017, PT011  whatever it makes of such a machine
                await miner.read()

    heard = bytes(opened["port80"].heard).decode()
    assert "GET " in heard
    assert 'username="root"' not in heard
    if name == "pyasic":
        assert "authorization" not in heard.lower()


async def test_vendors_passwords_are_tried_when_the_settings_say_so() -> None:
    (address,) = loopback.take()
    async with doors(address, port80=say(ANTMINER)) as opened:
        with contextlib.suppress(MinerUnreachable):
            await engine("pyasic", vendor_passwords=True).find(address)

    assert 'username="root"' in bytes(opened["port80"].heard).decode()


def test_a_login_shows_in_no_repr(tmp_path: Path) -> None:
    logins = Logins.read(credentials(tmp_path), vendor_passwords=False)

    assert logins.of("AntMiner") == Login("root", "a better one")
    assert "better" not in repr(logins) + repr(logins.of("Antminer"))


@pytest.mark.parametrize(
    ("written", "make"), [("Bitmain", "antminer"), ("BraiinsOS", "braiins"), ("Avalonminer", "avalon")]
)
def test_a_make_is_known_by_its_other_names(tmp_path: Path, written: str, make: str) -> None:
    logins = Logins.read(credentials(tmp_path, make=written), vendor_passwords=False)

    assert logins.may_log_in(make)
    assert not logins.may_log_in("whatsminer")


def test_an_unknown_make_stops_the_start_and_says_which_there_are(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="Antmimer: write one of antminer, auradine"):
        engine(credentials=credentials(tmp_path, make="Antmimer"))


def test_an_unknown_engine_stops_the_start() -> None:
    with pytest.raises(Misconfigured, match="write auto, asic-rs or pyasic"):
        engine("cgminer")


async def test_machines_are_never_asked_through_a_proxy_of_the_environment() -> None:
    """asic-rs would take one: it would learn addresses and passwords of the site."""
    proxy, address = loopback.take(2)
    code = (
        "import asyncio; from agent.drivers.registry import engine\n"
        f"async def main(): return (await engine().find('{address}')).facts.make\n"
        "print(asyncio.run(main()))"
    )
    async with Farm([family_machine("bitaxe", address, seed=0)]).listening(), doors(proxy, port8080=hang) as opened:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", code),
            env={**os.environ, "HTTP_PROXY": f"http://{proxy}:8080", "http_proxy": f"http://{proxy}:8080"},
            stdout=asyncio.subprocess.PIPE,
        )
        out, _ = await process.communicate()

    assert out.decode().strip() == "BitAxe"
    assert opened["port8080"].entered == 0


async def test_the_libraries_tell_the_log_no_address(secured: str, caplog: pytest.LogCaptureFixture) -> None:
    """Even at DEBUG: asic-rs logs whole raw answers there, httpx every URL, pyasic addresses at WARNING."""
    root = logging.getLogger()
    with caplog.at_level(logging.DEBUG, logger=None):
        for name in ("asic-rs", "pyasic"):
            miner = await engine(name, vendor_passwords=True).find(secured)
            if miner is not None:
                await miner.read()
        logging.getLogger("asic_rs_core.util").error("raw answer of %s", secured)

    assert root.handlers
    assert [record.getMessage() for record in caplog.records if secured in record.getMessage()] == []


def test_importing_the_libraries_leaves_the_root_logger_alone() -> None:
    """pyasic calls `logging.basicConfig`: every warning of everybody would appear twice."""
    code = (
        "import logging; import agent.drivers.registry; print(logging.getLogger().handlers, logging.getLogger().level)"
    )
    out = subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning", "-c", code], capture_output=True, text=True
    )

    assert (out.stdout.strip(), out.stderr) == ("[] 30", "")
