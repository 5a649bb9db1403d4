"""How a site comes to its token: a one-time code is traded for it, once.

The state folder then holds `enrolment.json` (where to send to, as which site, with which token) and `site.key`
(what pseudonyms are made with); both are for the agent's eyes only. The key is made before the code is used and
the enrolment is written after it, each file whole or not at all: whenever the process dies, `enroll` can be run again.
"""

from __future__ import annotations

import json
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, SecretStr, StringConstraints, ValidationError

from agent import durable, transit
from agent.errors import DiskTrouble, Misconfigured, Rejected
from agent.keyring import Keyring
from agent.lock import taking_turns
from agent.wire import CONTRACT

ENROLMENT: Final = "enrolment.json"
KEY: Final = "site.key"

Id = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_-]{1,64}$")]


class Enrolment(BaseModel):
    """Where this site's readings go and as whose."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    url: str
    account: Id
    site: Id
    site_name: Annotated[str, StringConstraints(max_length=200)] = ""
    token: SecretStr
    next_token: SecretStr | None = None
    """That is about to take its place: `agent.renewal`."""


class _Granted(BaseModel):
    """The backend's 201; fields that later versions add are left alone."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    account: Id
    site: Id
    site_name: Annotated[str, StringConstraints(max_length=200)] = ""
    token: Annotated[str, StringConstraints(pattern=r"^[\x21-\x7e]{8,512}$")]
    contract: Annotated[int, Field(ge=1)]


@dataclass(frozen=True)
class State:
    """A site's state folder: which file is where."""

    folder: Path

    @property
    def enrolment(self) -> Path:
        return self.folder / ENROLMENT

    @property
    def key(self) -> Path:
        return self.folder / KEY

    @property
    def spool(self) -> Path:
        return self.folder / "spool"

    @property
    def vault(self) -> Path:
        return self.folder / "vault.sealed"

    @property
    def old_keys(self) -> Path:
        return self.folder / "old-keys.sealed"

    @property
    def disclosures(self) -> Path:
        return self.folder / "disclosures.log"

    @property
    def totals_only(self) -> Path:
        return self.folder / "totals-only"

    @property
    def machines(self) -> Path:
        return self.folder / "machines.sealed"

    @property
    def status(self) -> Path:
        return self.folder / "status.json"

    @property
    def pause(self) -> Path:
        return self.folder / "paused"

    @property
    def lan_password(self) -> Path:
        return self.folder / "lan-password"


def load(state: State, url: str | None = None) -> Enrolment:
    """The enrolment of this site, with the backend at `url` if that is given.

    Raises `Misconfigured` when there is none, or none that can be used.
    """
    path = state.enrolment
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise Misconfigured(f"this site is not enrolled: there is no {path}") from error
    except OSError as error:
        raise Misconfigured(f"cannot read {path}: {error.strerror}") from error
    if mode & 0o077:
        raise Misconfigured(f"others may read {path} (mode {mode:04o}); run: chmod 600 {path}")
    try:
        enrolment = Enrolment.model_validate_json(data)
        transit.checked_url(enrolment.url)
    except ValueError as error:
        raise Misconfigured(f"{path} is damaged; enrol this site again (--again keeps its key)") from error
    return enrolment.model_copy(update={"url": url}) if url else enrolment


async def enroll(state: State, url: str, code: str, ca_file: Path | None = None, *, again: bool = False) -> Enrolment:
    """Trade a one-time code for this site's token, and keep it.

    Raises `Misconfigured` (already enrolled and not `again`; not TLS; key unreadable), `Rejected` (the backend
    does not take the code), `RetryLater` (no answer; the code is still good unless the message says otherwise) or
    `DiskTrouble`. The site's key is made when there is none and otherwise kept, so pseudonyms stay what they are.
    """
    try:
        url = transit.checked_url(url)
    except ValueError as error:
        raise Misconfigured(f"--backend {url}: {error}") from error
    if state.enrolment.exists() and not again:
        raise Misconfigured(
            f"this site is enrolled already ({state.enrolment}); --again enrols it anew and keeps its key"
        )
    durable.private_folder(state.folder)
    if state.key.exists():
        Keyring.load(state.key)
    else:
        Keyring.create(state.key)
    _check_writable(state)
    granted = await _trade(url, code, ca_file)
    enrolment = Enrolment(
        url=url,
        account=granted.account,
        site=granted.site,
        site_name=granted.site_name,
        token=SecretStr(granted.token),
    )
    _keep(state, enrolment)
    return enrolment


def _check_writable(state: State) -> None:
    """Find out about a full or read-only disk before the code is used up."""
    probe = state.folder / "enrolment.probe"
    durable.write(probe, b"x" * 4_096)
    probe.unlink()


def change(state: State, token: SecretStr, changes: Mapping[str, SecretStr | None]) -> bool:
    """Write an enrolment anew if `token` is still the one in use; else nothing happens, and it is False.

    Raises `Misconfigured` or `DiskTrouble`; then the file is what it was.
    """
    with taking_turns(state.folder):
        enrolled = load(state)
        if enrolled.token != token:
            return False
        _write(state, enrolled.model_copy(update=dict(changes)))
        return True


def _keep(state: State, enrolment: Enrolment) -> None:
    try:
        with taking_turns(state.folder):
            _write(state, enrolment)
    except DiskTrouble as error:
        raise DiskTrouble(f"{error}; the code is used up, ask for another one") from error
    state.totals_only.unlink(missing_ok=True)  # what the backend allows this site is asked anew


def _write(state: State, enrolment: Enrolment) -> None:
    said = enrolment.model_dump(exclude_none=True)
    data = {name: one.get_secret_value() if isinstance(one, SecretStr) else one for name, one in said.items()}
    durable.write(state.enrolment, json.dumps(data, indent=1).encode() + b"\n")


async def _trade(url: str, code: str, ca_file: Path | None) -> _Granted:
    body = json.dumps({"code": code.strip(), "agent": version("itsminer"), "contract": CONTRACT}).encode()
    async with transit.session(url, ca_file) as client:
        answer = await transit.post(client, f"{url}/v1/enroll", body, {"Content-Type": "application/json"})
    if answer.status != 201:
        raise Rejected(_refusal(answer))
    try:
        granted = _Granted.model_validate_json(answer.body)
    except ValidationError as error:
        raise Rejected(f"what answers at {url} is no ItsMiner backend; check the URL") from error
    if granted.contract != CONTRACT:
        raise Rejected(f"the backend speaks contract {granted.contract}, this agent {CONTRACT}; update the older one")
    return granted


def _refusal(answer: transit.Answer) -> str:
    reason = transit.problem(answer)
    match answer.status:
        case 400 | 401 | 403 | 404 | 409 | 410 | 422 if reason:
            return f"the backend did not take the code: {reason}"
        case 404 | 405:
            return "there is no ItsMiner backend at this URL (it answered 404); check --backend"
        case 429:
            return f"too many tries: {reason or 'wait a little'}; the code is still good"
        case status if 300 <= status < 400:
            return f"the URL redirects elsewhere ({status}); give the backend's own URL"
        case status if status >= 500:
            return f"the backend has trouble of its own ({status}); try again later"
        case _:
            return transit.said(answer)
