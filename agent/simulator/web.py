"""The machine's web pages: HTTP/1.1, keep-alive, digest where the firmware asks for it.

Written on the bare connection and not on a web framework: a broken machine breaks the protocol itself
(half a head, a body that never ends), which a framework rightly does not let one do.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from http import HTTPStatus
from typing import Final

from agent.simulator.conversation import Conversation
from agent.simulator.delivery import Answer
from agent.simulator.digest import challenge, is_authorised
from agent.simulator.faults import Fault
from agent.simulator.machine import Machine, WebAnswer, WebRequest

_PHRASES: Final = {status.value: status.phrase for status in HTTPStatus}
_OUR_HEADERS: Final = frozenset({"connection", "content-length", "transfer-encoding"})


class WebConversation(Conversation):
    """Requests are answered in order; `Connection: close` and HTTP/1.0 end it."""

    def next_answer(self, machine: Machine, now: datetime) -> Answer | None:
        head, blank, rest = bytes(self.received).partition(b"\r\n\r\n")
        if not blank:
            return None
        parsed = _parse(head)
        if parsed is None:
            self.received.clear()
            return _framed(WebAnswer(400, b"Bad Request"), is_head=False, closes=True)
        method, target, version, headers = parsed
        length = headers.get("content-length", "0")
        if not length.isdigit() or "transfer-encoding" in headers:
            self.received.clear()
            return _framed(WebAnswer(411, b"Length Required"), is_head=False, closes=True)
        if len(rest) < int(length):
            return None
        self.received[:] = rest[int(length) :]
        request = WebRequest(method, target, headers, rest[: int(length)])
        closes = version == "HTTP/1.0" or headers.get("connection", "").lower() == "close"
        return _framed(_answer(machine, request, now), is_head=method == "HEAD", closes=closes)


def _answer(machine: Machine, request: WebRequest, now: datetime) -> WebAnswer:
    login = machine.firmware.login
    if machine.faults.active(Fault.REDIRECT, now):
        return WebAnswer(302, headers={"Location": f"http://{machine.address}{request.path}?again"})
    if login is not None and not is_authorised(login, request, now):
        return WebAnswer(401, b"401 Unauthorized", {"WWW-Authenticate": challenge(login, now)})
    return machine.firmware.web(request, now) or WebAnswer(404, b"404 Not Found")


def _parse(head: bytes) -> tuple[str, str, str, Mapping[str, str]] | None:
    """Method, target, version, headers; None when this is no HTTP."""
    lines = head.decode("latin-1").split("\r\n")
    words = lines[0].split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/1."):
        return None
    pairs = (line.partition(":") for line in lines[1:])
    return words[0], words[1], words[2], {name.strip().lower(): value.strip() for name, _, value in pairs}


def _framed(answer: WebAnswer, *, is_head: bool, closes: bool) -> Answer:
    def envelope(length: int) -> tuple[bytes, bytes]:
        size = len(answer.body) if is_head else length
        lines = [f"HTTP/1.1 {answer.status} {_PHRASES.get(answer.status, 'Unknown')}"]
        lines += [f"{name}: {value}" for name, value in answer.headers.items() if name.lower() not in _OUR_HEADERS]
        lines += [f"Content-Length: {size}", f"Connection: {'close' if closes else 'keep-alive'}"]
        return "\r\n".join([*lines, "", ""]).encode("latin-1"), b""

    return Answer(b"" if is_head else answer.body, envelope, closes)
