"""Machines that replay a recording."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from agent.errors import Misconfigured
from agent.simulator.capture import capture_machine, captures_in, manifest_of
from agent.simulator.identity import Identity
from agent.simulator.machine import Machine, wall_clock
from agent.simulator.names import names_in
from tests import loopback
from tests.agent.simulator.asking import exchange, rpc, v3
from tests.conftest import Simulated


def write_recording(folder: Path, **changes: Any) -> Path:
    """A small recording of a machine that nobody sells, on ports that nobody else uses."""
    manifest: dict[str, Any] = {
        "make": "Example",
        "model": "E1",
        "firmware": "1",
        "ports": {"rpc": 14028, "http": 10080, "whatsminer_v3": 14433},
        "multicommand": True,
        "rpc_terminator": "\0",
        "rpc": {'{"command": "version"}': "version.json", '{"command": "stats", "parameter": "1"}': "one.json"},
        "http": [{"method": "GET", "path": "/info", "status": 200, "headers": {"X-Me": "@@IP@@"}, "body": "info.json"}],
        "whatsminer_v3": {'{"cmd": "get.miner.status", "param": "summary"}': "summary.json"},
        "expected": {},
    }
    folder.mkdir()
    (folder / "manifest.json").write_text(json.dumps(manifest | changes))
    (folder / "version.json").write_text('{"VERSION":[{"MAC":"@@MACNS@@","NAME":"@@HOST@@","X":"@@UNKNOWN@@"}]}\n')
    (folder / "one.json").write_text('{"one":1}')
    (folder / "info.json").write_text('{"stratumUser":"operator.@@WORKER@@","ssid":"cellar-wlan","sn":"ABC123"}')
    (folder / "summary.json").write_text('{"code":0,"msg":{"summary":{"elapsed":5}}}')
    return folder


async def test_every_answer_of_every_recording_is_byte_true(simulated: Simulated, captures: Path) -> None:
    folders = captures_in(captures)
    farm = await simulated(*folders, seed=40)
    for seed, (machine, folder) in enumerate(zip(farm.machines, folders, strict=True), 40):
        manifest = manifest_of(folder)
        for request, name in manifest.rpc.items():
            answer = await exchange(machine.address, 4028, request.encode())
            wanted = filled((folder / name).read_bytes(), Identity.of(seed, machine.address))
            assert answer == wanted + manifest.rpc_terminator.encode(), (folder.name, request)
        login = manifest.http_auth
        digest = () if login is None else (aiohttp.DigestAuthMiddleware(login.user, login.password),)
        async with aiohttp.ClientSession(middlewares=digest) as session:
            for page in manifest.http:
                url = f"http://{machine.address}{page.path}"
                async with session.request(page.method, url, allow_redirects=False) as answer_:
                    wanted = (folder / page.body).read_bytes() if page.body else b""
                    assert answer_.status == page.status
                    assert await answer_.read() == filled(wanted, Identity.of(seed, machine.address))
                    for header, value in page.headers.items():
                        assert answer_.headers[header] == value.replace("@@IP@@", machine.address)


def filled(text: bytes, identity: Identity) -> bytes:
    values = {"IP": identity.address, "MAC": identity.mac, "MACNS": identity.mac_bare, "SERIAL": identity.serial}
    values |= {"HOST": identity.host, "WORKER": identity.worker}
    for name, value in values.items():
        text = text.replace(f"@@{name}@@".encode(), value.encode())
    return text


async def test_a_recording_answers_on_the_ports_that_its_manifest_names(simulated: Simulated, tmp_path: Path) -> None:
    farm = await simulated(write_recording(tmp_path / "example"))
    machine = farm.machines[0]
    assert machine.family == "example"
    assert await exchange(machine.address, 14028, b'{"command":"stats","parameter":"1"}') == b'{"one":1}\0'
    joined = json.loads((await exchange(machine.address, 14028, b'{"command":"version+nothing"}')).rstrip(b"\0"))
    assert joined["version"][0]["VERSION"][0]["X"] == "@@UNKNOWN@@"
    assert joined["nothing"][0]["STATUS"][0]["STATUS"] == "E"
    page = await exchange(machine.address, 10080, b"GET /info?x=1 HTTP/1.0\r\n\r\n")
    assert f"X-Me: {machine.address}\r\n".encode() in page


async def test_a_recording_may_hold_what_nobody_expected(simulated: Simulated, tmp_path: Path) -> None:
    folder = write_recording(
        tmp_path / "odd",
        notes="recorded at night",
        rpc={'{"command": "version"}': "words.txt"},
        http=[{"method": "GET", "path": "/", "status": 799, "headers": {"Content-Length": "5"}, "body": "words.txt"}],
    )
    (folder / "words.txt").write_text("no JSON at all")
    farm = await simulated(folder)
    assert await exchange(farm.machines[0].address, 14028, b"version") == b"no JSON at all\0"
    page = await exchange(farm.machines[0].address, 10080, b"GET / HTTP/1.0\r\n\r\n")
    assert page.startswith(b"HTTP/1.1 799 Unknown\r\nContent-Length: 14\r\n")


def test_names_are_found_by_their_field_and_by_their_shape() -> None:
    answer = {
        "SerialNumber": "LX0000001",
        "psu-serial": "P-0000002",
        "miner_id": "abcdef012345",
        "pcbsn1": "PCB000003",
        "note": "eth0 02-11-22-33-44-55 via 192.168.4.17, DNS 9.9.9.9",
        "gateway": "10.1.2.3",
        "version": "1.2.3.4",
        "stratumURL": "eu.stratum.slushpool.com",
        "url": "stratum+tcp://acme.antpool.com:443",
        "username": "acme.cellar-17",
        "worker": "root",
        "model": "S19",
        "hostname": "Antminer",
    }
    assert set(names_in([json.dumps(answer).encode(), b"no JSON"])) == {
        "LX0000001",
        "P-0000002",
        "abcdef012345",
        "PCB000003",
        "02-11-22-33-44-55",
        "192.168.4.17",
        "10.1.2.3",
        "acme.antpool.com",
        "stratum+tcp://acme.antpool.com:443",
        "acme.cellar-17",
        "cellar-17",
    }


async def test_an_error_of_a_recording_is_of_its_make(simulated: Simulated, captures: Path) -> None:
    farm = await simulated(captures / "whatsminer_m20s_20210322", captures / "avalon_1566_24102401")
    whatsminer, avalon = [await rpc(machine.address, "nothing") for machine in farm.machines]
    assert (whatsminer["STATUS"], whatsminer["Description"]) == ("E", "whatsminer v1.4.0")
    assert (avalon["STATUS"][0]["STATUS"], avalon["STATUS"][0]["Description"]) == ("E", "cgminer 4.11.1")


async def test_firmware_ignores_parameters_that_a_command_does_not_take(simulated: Simulated, captures: Path) -> None:
    farm = await simulated(captures / "avalon_1566_24102401", captures / "antminer_s19pro_stock-2022-12")
    avalon, antminer = (machine.address for machine in farm.machines)
    assert (await rpc(avalon, "version", parameter="0"))["VERSION"][0]["MODEL"] == "15-194"
    old, new = await rpc(antminer, "stats"), await rpc(antminer, "stats", new_api=True)
    assert len(old["STATS"]) == 2
    assert "chain" in new["STATS"][0]


async def test_joined_parameters_of_version_3_merge(simulated: Simulated, tmp_path: Path) -> None:
    folder = write_recording(
        tmp_path / "v3",
        ports={"whatsminer_v3": 4433},
        whatsminer_v3={
            '{"cmd": "get.miner.status", "param": "summary"}': "summary.json",
            '{"cmd": "get.miner.status", "param": "pools"}': "pools.json",
        },
    )
    (folder / "pools.json").write_text('{"code":0,"msg":{"pools":[]}}')
    farm = await simulated(folder)
    (answer,) = await v3(farm.machines[0].address, {"cmd": "get.miner.status", "param": "summary+pools"})
    assert answer == {"code": 0, "msg": {"summary": {"elapsed": 5}, "pools": []}}


def test_identifiers_are_what_was_planted_and_what_the_files_hold(tmp_path: Path) -> None:
    machine = capture_machine(write_recording(tmp_path / "example"), "127.77.0.9", 7)
    identity = Identity.of(7, "127.77.0.9")
    assert set(machine.identifiers) == {
        "127.77.0.9",
        identity.mac,
        identity.mac_bare,
        identity.host,
        identity.worker,
        f"operator.{identity.worker}",
        "cellar-wlan",
        "ABC123",
    }


def test_known_names_of_the_recordings_are_among_the_identifiers(captures: Path) -> None:
    expected = {
        "antminer_s19pro_stock-2022-12": {"HASH01", "8144d5ca79104814", "pool2.example.com"},
        "avalon_1566_24102401": {"020100008c699117"},
        "bitaxe_supra_2.0": {"btc.example.pool", "btc2.example.pool"},
        "whatsminer_m20s_20210322": {"H5M14S69129A17K10058", "HP5A01-19101436", "stratum+tcp://btc3.example.pool:3333"},
    }
    for seed, (name, names) in enumerate(expected.items()):
        held = capture_machine(captures / name, "127.77.0.9", seed).identifiers
        assert names <= set(held), name
        assert not {"operator", "root", "Antminer", "Test", "btc.global.luxor.tech"} & set(held), name


def test_two_machines_of_one_recording_carry_different_names(captures: Path) -> None:
    one, other = (
        capture_machine(captures / "whatsminer_m20s_20210322", address, seed)
        for seed, address in enumerate(["127.77.0.1", "127.77.0.2"])
    )
    planted = [set(machine.identifiers[:6]) for machine in (one, other)]
    assert not planted[0] & planted[1]


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"make": None}, "make: Input should be a valid string"),
        ({"ports": {"telnet": 23}}, "ports.telnet"),
        ({"rpc": {'{"command": "x"}': "../../secret"}}, "rpc"),
        ({"rpc": {'{"command": "x"}': "missing.json"}}, "names missing.json: No such file"),
        ({"rpc": {"version": "version.json"}}, "'version' is no JSON request"),
        ({"http_auth": {"scheme": "basic", "realm": "", "user": "", "password": ""}}, "http_auth.scheme"),
    ],
)
def test_a_manifest_that_cannot_be_used_says_why(tmp_path: Path, changes: dict[str, Any], complaint: str) -> None:
    folder = write_recording(tmp_path / "broken", **changes)
    with pytest.raises(Misconfigured, match=complaint):
        capture_machine(folder, loopback.take()[0], 1)


def test_a_folder_without_recordings_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="holds no capture"):
        captures_in(tmp_path)
    with pytest.raises(Misconfigured, match="is no capture"):
        manifest_of(tmp_path)


def test_a_recording_claims_no_truth(captures: Path) -> None:
    machine: Machine = capture_machine(captures / "bitaxe_supra_2.0", "127.77.0.9", 1)
    assert machine.truth(wall_clock()) is None
