"""The cgminer interface on TCP 4028: JSON commands, joined commands, and the plain-text form of old tools.

A request has no end mark: JSON is whole when it parses, plain text when it is there. The firmware closes
the connection after its answer.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, Final

from agent.simulator.conversation import Conversation
from agent.simulator.delivery import Answer
from agent.simulator.machine import Dialect, Machine, Request

_INVALID_COMMAND = (14, "Invalid command")
_INVALID_JSON = (23, "Invalid JSON")
_NO_COMMAND = (24, "Missing JSON 'command'")
_NUMBERED: Final = {"POOLS": "POOL", "DEVS": "ASC", "STATS": "STATS", "DEVDETAILS": "DEVDETAILS"}
"""Sections whose entries begin with their number in the plain-text form: `POOL=0,URL=…`."""


class RpcConversation(Conversation):
    """One request, one answer, closed."""

    def next_answer(self, machine: Machine, now: datetime) -> Answer | None:
        text = bytes(self.received).strip(b"\0\r\n\t ")
        if not text:
            return None
        dialect = machine.firmware.dialect
        if not text.startswith(b"{"):
            body = _as_text(_answer(machine, _from_text(text), now))
        else:
            try:
                request = json.loads(text)
            except (ValueError, RecursionError):
                if not self.is_ended:
                    return None  # the rest may still come
                body = _error(dialect, _INVALID_JSON, now)
            else:
                body = _answer(machine, request, now)
        self.received.clear()
        return Answer(body, lambda _: (b"", dialect.terminator), closes=True)


def _answer(machine: Machine, request: Request, now: datetime) -> bytes:
    firmware, dialect = machine.firmware, machine.firmware.dialect
    command = request.get("command", request.get("cmd"))
    if not isinstance(command, str):
        return _error(dialect, _NO_COMMAND, now)
    if "+" not in command or not dialect.multicommand:
        body = firmware.rpc(request, now)
        return _error(dialect, _INVALID_COMMAND, now) if body is None else body
    parts = []
    for name in dict.fromkeys(filter(None, command.split("+"))):
        body = firmware.rpc({**request, "command": name}, now)
        parts.append(b'"%s":[%s],' % (name.encode(), _error(dialect, _INVALID_COMMAND, now) if body is None else body))
    return b'{%s"id":1}' % b"".join(parts)


def _error(dialect: Dialect, error: tuple[int, str], now: datetime) -> bytes:
    code, message = error
    if dialect.flat_errors:
        status = {"STATUS": "E", "When": int(now.timestamp()), "Code": code, "Msg": "invalid cmd"}
        return json.dumps({**status, "Description": dialect.description}).encode()
    status = {"STATUS": "E", "When": int(now.timestamp()), "Code": code, "Msg": message}
    return json.dumps({"STATUS": [{**status, "Description": dialect.description}], "id": 1}).encode()


def _from_text(text: bytes) -> Request:
    """`command|parameter`, as `echo -n 'stats|0' | nc` sends it."""
    command, bar, parameter = text.decode(errors="replace").partition("|")
    return {"command": command, "parameter": parameter} if bar else {"command": command}


def _as_text(body: bytes) -> bytes:
    """The plain-text form of a JSON answer: `STATUS=S,…|SUMMARY,Elapsed=…|`, the status first."""
    try:
        document = json.loads(body)
    except ValueError:
        return body  # a recording may hold what firmware said in its own words
    sections = []
    for name in sorted((name for name in document if name != "id"), key=lambda name: name != "STATUS"):
        content = document[name]
        if not isinstance(content, list):  # Whatsminer's flat answers: "STATUS": "S", "Msg": {…}
            content = [{name: content}]
        sections += [_section(name, entry) for entry in content]
    return "".join(f"{section}|" for section in sections).encode()


def _section(name: str, entry: dict[str, Any]) -> str:
    first = "STATUS" if name == "STATUS" else _NUMBERED.get(name, "")
    keys = sorted(entry, key=lambda key: key != first)
    pairs = [f"{key}={_escaped(entry[key])}" for key in keys]
    return ",".join(pairs if first in entry else [name, *pairs])


def _escaped(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return "".join(f"\\{letter}" if letter in "\\|,=" else letter for letter in text)
