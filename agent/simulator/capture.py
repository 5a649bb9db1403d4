"""A machine that replays a recording: byte-true answers of real firmware, placeholders filled in.

The format is that of the captures' own README: a `manifest.json` that maps requests to files. Numbers stand
still in a recording; faults of the connection still work.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agent.errors import Misconfigured
from agent.reading import Live
from agent.simulator.faults import Faults
from agent.simulator.identity import Identity
from agent.simulator.machine import Dialect, Login, Machine, Request, WebAnswer, WebRequest, wall_clock
from agent.simulator.names import names_in

File = Annotated[str, Field(pattern=r"^([A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*)?$")]
"""A path inside the recording's folder; empty is an empty body."""


class _Recorded(BaseModel):
    """Others write recordings: what this program does not know in them is none of its business."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Page(_Recorded):
    """One web page of a recording."""

    method: str
    path: str
    status: int
    headers: dict[str, str] = {}
    body: File = ""


class Auth(_Recorded):
    """What the machine's web pages ask for."""

    scheme: Literal["digest"]
    realm: str
    user: str
    password: str


class Manifest(_Recorded):
    """`manifest.json`, as the captures' README describes it."""

    make: str
    model: str
    firmware: str
    ports: dict[Literal["rpc", "http", "whatsminer_v3"], int]
    multicommand: bool = False
    rpc_terminator: str = ""
    rpc: dict[str, File] = {}
    http: tuple[Page, ...] = ()
    http_auth: Auth | None = None
    whatsminer_v3: dict[str, File] = {}
    expected: dict[str, Any] = {}  # for tests: what a correct reading holds


class Recording:
    """The firmware of one recording, its placeholders filled for one machine."""

    def __init__(self, folder: Path, identity: Identity) -> None:
        self._manifest = manifest_of(folder)
        fill = _filler(identity)
        read = {name: fill(_read(folder, name)) for name in _files(self._manifest)}
        self.texts: Mapping[str, bytes] = read
        self._rpc = {_parsed(request, folder): read[name] for request, name in self._manifest.rpc.items()}
        self._v3 = {_parsed(request, folder): read[name] for request, name in self._manifest.whatsminer_v3.items()}
        self._pages = {
            (page.method, page.path): WebAnswer(
                page.status, read.get(page.body, b""), {k: fill(v.encode()).decode() for k, v in page.headers.items()}
            )
            for page in self._manifest.http
        }
        self.ports: Mapping[str, int] = {str(name): port for name, port in self._manifest.ports.items()}
        self.dialect = _dialect(self._manifest, read)
        auth = self._manifest.http_auth
        self.login = Login(auth.realm, auth.user, auth.password) if auth else None

    def rpc(self, request: Request, now: datetime) -> bytes | None:
        return _looked_up(self._rpc, request, "command")

    def v3(self, request: Request, now: datetime) -> bytes | None:
        return _looked_up(self._v3, request, "cmd")

    def web(self, request: WebRequest, now: datetime) -> WebAnswer | None:
        method = "GET" if request.method == "HEAD" else request.method
        return self._pages.get((method, request.target)) or self._pages.get((method, request.path))

    def truth(self, now: datetime) -> Live | None:
        return None


def manifest_of(folder: Path) -> Manifest:
    """The recording's manifest. Raises `Misconfigured` when the folder holds none that can be used."""
    path = folder / "manifest.json"
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except OSError as error:
        raise Misconfigured(f"{folder} is no capture: {error.strerror or error}: {path.name}") from error
    except ValidationError as error:
        fault = error.errors()[0]
        raise Misconfigured(f"{path}: {'.'.join(map(str, fault['loc']))}: {fault['msg']}") from error


def capture_machine(folder: Path, address: str, seed: int, *, clock: Callable[[], datetime] = wall_clock) -> Machine:
    """One machine that replays this folder; its family is the folder's name."""
    identity = Identity.of(seed, address)
    recording = Recording(folder, identity)
    texts = recording.texts.values()
    planted = [name for name in (identity.serial, identity.host, identity.worker) if _holds(texts, name)]
    if _holds(texts, identity.mac) or _holds(texts, identity.mac_bare):
        planted += [identity.mac, identity.mac_bare]  # a reader writes it with colons, however the machine does
    held = names_in(texts)
    return Machine(
        address=address,
        family=folder.name,
        identifiers=tuple(dict.fromkeys((address, *planted, *held))),
        firmware=recording,
        faults=Faults(clock),
    )


def _holds(texts: Iterable[bytes], name: str) -> bool:
    return any(name.encode() in text for text in texts)


def captures_in(folder: Path) -> list[Path]:
    """Every recording of a folder, by name. Raises `Misconfigured` when there is none."""
    try:
        found = sorted(path.parent for path in folder.glob("*/manifest.json"))
    except OSError as error:
        raise Misconfigured(f"cannot read {folder}: {error.strerror}") from error
    if not found:
        raise Misconfigured(f"{folder} holds no capture: expected folders with a manifest.json in them")
    return found


def _files(manifest: Manifest) -> list[str]:
    named = [*manifest.rpc.values(), *manifest.whatsminer_v3.values(), *(page.body for page in manifest.http)]
    return sorted({name for name in named if name})


def _read(folder: Path, name: str) -> bytes:
    try:
        return (folder / name).read_bytes()
    except OSError as error:
        raise Misconfigured(f"{folder / 'manifest.json'} names {name}: {error.strerror or error}") from error


def _filler(identity: Identity) -> Callable[[bytes], bytes]:
    values: Final = {
        b"@@IP@@": identity.address.encode(),
        b"@@MAC@@": identity.mac.encode(),
        b"@@MACNS@@": identity.mac_bare.encode(),
        b"@@SERIAL@@": identity.serial.encode(),
        b"@@HOST@@": identity.host.encode(),
        b"@@WORKER@@": identity.worker.encode(),
    }
    return lambda text: re.sub(rb"@@[A-Z]+@@", lambda found: values.get(found[0], found[0]), text)


def _key(request: Mapping[str, Any]) -> str:
    """A request as the manifests write it; clients also send absent parameters as null."""
    return json.dumps({name: value for name, value in request.items() if value is not None}, sort_keys=True)


def _parsed(request: str, folder: Path) -> str:
    try:
        return _key(json.loads(request))
    except (ValueError, AttributeError) as error:
        raise Misconfigured(f"{folder / 'manifest.json'}: {request!r} is no JSON request") from error


def _looked_up(answers: Mapping[str, bytes], request: Request, command: str) -> bytes | None:
    """The answer to this request; firmware ignores parameters that a command does not take."""
    exact = answers.get(_key(request))
    return exact if exact is not None else answers.get(_key({command: request.get(command)}))


def _dialect(manifest: Manifest, read: Mapping[str, bytes]) -> Dialect:
    """Terminator and joined commands from the manifest, the name in an error from its own answers."""
    make = manifest.make.lower()
    said = [found[1].decode() for text in read.values() if (found := re.search(rb'"Description":\s*"([^"]+)"', text))]
    own_name = [description for description in said if description.lower().startswith(make)]
    return Dialect(
        description=next(iter(own_name or said), make),
        terminator=manifest.rpc_terminator.encode(),
        multicommand=manifest.multicommand,
        flat_errors=make == "whatsminer",
    )
