"""The support bundle: what is known of one machine, as a text that names nobody, and its way to the backend.

What is shown to the operator is the text, and the text is what is sent: nothing is added, packed along or left out
between the two. A bundle keeps its id over all tries, so the backend stores it once.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final
from uuid import UUID

import zstandard
from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from agent import transit, wire
from agent.enrolment import Enrolment
from agent.errors import NotAllowed, Rejected, RetryLater
from agent.keyring import Kind
from agent.reading import Facts
from agent.redaction import Redactor
from agent.ssh import Output, Visit
from agent.vault import MachineName, PlainName
from agent.wire import Instant, Reading

MOST_CHARACTERS: Final = 1_000_000
"""Of a bundle's text. Logs share what the rest leaves of it, and lose their oldest lines first."""

_RETRY_S: Final = (1.0, 4.0)
_SENT_S: Final = 120.0
_ENDINGS: Final = {
    "whole": "",
    "too long": "; it went on, the rest is not here",
    "too slow": "; it did not come to an end in time",
    "broken off": "; the machine hung up",
}


class Bundle(BaseModel):
    """What is sent."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: UUID
    site: str
    created_at: Instant
    text: str


class Receipt(BaseModel):
    """The backend's answer; fields that later versions add are left alone."""

    model_config = ConfigDict(frozen=True)

    id: UUID
    kept_until: AwareDatetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What could be learnt of one machine, names still inside; `misses` says in words what could not be."""

    machine: str
    facts: Facts
    reading: Reading | None = None
    visit: Visit | None = None
    misses: tuple[str, ...] = ()


def know_site(redactor: Redactor, entries: Mapping[str, MachineName | PlainName]) -> None:
    """Tell the redactor everything that the vault holds."""
    for pseudonym, entry in entries.items():
        if isinstance(entry, MachineName):
            redactor.know_machine(pseudonym, (entry.mac, entry.serial, entry.hostname, entry.address))
            for user in entry.workers:
                redactor.know_user(user)
        elif entry.kind == "pool":
            redactor.know_host(entry.value)
        else:
            redactor.know_name({"worker": Kind.WORKER, "account": Kind.ACCOUNT}[entry.kind], entry.value)


def compose(findings: Findings, redactor: Redactor, made_at: datetime, most: int = MOST_CHARACTERS) -> str:
    """The whole text. Everything that a machine said has been through the redactor; our own words and the reading,
    which is as it leaves in every poll, have not."""
    head = "\n\n".join(_paragraphs(findings, redactor, made_at)) + "\n"
    outputs = findings.visit.outputs if findings.visit else ()
    share = (most - len(head)) // max(1, len(outputs)) - 300
    return head + "".join(_log(output, redactor, share) for output in outputs)


def _paragraphs(findings: Findings, redactor: Redactor, made_at: datetime) -> Iterator[str]:
    yield (
        "ItsMiner support bundle\n"
        f"machine: {findings.machine}\n"
        f"made at: {made_at:%Y-%m-%dT%H:%M:%SZ} by itsminer {version('itsminer')}, wire contract {wire.CONTRACT}\n"
        "Names are replaced: mnr- machines and other addresses, wrk- workers, act- accounts and wallets, pol- pools."
    )
    yield "== facts ==\n" + "\n".join(f"{name}: {redactor.redact(value)}" for name, value in _facts(findings.facts))
    if findings.reading:
        fields = json.loads(wire.encode(findings.reading))
        yield "== reading, as it leaves in every poll ==\n" + json.dumps(fields, indent=1)
    if findings.misses:
        yield "== not found out ==\n" + "\n".join(redactor.redact(miss) for miss in findings.misses)


def _facts(facts: Facts) -> Iterator[tuple[str, str]]:
    """Those that describe a machine; those that name it are left out altogether."""
    for name in (
        *("make", "model", "firmware", "driver"),
        *("expected_ths", "boards_expected", "chips_expected", "fans_expected"),
    ):
        value = getattr(facts, name)
        if value is not None:
            yield name, str(value)[:200]


def _log(output: Output, redactor: Redactor, most: int) -> str:
    """One command's output. It is cut only after its names are out, and between lines."""
    text = redactor.redact(output.data).strip("\n")
    note = _ENDINGS[output.ending]
    if output.exit_status:
        note += f"; exit status {output.exit_status}"
    if len(text) > most:
        text = text[len(text) - max(0, most) :].partition("\n")[2]
        note += "; the oldest lines are left out"
    return f"\n== {output.command.title}: {output.command.line}{note} ==\n{text or '(nothing)'}\n"


async def send(
    bundle: Bundle, enrolment: Enrolment, ca_file: Path | None, retry_s: Iterable[float] = _RETRY_S
) -> Receipt:
    """Send it, a few times if need be. Raises `Rejected`, `NotAllowed`, or `RetryLater` when it was in vain."""
    body = await asyncio.to_thread(zstandard.ZstdCompressor(level=10).compress, bundle.model_dump_json().encode())
    headers = {
        "Authorization": f"Bearer {enrolment.token.get_secret_value()}",
        "Content-Type": "application/json",
        "Content-Encoding": "zstd",
        "Accept": "application/json",
    }
    async with transit.session(enrolment.url, ca_file, _SENT_S) as client:
        for wait_s in retry_s:
            with contextlib.suppress(RetryLater):
                return _receipt(await transit.post(client, f"{enrolment.url}/v1/support", body, headers), bundle)
            await asyncio.sleep(wait_s)
        return _receipt(await transit.post(client, f"{enrolment.url}/v1/support", body, headers), bundle)


def _receipt(answer: transit.Answer, bundle: Bundle) -> Receipt:
    said = transit.said(answer)
    match answer.status:
        case 200 | 201 | 202:
            try:
                receipt = Receipt.model_validate_json(answer.body)
            except ValidationError as error:
                raise Rejected(
                    "what answers at the backend's URL is not the backend; it may have the bundle"
                ) from error
            if receipt.id != bundle.id:
                raise Rejected("the backend acknowledged another bundle than this one")
            return receipt
        case 401 | 403:
            raise NotAllowed(f"{said}; the token is not valid, enrol this site again with --again")
        case 404 | 405:
            raise Rejected(f"{said}; it takes no support bundles, send the saved text another way")
        case status if status in (408, 429) or status >= 500:
            raise RetryLater(said)
        case _:
            raise Rejected(said)
