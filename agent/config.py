"""Settings of the agent: one TOML file, frozen, a typo stops the start and names its line.

`agent.example.toml` documents each one; a commented-out value there is the default. Passwords and keys are
never in the file: it names the files that hold them.
"""

from __future__ import annotations

import re
import stat
import tomllib
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Annotated, Final, Literal, Self, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from agent.discover import expand
from agent.errors import Misconfigured
from agent.pools import canonical_address, canonical_host
from agent.transit import checked_url

DEFAULT_FILE: Final = Path("/etc/itsminer/agent.toml")
DEFAULT_STATE: Final = Path("/var/lib/itsminer-agent")


def _range(value: str) -> str:
    try:
        expand([value])
    except Misconfigured as error:
        raise ValueError(str(error)) from error
    return value.strip()


def _excluded(value: str) -> str:
    try:
        expand([], [value])  # may be larger than what is looked at
    except Misconfigured as error:
        raise ValueError(str(error)) from error
    return value.strip()


def _public_host(value: str) -> str:
    host = canonical_host(value)
    if host is None or "." not in host or canonical_address(host) or not re.fullmatch(r"[a-z0-9.-]{1,100}", host):
        raise ValueError(f"{value!r} is no public host name; write a name such as pool.example.com")
    return host


Range = Annotated[str, AfterValidator(_range)]
Excluded = Annotated[str, AfterValidator(_excluded)]
PublicHost = Annotated[str, AfterValidator(_public_host)]
Host = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$", max_length=253)]
Url = Annotated[str, AfterValidator(checked_url)]
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


_S = TypeVar("_S", bound=_Settings)
_REASONS: Final = {
    "extra_forbidden": "there is no such setting",
    "model_type": "this is a table: write its name in [brackets], and its settings below",
}
"""Where pydantic's words would not help: error type → what to say."""


class Backend(_Settings):
    """Where readings go. Enrolment writes the URL down, so it is seldom needed here."""

    url: Url | None = None
    ca_file: Path | None = None


class Network(_Settings):
    """Where machines are looked for, and how gently."""

    ranges: tuple[Range, ...] = ()
    exclude: tuple[Excluded, ...] = ()
    connections_per_s: Annotated[float, Field(gt=0, le=100_000)] = 200
    rescan_s: Annotated[float, Field(ge=60, le=604_800)] = 3_600


class Poll(_Settings):
    """How often each machine is asked, and how long it may take to answer."""

    interval_s: Annotated[float, Field(ge=1, le=3_600)] = 60
    deadline_s: Annotated[float, Field(ge=0.5, le=120)] = 10
    concurrency: Annotated[int, Field(ge=1, le=2_000)] = 200
    engine: Literal["auto", "pyasic", "asic-rs"] = "auto"
    vendor_passwords: bool = False


class Credential(_Settings):
    """How to log in to machines of one make."""

    make: Text
    username: Text
    password_file: Path

    def password(self) -> str:
        """Read from the file each time, so that it is kept nowhere else. Raises `Misconfigured`."""
        return _password(self.password_file, f"credentials of {self.make}")


class SshLogin(_Settings):
    """How to log in to machines of one make over SSH, for support bundles: by password, by key, or with neither."""

    make: Text
    username: Text
    password_file: Path | None = None
    key_file: Path | None = None
    port: Annotated[int, Field(ge=1, le=65_535)] = 22

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.password_file and self.key_file:
            raise ValueError("give a password_file or a key_file, not both")
        return self

    def password(self) -> str | None:
        """As `Credential.password`; None when there is none."""
        return _password(self.password_file, f"ssh of {self.make}") if self.password_file else None

    def key(self) -> bytes | None:
        """The private key's file; None when there is none. Raises `Misconfigured`, also when others may read it."""
        if self.key_file is None:
            return None
        try:
            if mode := stat.S_IMODE(self.key_file.stat().st_mode) & 0o077:
                raise Misconfigured(f"others may read the SSH key (mode …{mode:03o}); run: chmod 600 {self.key_file}")
            return self.key_file.read_bytes()
        except OSError as error:
            raise Misconfigured(f"ssh of {self.make}: cannot read {self.key_file}") from error


def _password(file: Path, whose: str) -> str:
    try:
        password = file.read_text("utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured(f"{whose}: cannot read {file}") from error
    if not password:
        raise Misconfigured(f"{whose}: {file} is empty")
    return password


class SpoolSettings(_Settings):
    """What waits on disk for the backend."""

    max_mb: Annotated[float, Field(ge=1, le=10_000_000)] = 2_000
    batch_readings: Annotated[int, Field(ge=1, le=2_000)] = 500
    flush_s: Annotated[float, Field(ge=0.1, le=600)] = 2.0


class PrivacySettings(_Settings):
    """What leaves the site: readings of single machines under pseudonyms, or totals alone."""

    mode: Literal["readings", "aggregate"] = "readings"


class Pools(_Settings):
    """Which pools are called by name, and which ones machines should use."""

    public: tuple[PublicHost, ...] = ()
    expected: tuple[Text, ...] = ()


class Lan(_Settings):
    """Where the page for the people at the site is. It opens once it has a password."""

    host: IPv4Address | IPv6Address = IPv4Address("127.0.0.1")
    port: Annotated[int, Field(ge=1, le=65_535)] = 8620
    names: tuple[Host, ...] = ()
    certificate_file: Path | None = None
    key_file: Path | None = None

    @model_validator(mode="after")
    def _both(self) -> Self:
        if (self.certificate_file is None) != (self.key_file is None):
            raise ValueError("certificate_file and key_file belong together; give both, or neither")
        return self


class Log(_Settings):
    """Events go to standard error."""

    format: Literal["logfmt", "json"] = "logfmt"
    level: Literal["debug", "info", "warning", "error"] = "info"


class AgentSettings(_Settings):
    """All of it. `load` makes one from a file; `AgentSettings()` is all defaults."""

    state_dir: Path = DEFAULT_STATE
    backend: Backend = Backend()
    network: Network = Network()
    poll: Poll = Poll()
    credentials: tuple[Credential, ...] = ()
    ssh: tuple[SshLogin, ...] = ()
    spool: SpoolSettings = SpoolSettings()
    pools: Pools = Pools()
    privacy: PrivacySettings = PrivacySettings()
    lan: Lan = Lan()
    log: Log = Log()


def load(path: Path) -> AgentSettings:
    """Read the settings; relative paths in them are relative to the file.

    Raises `Misconfigured` with one line for each fault: file, line, setting, what is wrong with it.
    """
    try:
        text = path.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise Misconfigured(f"{path}: is not UTF-8 text") from error
    except OSError as error:
        raise Misconfigured(f"{path}: cannot be read ({error.strerror})") from error
    try:
        settings = AgentSettings.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise Misconfigured(f"{path}: {error}") from error
    except ValidationError as error:
        raise Misconfigured("\n".join(_complaints(error, path, text))) from error
    return _anchored(settings, path.absolute().parent)


def _anchored(settings: AgentSettings, folder: Path) -> AgentSettings:
    def anchor(section: _S, *names: str) -> _S:
        given = {name: folder / path.expanduser() for name in names if (path := getattr(section, name))}
        return section.model_copy(update=given)

    return anchor(settings, "state_dir").model_copy(
        update={
            "backend": anchor(settings.backend, "ca_file"),
            "credentials": tuple(anchor(one, "password_file") for one in settings.credentials),
            "ssh": tuple(anchor(one, "password_file", "key_file") for one in settings.ssh),
            "lan": anchor(settings.lan, "certificate_file", "key_file"),
        }
    )


def _complaints(error: ValidationError, path: Path, text: str) -> list[str]:
    lines = []
    for fault in error.errors(include_url=False, include_input=False, include_context=False):
        names = [str(part) for part in fault["loc"]]
        reason = _REASONS.get(fault["type"], fault["msg"])
        line = _line_of(text, [name for name in names if not name.isdigit()])
        where = f"{path}:{line}" if line else str(path)
        lines.append(f"{where}: {'.'.join(names)}: {reason.removeprefix('Value error, ')}")
    return lines


def _line_of(text: str, names: list[str]) -> int | None:
    """The line where a setting, or at least its table, stands."""
    table: list[str] = []
    found = None
    for number, line in enumerate(text.splitlines(), start=1):
        if header := re.match(r"\s*\[+\s*([\w.-]+)\s*\]+\s*(#.*)?$", line):
            table = header[1].split(".")
            if found is None and names[: len(table)] == table:
                found = number
        elif (key := re.match(r"\s*([\w-]+)\s*=", line)) and names[: len(table) + 1] == [*table, key[1]]:
            return number
    return found
