"""Who a machine is: its MAC, else its serial number, else its address; each in one form however it was written."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from agent.pools import canonical_address
from agent.reading import Facts

_NO_SERIAL: Final = frozenset(
    str.split(
        "n/a na none null unknown undefined default - serial tobefilledbyo.e.m."
        " 123456 1234567 12345678 123456789 1234567890"
    )
)


def canonical_mac(text: str | None) -> str | None:
    """Twelve lower-case hex digits; None for what is no MAC or one that many machines share (all zero, broadcast)."""
    if not text:
        return None
    text = text.strip().lower().removeprefix("0x")
    parts = re.split(r"[:\-\s]", text)
    if len(parts) == 6 and all(1 <= len(part) <= 2 for part in parts):
        digits = "".join(part.zfill(2) for part in parts)  # some firmware drops leading zeros: 2:0:5e:10:0:1
    else:
        digits = re.sub(r"[:\-.\s_]", "", text)
    if not re.fullmatch("[0-9a-f]{12}", digits) or digits in ("0" * 12, "f" * 12):
        return None
    return digits


def canonical_serial(text: str | None) -> str | None:
    """Upper case without spaces; None for the placeholders that firmware ships with."""
    serial = re.sub(r"\s", "", text or "").upper()
    if serial.lower() in _NO_SERIAL or not re.search("[1-9A-Z]", serial) or re.fullmatch("[0F]+", serial):
        return None
    return serial


@lru_cache(maxsize=32_768)
def canonical_name(text: str) -> str:
    """One form for anything that names a machine: MAC, IP address, else a serial number or host name without case."""
    return canonical_mac(text) or canonical_address(text) or re.sub(r"\s", "", text).rstrip(".").upper()


@lru_cache(maxsize=32_768)
def identity(facts: Facts) -> str:
    """What a machine's pseudonym hangs on: a new address or firmware does not make a new machine.

    Of two machines that claim one MAC the one that was here first keeps the name that it has; the other one is known
    by the MAC together with its serial number, else its address.
    """
    mac, serial, address = canonical_mac(facts.mac), canonical_serial(facts.serial), canonical_name(facts.address)
    if mac and facts.shares_mac:
        return f"{mac}/{serial or address}"
    return mac or serial or address
