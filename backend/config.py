"""Settings of the backend, frozen. `backend.config_file` reads them; `backend.example.toml` documents each one, and a
commented-out value there is the default.
"""

from __future__ import annotations

import os
import re
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    model_validator,
)

from backend.registry.sealing import KeySource


class Misconfigured(Exception):
    """The operator has to change something; the message says what."""


def reason(error: OSError | UnicodeDecodeError) -> str:
    """Why a file cannot be read or made, in few words."""
    return (error.strerror or type(error).__name__) if isinstance(error, OSError) else "not UTF-8"


def _network(value: str) -> str:
    return str(ip_network(value, strict=False))


Seconds = Annotated[float, Field(ge=0, le=366 * 86_400, allow_inf_nan=False)]
Port = Annotated[int, Field(ge=0, le=65_535)]
HttpUrl = Annotated[str, StringConstraints(pattern=r"^https?://[^\s/?#]+(/[^\s?#]*)?$", max_length=300)]
Address = Annotated[str, StringConstraints(pattern=r"^[^\s@<>]+@[^\s@<>]+$", max_length=254)]
Network = Annotated[str, AfterValidator(_network)]


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Listen(_Settings):
    """Where the service answers; TLS is the business of the proxy in front of it."""

    host: str = "127.0.0.1"
    port: Port = 8600  # 0: any free one, named in the event `backend.listening`
    proxies: tuple[Network, ...] = ()  # whose X-Forwarded-For is believed


class Registry(_Settings):
    """Accounts, members, sites, tokens, warnings, outbox. Without a URL: SQLite in `data_dir`."""

    url: SecretStr | None = None
    url_file: Path | None = None


class Seal(_Settings):
    """The keys that contacts are sealed with. Without a file: beside the registry, where a thief finds both."""

    keys: SecretStr | None = None
    keys_file: Path | None = None
    accounts_dir: Path | None = None  # each account's own keys; by default in `data_dir`


class Accounts(_Settings):
    """Registration and log-in."""

    session_h: Annotated[float, Field(gt=0, le=24 * 366)] = 24  # the longest that one lasts
    idle_h: Annotated[float, Field(gt=0, le=24 * 366)] = 4  # without any use
    logins_per_min: Annotated[int, Field(ge=1)] = 20  # tries from one address, right or wrong
    registrations_per_h: Annotated[int, Field(ge=1)] = 20  # from one address, password resets too


class Staff(_Settings):
    """People who work for the service."""

    with_personal_data: Annotated[int, Field(ge=1, le=1_000)] = 3  # how many may see it at all
    grant_h: Annotated[float, Field(gt=0, le=24 * 31)] = 8  # the longest that one lasts


class StoreSettings(_Settings):
    """The time series."""

    engine: Literal["embedded", "influx"] = "embedded"
    open_accounts: Annotated[int, Field(ge=1, le=10_000)] = 32  # DuckDB files kept open at once
    memory_mb: Annotated[int, Field(ge=64)] = 512  # that DuckDB may use, over all accounts
    master_key: SecretStr | None = None  # wraps each account's own key: 32 bytes in base64
    master_key_file: Path | None = None
    url: HttpUrl | None = None  # of the InfluxDB server
    org: Annotated[str, StringConstraints(min_length=1, max_length=100)] | None = None
    token: SecretStr | None = None
    token_file: Path | None = None
    ca_file: Path | None = None  # the authority that the server's certificate is of
    bucket_prefix: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9]{0,30}$")] = "itsminer"

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.engine == "influx" and (self.url is None or self.org is None or self.token is None):
            raise ValueError("the engine influx needs url, org, and token_file or ITSMINER_INFLUX_TOKEN")
        return self


class Limits(_Settings):
    """What one request or one address may cost."""

    batch_mb: Annotated[float, Field(gt=0, le=1_000)] = 8  # decompressed; compressed may be no larger
    body_s: Annotated[float, Field(gt=0, le=3_600)] = 60  # for a body to arrive
    batches_at_once: Annotated[int, Field(ge=1, le=10_000)] = 64  # further ones get 503 and come back
    enrolments_per_min: Annotated[int, Field(ge=1)] = 10  # from one address
    series_points: Annotated[int, Field(ge=10)] = 200_000  # in one answer


class Notify(_Settings):
    """How messages of one account and site are gathered."""

    group_wait_s: Seconds = 30
    update_s: Seconds = 300
    repeat_s: Seconds = 14_400
    sms_per_day: Annotated[int, Field(ge=1, le=100_000)] = 50  # warnings by text to one account; then one last text


class Smtp(_Settings):
    """The mail server. Without `host` no mail is sent."""

    host: str | None = None
    port: Port = 587
    tls: Literal["starttls", "tls", "none"] = "starttls"
    username: str | None = None
    password_file: Path | None = None
    password: SecretStr | None = None
    sender: Address | None = None

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.host is not None and self.sender is None:
            raise ValueError("a host needs a sender, the address that mails come from")
        if self.username is not None and self.password is None:
            raise ValueError("a username needs password_file, or ITSMINER_SMTP_PASSWORD in the environment")
        return self


class Sms(_Settings):
    """The SMS gateway. Without `url` (or `file`, for a dry run) no text is sent."""

    provider: Literal["twilio", "vonage", "http", "file"] = "twilio"
    url: Annotated[str, StringConstraints(pattern=r"^https?://[^\s/?#]+(/\S*)?$", max_length=500)] | None = None
    account: str | None = None
    token_file: Path | None = None
    token: SecretStr | None = None
    sender: Annotated[str, StringConstraints(pattern=r"^(\+[1-9][0-9]{6,14}|[A-Za-z0-9 ]{1,11})$")] | None = None
    signature_secret_file: Path | None = None
    signature_secret: SecretStr | None = None  # vonage: what it signs its receipts with
    method: Literal["GET", "POST", "PUT"] = "POST"  # of the provider http, as all that follows but `file`
    headers: dict[str, str] = Field(default_factory=dict)
    body: Annotated[str, StringConstraints(max_length=10_000)] = ""
    bad_number: Annotated[str, StringConstraints(max_length=500)] | None = None  # a pattern in answers
    file: Path | None = None

    @model_validator(mode="after")
    def _complete(self) -> Self:
        is_whole = self.account is not None and self.token is not None and self.sender is not None
        if self.url is not None and self.provider in ("twilio", "vonage") and not is_whole:
            raise ValueError("a url needs account, sender, and token_file or ITSMINER_SMS_TOKEN in the environment")
        if self.provider == "file" and self.file is None:
            raise ValueError("the provider file needs file, where texts are written to")
        try:
            re.compile(self.bad_number or "")
        except re.error as error:
            raise ValueError(f"bad_number is no regular expression: {error}") from error
        return self


class Webhook(_Settings):
    """Webhooks of members' own on-call tools."""

    allow: tuple[Network, ...] = ()  # networks that are not public and may be sent to


class Contact(_Settings):
    """Whom members can write to; named in each page and mail."""

    email: Address | None = None
    name: str = "ItsMiner"


class Privacy(_Settings):
    """How promises about personal data are kept."""

    anchor_file: Path | None = None  # where the audit log's end is written each day; by default in `data_dir`
    erased_file: Path | None = None  # which accounts stay erased, whatever is restored; by default in `data_dir`
    exports_dir: Path | None = None  # sealed archives for three days; by default in `data_dir`
    digest_days: Annotated[float, Field(gt=0, le=92)] = 7  # how often administrators are sent what is in the audit log
    request_days: Annotated[float, Field(gt=0, le=92)] = 30  # until a request about personal data is to be answered


class Log(_Settings):
    """Events go to standard error."""

    format: Literal["logfmt", "json"] = "logfmt"
    level: Literal["debug", "info", "warning", "error"] = "info"


class BackendSettings(_Settings):
    """All of it. `config_file.load` makes one; every part has defaults that work."""

    data_dir: Path = Path("/var/lib/itsminer-backend")
    public_url: HttpUrl | None = None  # as members reach it, for links in messages; default: where it listens
    region: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,15}$")] = "eu"
    listen: Listen = Listen()
    registry: Registry = Registry()
    seal: Seal = Seal()
    accounts: Accounts = Accounts()
    staff: Staff = Staff()
    store: StoreSettings = StoreSettings()
    limits: Limits = Limits()
    rules: dict[str, dict[str, float]] = Field(default_factory=dict)  # changes to the catalogue, by rule
    notify: Notify = Notify()
    smtp: Smtp = Smtp()
    sms: Sms = Sms()
    webhook: Webhook = Webhook()
    contact: Contact = Contact()
    privacy: Privacy = Privacy()
    log: Log = Log()

    @property
    def registry_url(self) -> str:
        """The URL for `Database`; it may hold a password."""
        if self.registry.url is not None:
            return self.registry.url.get_secret_value()
        return f"sqlite:///{self.data_dir.absolute() / 'registry.db'}"

    @property
    def seal_keys(self) -> KeySource | None:
        """What seals contacts; None: what lies beside the registry."""
        if self.seal.keys is not None:
            return KeySource.of_text(self.seal.keys.get_secret_value())
        return KeySource.of_file(self.seal.keys_file) if self.seal.keys_file is not None else None

    @property
    def account_keys_dir(self) -> Path:
        """Where each account's own keys are."""
        return self.seal.accounts_dir or self.data_dir / "account-keys"

    @property
    def anchor_file(self) -> Path:
        """Where the audit log's end is written down."""
        return self.privacy.anchor_file or self.data_dir / "audit.anchors"

    @property
    def erased_file(self) -> Path:
        """Where is written which accounts were erased."""
        return self.privacy.erased_file or self.data_dir / "erased.accounts"

    @property
    def exports_dir(self) -> Path:
        """Where archives are, sealed, until they are fetched."""
        return self.privacy.exports_dir or self.data_dir / "exports"

    def make_data_dir(self) -> None:
        """Make sure that the folder is there, for nobody else to look into. Raises `Misconfigured`."""
        try:
            self.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise Misconfigured(f"data_dir {self.data_dir} cannot be made ({reason(error)})") from error
        if not os.access(self.data_dir, os.W_OK | os.X_OK):
            raise Misconfigured(f"data_dir {self.data_dir} cannot be written to")
