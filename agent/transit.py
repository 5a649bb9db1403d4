"""How the agent talks to its backend: TLS only, certificates verified, no redirects, answers of bounded size."""

from __future__ import annotations

import ipaddress
import re
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
from pydantic import BaseModel, ValidationError

from agent.errors import Misconfigured, RetryLater

MOST_ANSWER_BYTES: Final = 65_536
"""Of an answer no more is read: ours are a few hundred bytes."""

_CONNECT_S: Final = 10
_WHOLE_S: Final = 60


class Answer(NamedTuple):
    """Status, headers and the (bounded) body of an HTTP answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def checked_url(url: str) -> str:
    """The backend's base URL without a trailing slash.

    Raises `ValueError` for anything that is not `https://host…`; plain HTTP is taken to this machine itself only.
    """
    try:
        parts = urlsplit(url.strip())
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise ValueError(f"not a URL: {error}") from error
    if not host or parts.query or parts.fragment or parts.username or parts.password:
        raise ValueError("must look like https://miners.example.com")
    if parts.scheme == "http" and not is_loopback(host):
        raise ValueError("plain http is refused: readings travel by TLS only, write https://…")
    if parts.scheme not in ("http", "https"):
        raise ValueError("must begin with https://")
    return url.strip().rstrip("/")


def is_loopback(host: str) -> bool:
    """Whether a host is this machine itself."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


_SYSTEM: Final = ssl.get_default_verify_paths()
_PROXIES: Final = getproxies()
"""Both asked at once: `agent.drivers.authorities` and `agent.drivers.fence` point the libraries elsewhere."""


def tls(ca_file: Path | None) -> ssl.SSLContext:
    """Verify certificates and host names, against the operator's own authorities alone if a file is given."""
    try:
        if ca_file:
            return ssl.create_default_context(cafile=str(ca_file))
        return ssl.create_default_context(cafile=_SYSTEM.cafile, capath=_SYSTEM.capath)
    except (OSError, ssl.SSLError) as error:
        raise Misconfigured(f"backend.ca_file {ca_file} holds no certificates: {error.strerror or error}") from error


def _proxy(url: str) -> str | None:
    """The environment's for this URL; none for plain http, which does not leave the machine."""
    parts = urlsplit(url)
    if parts.scheme != "https" or proxy_bypass(parts.hostname or "", _PROXIES):
        return None
    return _PROXIES.get("https")


@asynccontextmanager
async def session(
    url: str, ca_file: Path | None = None, timeout_s: float = _WHOLE_S
) -> AsyncIterator[aiohttp.ClientSession]:
    """A client session that follows these rules; no cookies are kept.

    A proxy of the environment is used for https (it tunnels), never for plain http, which must not leave the machine.
    """
    connector = aiohttp.TCPConnector(ssl=tls(ca_file), limit=2)
    timeout = aiohttp.ClientTimeout(total=timeout_s, sock_connect=_CONNECT_S)
    async with aiohttp.ClientSession(
        connector=connector,
        timeout=timeout,
        proxy=_proxy(url),
        auto_decompress=False,  # none is asked for, and a small answer must not unpack to a large one
        headers={"User-Agent": f"itsminer-agent/{version('itsminer')}", "Accept-Encoding": "identity"},
        cookie_jar=aiohttp.DummyCookieJar(),
    ) as made:
        yield made


async def post(client: aiohttp.ClientSession, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
    """One POST, no redirect followed. Raises `RetryLater` when there is no whole answer, whatever the reason."""
    try:
        async with client.post(url, data=body, headers=headers, allow_redirects=False) as answer:
            return Answer(answer.status, answer.headers, await _bounded(answer.content))
    except TimeoutError as error:
        raise RetryLater("the backend did not answer in time") from error
    except aiohttp.ClientConnectorCertificateError as error:
        raise RetryLater(
            f"the backend's certificate is not trusted ({_verdict(error.certificate_error)}); "
            "if it has an authority of its own, name that in backend.ca_file"
        ) from error
    except aiohttp.ClientConnectorDNSError as error:
        raise RetryLater("the backend's name cannot be resolved") from error
    except aiohttp.ClientSSLError as error:
        raise RetryLater("the backend does not speak TLS as it should") from error
    except aiohttp.ClientConnectorError as error:
        raise RetryLater(f"no connection to the backend: {error.os_error.strerror or 'refused'}") from error
    except (aiohttp.ClientError, OSError) as error:
        raise RetryLater(f"the connection to the backend broke ({type(error).__name__})") from error


async def _bounded(content: aiohttp.StreamReader) -> bytes:
    """The body; of a longer one than ours ever are, nothing."""
    body = bytearray()
    async for chunk in content.iter_any():
        body += chunk
        if len(body) > MOST_ANSWER_BYTES:
            return b""
    return bytes(body)


def _verdict(error: Exception) -> str:
    return getattr(error, "verify_message", "") or type(error).__name__


class _Problem(BaseModel):
    """What we read of an RFC 9457 error."""

    type: str = ""
    title: str = ""
    detail: str = ""


def problem_kind(answer: Answer) -> str:
    """What programs know a problem+json answer by: the last word of its type; else empty."""
    found = _problem(answer)
    return found.type.rpartition(":")[2].rpartition("/")[2] if found else ""


def problem(answer: Answer) -> str:
    """The reason that a problem+json answer gives, in one line of at most 300 plain characters; else empty."""
    found = _problem(answer)
    if found is None:
        return ""
    text = " ".join(re.sub(r"[^\x20-\x7e]+", " ", found.detail or found.title).split())
    return text[:300]


def said(answer: Answer) -> str:
    """What the backend answered, and why, for people."""
    reason = problem(answer)
    return f"the backend answered {answer.status}{f': {reason}' if reason else ''}"


def _problem(answer: Answer) -> _Problem | None:
    if not answer.headers.get("Content-Type", "").startswith("application/problem+json"):
        return None
    try:
        return _Problem.model_validate_json(answer.body)
    except ValidationError:
        return None
