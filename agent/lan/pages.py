"""From what the agent knows to HTML. Everything is escaped; texts of machines have no marks that steer anything."""

from __future__ import annotations

import ipaddress
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from importlib.metadata import version
from typing import Any, Final, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined

from agent import status as statuses
from agent.lan.desk import Content, Seen, Sent
from agent.status import Status
from agent.vault import MachineName, PlainName
from agent.wire import Reading, State

ROWS: Final = 200
"""Machines shown unasked; a search or a link shows the others."""
PARTS: Final = 20
"""Readings or totals of one request, on the page; its own address shows the others."""

_TROUBLE_FIRST: Final = (State.FAULT, State.UNREACHABLE, State.IDLE, State.PAUSED, State.HASHING)

Name = MachineName | PlainName
Names = Callable[[str], Name | None]

_TEMPLATES: Final = Environment(
    loader=PackageLoader("agent.lan"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_TEMPLATES.globals |= {"ago": statuses.ago, "version": version("itsminer")}


class Row(NamedTuple):
    """One machine in the list: what it is called here and in the world, and how it does."""

    pseudonym: str
    address: str
    hostname: str
    mac: str
    serial: str
    model: str
    workers: str
    state: State
    time: datetime

    def has(self, words: list[str]) -> bool:
        """Whether every word is somewhere in it; a MAC may be written in any way."""
        text = " ".join(map(str, self)).lower()
        return all(word in text or _bare(word) in _bare(self.mac) for word in words)


class Look(NamedTuple):
    """What every page shows around itself."""

    status: Status
    now: datetime
    form_token: str


def rows(machines: Mapping[str, Seen], names: Names) -> list[Row]:
    """Every machine, those in trouble first, then by address."""
    made = [_row(pseudonym, seen, names(pseudonym)) for pseudonym, seen in machines.items()]
    return sorted(made, key=lambda row: (_TROUBLE_FIRST.index(row.state), _by_address(row.address)))


def overview(look: Look, machines: Mapping[str, Seen]) -> str:
    """The first page: how the agent does."""
    states = Counter(seen.state for seen in machines.values())
    return _render(
        "status.html",
        look,
        lines=statuses.lines(look.status, look.now),
        states=[(state, states[state]) for state in State if states[state]],
    )


def listed(look: Look, found: list[Row], *, asked: str, everything: bool) -> str:
    """The list of machines that a search found."""
    shown = found if everything else found[:ROWS]
    return _render("machines.html", look, rows=shown, found=len(found), asked=asked)


def search(all_rows: list[Row], asked: str) -> list[Row]:
    """The machines in which every word of a search is."""
    words = asked.lower().split()
    return [row for row in all_rows if row.has(words)] if words else all_rows


def one(look: Look, pseudonym: str, seen: Seen | None, name: Name, names: Names) -> str:
    """What stands behind a pseudonym, and of a machine what it said last."""
    reading = seen.told if seen else None
    return _render(
        "machine.html",
        look,
        pseudonym=pseudonym,
        title=_title(name),
        link=_link(name),
        facts=[(label, _printable(value)) for label, value in _facts(name) if value],
        reading=reading,
        figures=_figures(reading) if reading else [],
        boards=_boards(reading) if reading else [],
        pools=_pools(reading, names) if reading else [],
        leaves=json.dumps(json.loads(seen.reading), indent=2) if seen else "",
    )


def unknown(look: Look, pseudonym: str) -> str:
    """A pseudonym that this site does not know."""
    return _render("unknown.html", look, pseudonym=pseudonym)


def sent(look: Look, requests: Iterable[tuple[Sent, Content]]) -> str:
    """The last requests, as they left."""
    shown = [
        {
            "id": request.id,
            "at": request.at,
            "tries": request.tries,
            "what": _counted(content),
            "count": len(content.readings) + len(content.totals),
            "packed_kb": f"{len(request.body) / 1_000:.1f}",
            "kb": f"{len(content.text) / 1_000:.1f}",
            "envelope": json.dumps(content.envelope, indent=2),
            "parts": _parts(content)[:PARTS],
        }
        for request, content in requests
    ]
    return _render("sent.html", look, requests=shown)


def _counted(content: Content) -> str:
    counts = ((len(content.readings), "reading"), (len(content.totals), "total"))
    return " and ".join(f"{count} {word}{'s' if count != 1 else ''}" for count, word in counts if count) or "nothing"


def _parts(content: Content) -> list[tuple[str, str]]:
    """What each reading or total is called here, and its text."""
    named = [(f"Reading {number}", one) for number, one in enumerate(content.readings, start=1)]
    named += [(_group(total), total) for total in content.totals]
    return [(name, json.dumps(one, indent=2)) for name, one in named]


def _group(total: Mapping[str, Any]) -> str:
    model = " ".join(str(total[name]) for name in ("make", "model") if name in total)
    return f"Total of {total['machines']} machines, {model or 'the whole site'}"


def _render(template: str, look: Look, **values: Any) -> str:
    return _TEMPLATES.get_template(template).render(
        status=look.status, now=look.now, form_token=look.form_token, **values
    )


def _row(pseudonym: str, seen: Seen, name: Name | None) -> Row:
    facts = seen.facts
    workers = ", ".join(name.workers) if isinstance(name, MachineName) else ""
    return Row(
        pseudonym=pseudonym,
        address=_printable(facts.address),
        hostname=_printable(facts.hostname or ""),
        mac=_printable(facts.mac or ""),
        serial=_printable(facts.serial or ""),
        model=_printable(" ".join(filter(None, (facts.make, facts.model)))),
        workers=_printable(workers),
        state=seen.state,
        time=seen.time,
    )


def _title(name: Name) -> str:
    if isinstance(name, PlainName):
        return _printable(name.value)
    return _printable(name.hostname or name.address)


def _link(name: Name) -> str:
    """The miner's own page; only at an address, so that no text of a machine leads anywhere."""
    if isinstance(name, PlainName):
        return ""
    try:
        address = ipaddress.IPv4Address(name.address)
    except ValueError:
        return ""
    return f"http://{address}/"


def _facts(name: Name) -> list[tuple[str, str | None]]:
    if isinstance(name, PlainName):
        return [(name.kind, name.value)]
    return [
        ("Address", name.address),
        ("MAC", name.mac),
        ("Serial", name.serial),
        ("Host name", name.hostname),
        ("Make", name.make),
        ("Model", name.model),
        ("Firmware", name.firmware),
        ("Worker", ", ".join(name.workers)),
    ]


def _figures(reading: Reading) -> list[tuple[str, str]]:
    chips, boards = reading.chip_temp_c, reading.board_temp_c
    fans = ", ".join(map(str, reading.fans_rpm or ()))
    shares = reading.shares_accepted
    said = [
        ("Hashrate", _unit(reading.hashrate_ths, "TH/s", 2)),
        ("Expected", _unit(reading.expected_ths, "TH/s", 2)),
        ("Power", _unit(reading.power_w, "W", 0)),
        ("Efficiency", _unit(reading.efficiency_j_per_th, "J/TH", 1)),
        ("Hottest chip", _unit(chips, "°C", 0)),
        ("Hottest board", _unit(boards, "°C", 0)),
        ("Inlet", _unit(reading.inlet_temp_c, "°C", 0)),
        ("Fans", f"{fans} rpm" if fans else ""),
        ("Up for", "" if reading.uptime_s is None else _span(reading.uptime_s)),
        ("Shares", "" if shares is None else f"{shares:,} accepted, {reading.shares_rejected or 0:,} rejected"),
        ("Faults", ", ".join(reading.fault_codes or ())),
        ("Power mode", reading.power_mode or ""),
        ("Answered in", _unit(reading.read_ms, "ms", 0)),
    ]
    return [(label, value) for label, value in said if value]


def _boards(reading: Reading) -> list[list[str]]:
    return [
        [
            str(board.index),
            _unit(board.hashrate_ths, "TH/s", 2),
            _unit(board.chip_temp_c, "°C", 0),
            _unit(board.board_temp_c, "°C", 0),
            "" if board.chips_working is None else f"{board.chips_working} of {board.chips_expected or '?'}",
            _unit(board.frequency_mhz, "MHz", 0),
        ]
        for board in reading.boards or ()
    ]


def _pools(reading: Reading, names: Names) -> list[tuple[str, str, str]]:
    def real(pseudonym: str | None) -> str:
        name = names(pseudonym) if pseudonym else None
        return _printable(name.value) if isinstance(name, PlainName) else pseudonym or ""

    words = {True: "in use", False: "", None: ""}
    return [
        (
            real(pool.host),
            ".".join(filter(None, (real(pool.account), real(pool.worker)))),
            "dead" if pool.alive is False else words[pool.active],
        )
        for pool in reading.pools or ()
    ]


def _unit(value: float | None, unit: str, digits: int) -> str:
    return "" if value is None else f"{value:,.{digits}f} {unit}"


def _span(seconds: float) -> str:
    days, hours, minutes = int(seconds // 86_400), int(seconds % 86_400 // 3_600), int(seconds % 3_600 // 60)
    return f"{days} d {hours} h" if days else f"{hours} h {minutes} min" if hours else f"{minutes} min"


def _bare(text: str) -> str:
    return re.sub(r"[^0-9a-z]", "", text.lower()) or "\0"


def _by_address(address: str) -> tuple[int, str]:
    try:
        return int(ipaddress.ip_address(address)), ""
    except ValueError:
        return 2**128, address


def _printable(text: str) -> str:
    """A machine's own words without what would turn a line of text around."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text)
