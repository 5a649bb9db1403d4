"""Whatsminer's version 3 interface on TCP 4433: 4-byte little-endian length + JSON, both ways, any number of times."""

from __future__ import annotations

import json
import struct
from datetime import datetime
from typing import Any

from agent.simulator.conversation import MAX_REQUEST_BYTES, Conversation
from agent.simulator.delivery import Answer
from agent.simulator.machine import Machine, Request

STATUS = "get.miner.status"
_LENGTH = struct.Struct("<I")


class V3Conversation(Conversation):
    """Requests are answered in order; the connection stays open."""

    def next_answer(self, machine: Machine, now: datetime) -> Answer | None:
        if len(self.received) < _LENGTH.size:
            return None
        (length,) = _LENGTH.unpack_from(self.received)
        end = _LENGTH.size + length
        if length <= MAX_REQUEST_BYTES and len(self.received) < end:
            return None
        text = bytes(self.received[_LENGTH.size : end])
        del self.received[:end]
        return Answer(_answer(machine, text, now), lambda size: (_LENGTH.pack(size), b""), closes=False)


def _answer(machine: Machine, text: bytes, now: datetime) -> bytes:
    try:
        request = json.loads(text)
    except (ValueError, RecursionError):
        return _error("invalid json", now)
    if not isinstance(request, dict) or not isinstance(request.get("cmd"), str):
        return _error("invalid command", now)
    param = request.get("param")
    body = machine.firmware.v3(request, now)
    if body is None and request["cmd"] == STATUS and isinstance(param, str) and "+" in param:
        return _merged(machine, request, param.split("+"), now)
    return _error("invalid command", now) if body is None else body


def _merged(machine: Machine, request: Request, params: list[str], now: datetime) -> bytes:
    """`summary+pools`: one answer that holds what each of them answers."""
    merged: dict[str, Any] = {}
    message: dict[str, Any] = {}
    for param in params:
        body = machine.firmware.v3({**request, "param": param}, now)
        if body is None:
            return _error("invalid param", now)
        merged = json.loads(body)
        message |= merged["msg"] if isinstance(merged["msg"], dict) else {}
    return json.dumps({**merged, "msg": message}).encode()


def _error(message: str, now: datetime) -> bytes:
    return json.dumps({"code": -2, "when": int(now.timestamp()), "msg": message, "desc": ""}).encode()
