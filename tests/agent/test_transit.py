"""TLS only, certificates verified, nothing sent where it does not belong."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from agent import transit
from agent.drivers import fence
from agent.errors import Misconfigured, RetryLater
from tests.agent.backend import Backend, says, serving
from tests.agent.certificates import self_signed


@pytest.mark.parametrize(
    "url", ["https://miners.example.com", "https://miners.example.com:8443/itsminer/", "http://127.0.0.1:8600",
            "http://[::1]:8600", "http://localhost", "http://127.9.9.9/"],
)  # fmt: skip
def test_tls_and_this_machine_itself_are_taken(url: str) -> None:
    assert transit.checked_url(f" {url} ") == url.rstrip("/")


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://miners.example.com", "TLS only"),
        ("http://10.0.0.1", "TLS only"),
        ("http://127.0.0.1.example.com", "TLS only"),
        ("http://localhost.example.com", "TLS only"),
        ("http://2130706433", "TLS only"),
        ("ftp://miners.example.com", "https://"),
        ("miners.example.com", "must look like"),
        ("https://user:secret@miners.example.com", "must look like"),
        ("https://miners.example.com/?a=b", "must look like"),
        ("https://miners.example.com:port", "not a URL"),
        ("https://[::1", "not a URL"),
        ("", "must look like"),
    ],
)
def test_plain_http_and_what_is_no_url_are_refused(url: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        transit.checked_url(url)


async def send(backend: Backend, ca_file: Path | None) -> transit.Answer:
    async with transit.session(backend.url, ca_file, timeout_s=5) as client:
        return await transit.post(client, f"{backend.url}/v1/enroll", b'{"code": "x"}', {})


async def test_an_authority_of_the_operators_own_is_trusted(tmp_path: Path) -> None:
    authority, context = self_signed(tmp_path)
    async with serving(Backend(), context) as backend:
        assert (await send(backend, authority)).status == 201


@pytest.mark.parametrize(
    ("host", "days", "own"), [("127.0.0.1", 1, False), ("elsewhere.example", 1, True), ("127.0.0.1", -1, True)]
)
async def test_a_certificate_that_is_not_right_stops_everything(
    tmp_path: Path, host: str, days: int, own: bool
) -> None:
    authority, context = self_signed(tmp_path, host, days)
    async with serving(Backend(), context) as backend:
        with pytest.raises(RetryLater, match="certificate is not trusted"):
            await send(backend, authority if own else None)
        assert backend.requests == []


async def test_a_server_without_tls_is_said_to_be_one(tmp_path: Path) -> None:
    async with serving(Backend()) as backend:
        backend.url = backend.url.replace("http://", "https://")
        with pytest.raises(RetryLater, match="TLS"):
            await send(backend, None)


async def test_a_name_that_does_not_resolve_is_said() -> None:
    with pytest.raises(RetryLater, match="cannot be resolved"):
        await send(Backend(url="https://miners.invalid"), None)


@pytest.mark.parametrize("content", [None, "no certificate"])
async def test_an_authority_file_without_certificates_is_misconfigured(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "authority.pem"
    if content:
        path.write_text(content)
    with pytest.raises(Misconfigured, match="ca_file"):
        transit.tls(path)


async def test_plain_http_to_this_machine_takes_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(Backend()) as proxy, serving(Backend()) as backend:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        assert (await send(backend, None)).status == 201
        assert proxy.requests == []


async def test_the_proxy_of_the_environment_is_for_the_backend_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Machines are fenced in by a proxy that is none, and the uplink tunnels through the operator's all the same."""
    asked: list[bytes] = []

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readline())
        writer.close()

    async with await asyncio.start_server(proxy, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        monkeypatch.setattr(transit, "_PROXIES", {"https": f"http://127.0.0.1:{port}", "no": "backend.example.com"})
        fence.around(["192.0.2.1"])
        for host in ("miners.example.com", "backend.example.com"):
            url = f"https://{host}:8443"
            async with transit.session(url, timeout_s=5) as client:
                with pytest.raises(RetryLater):
                    await transit.post(client, url, b"", {})

    assert asked == [b"CONNECT miners.example.com:8443 HTTP/1.1\r\n"]


async def test_of_an_endless_answer_nothing_is_kept() -> None:
    async with serving(Backend(answers=[says(200, "x" * 10_000_000)])) as backend:
        assert (await send(backend, None)).body == b""


def test_a_problem_is_told_in_one_plain_bounded_line() -> None:
    def answer(body: bytes, kind: str = "application/problem+json") -> transit.Answer:
        return transit.Answer(400, {"Content-Type": kind}, body)

    assert transit.problem(answer(b'{"title": "No", "detail": "too\\n\\u001b[31m old"}')) == "too [31m old"
    assert transit.problem(answer(b'{"title": "No"}')) == "No"
    assert len(transit.problem(answer(b'{"detail": "' + b"x" * 5_000 + b'"}'))) == 300
    assert transit.problem(answer(b'{"detail": 5}')) == ""
    assert transit.problem(answer(b'{"detail": "x"}', "text/html")) == ""
