"""`scan` and `preview`: which machines there are, and what would leave the site of each."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import json
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeVar

import click
import uvloop
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from agent import descriptors, logs
from agent.commands.options import complaining, config_option, settings_of, state_of, state_option
from agent.config import DEFAULT_FILE, AgentSettings
from agent.discover import discover, expand
from agent.drivers.protocol import Driver, Miner
from agent.errors import AgentError, Misconfigured
from agent.identity import identity
from agent.keyring import Keyring, Kind
from agent.known import remembered
from agent.pools import PublicPools
from agent.pseudonym import pseudonymize
from agent.reading import Facts, RawReading
from agent.twins import Remembered, told_apart
from agent.wire import Reading, encode

_AT_ONCE: Final = 32
_DESCRIPTORS: Final = 2_048
_WIDE: Final = 200

Result = TypeVar("Result")

_engine_option = click.option(
    "--engine",
    type=click.Choice(["auto", "pyasic", "asic-rs"]),
    help="What reads the machines. [default: of the settings, else auto]",
)
_passwords_option = click.option(
    "--vendor-passwords/--no-vendor-passwords",
    default=None,
    help="Whether to try the passwords that vendors ship with; without one an Antminer tells neither its MAC nor its "
    "mode. [default: of the settings; without settings, yes]",
)
_json_option = click.option("--json", "as_json", is_flag=True, help="One JSON line for each machine.")


@click.command()
@click.argument("ranges", metavar="[RANGE]…", nargs=-1)
@_json_option
@_engine_option
@_passwords_option
@config_option
def scan(
    ranges: tuple[str, ...], *, as_json: bool, engine: str | None, vendor_passwords: bool | None, config: Path | None
) -> None:
    """Find the miners within RANGEs: 192.168.1.0/24, 192.168.1.10-50, 192.168.1.10-192.168.2.50 or an address.

    Without a RANGE it looks where the settings say. What it prints names the machines and is for this site only.
    Exit code 1 when there is none.
    """
    logs.configure(level="warning")
    with complaining():
        settings = settings_of(config)
        addresses = _given(ranges) if ranges else expand(settings.network.ranges, settings.network.exclude)
        if not addresses:
            raise click.UsageError("name a RANGE, such as 192.168.1.0/24, or settings that have some")
        driver = _driver(settings, addresses, _has_file(config), engine, vendor_passwords)
        found = _run(_scan(addresses, driver, settings.network.connections_per_s, as_json=as_json))
    if not as_json and found:
        _wide_console().print(_machines(found))
    if not found:
        _complain(f"no miner answered at {_counted(addresses)}; check the range, and that this host may reach it")
        raise click.exceptions.Exit(1)


@click.command()
@click.argument("addresses", metavar="ADDRESS…", nargs=-1, required=True)
@_json_option
@_engine_option
@_passwords_option
@config_option
@state_option
def preview(
    addresses: tuple[str, ...],
    *,
    as_json: bool,
    engine: str | None,
    vendor_passwords: bool | None,
    config: Path | None,
    state: Path | None,
) -> None:
    """Print exactly what would leave the site of the machine at each ADDRESS (or range), and nothing more.

    With --json, one line for each machine: the very bytes. Needs no enrolment: without a site's key the
    pseudonyms are made with one that is forgotten at once. Exit code 1 when any of them does not answer.
    """
    logs.configure(level="warning")
    with complaining():
        settings = settings_of(config)
        within = _given(addresses)  # all or none, before anything is asked
        driver = _driver(settings, within, _has_file(config), engine, vendor_passwords)
        keyring, listed = _site(config, state)
        show = _Preview(settings, keyring, listed, driver, as_json=as_json)
        silent = _run(show.all(addresses))
    for address in silent:
        _complain(f"{address}: {silent[address]}")
    if silent:
        raise click.exceptions.Exit(1)


def _given(ranges: Sequence[str]) -> list[str]:
    """The addresses of ranges on the command line."""
    try:
        return expand(ranges)
    except Misconfigured as error:
        raise click.BadParameter(str(error)) from error


def _has_file(config: Path | None) -> bool:
    return config is not None or DEFAULT_FILE.exists()


def _driver(
    settings: AgentSettings, within: Sequence[str], has_file: bool, name: str | None, vendor_passwords: bool | None
) -> Driver:
    from agent.drivers.registry import engine  # takes a second to import: not for --help

    if vendor_passwords is None:
        vendor_passwords = settings.poll.vendor_passwords if has_file else True
    return engine(
        name or settings.poll.engine,
        credentials=settings.credentials,
        vendor_passwords=vendor_passwords,
        within=within,
    )


def _site(config: Path | None, state: Path | None) -> tuple[Keyring, list[Facts]]:
    """The site's own key and its machines where there is one. A state folder that was named has to have it."""
    place = state_of(config, state)
    if state is None and not place.key.exists():
        return Keyring.throwaway(), []
    keyring = Keyring.load(place.key)
    return keyring, remembered(place.machines, keyring)


def _run(work: Coroutine[Any, Any, Result]) -> Result:
    descriptors.allow(_DESCRIPTORS)
    result: Result = uvloop.run(work)
    return result


async def _scan(addresses: Sequence[str], driver: Driver, connections_per_s: float, *, as_json: bool) -> list[Facts]:
    found = []
    with _progress(len(addresses)) as looked_at:
        search = discover(addresses, driver, connections_per_s=connections_per_s, looked_at=looked_at)
        async with contextlib.aclosing(search) as miners:
            async for miner in miners:
                found.append(miner.facts)
                if as_json:
                    click.echo(json.dumps(_named(miner.facts)))
    return sorted(found, key=lambda facts: ipaddress.ip_address(facts.address))


def _named(facts: Facts) -> dict[str, str]:
    """What the site gets to see of a machine; unknown things are left out."""
    named = {name: getattr(facts, name) for name in ("address", "make", "model", "firmware", "mac", "driver")}
    return {name: value for name, value in named.items() if value is not None}


def _machines(found: Iterable[Facts]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("Address", "Make", "Model", "Firmware", "MAC", "Driver"):
        table.add_column(title)
    for facts in found:
        named = _named(facts)
        table.add_row(*(named.get(name, "–") for name in ("address", "make", "model", "firmware", "mac", "driver")))
    return table


class _Preview:
    """Reads machines and prints what would leave."""

    def __init__(
        self, settings: AgentSettings, keyring: Keyring, listed: Iterable[Facts], driver: Driver, *, as_json: bool
    ) -> None:
        self._roster = Remembered.of(listed)
        self._settings = settings
        self._keyring = keyring
        self._pools = PublicPools(settings.pools.public, settings.pools.expected)
        self._driver = driver
        self._as_json = as_json
        self._silent: dict[str, str] = {}
        self._answered: dict[str, Reading | None] = {}

    async def all(self, arguments: Sequence[str]) -> dict[str, str]:
        """Print each machine of the arguments, in their order; what did not answer, and why.

        The lines of --json name no address, so their order is what tells a person which one is which.
        """
        addresses = expand(arguments)
        places = asyncio.Semaphore(_AT_ONCE)
        with _progress(len(addresses)) as looked_at:
            search = discover(
                addresses,
                self._driver,
                connections_per_s=self._settings.network.connections_per_s,
                looked_at=looked_at,
            )
            async with asyncio.TaskGroup() as group, contextlib.aclosing(search) as miners:
                async for found in miners:
                    miner = await told_apart(found, self._roster, self._driver, self._name_of)
                    self._roster.add(miner)
                    group.create_task(self._one(miner, places), name="preview")
        for address in addresses:
            reading = self._answered.get(address)
            if reading is not None:
                self._print(address, reading)
        for argument in arguments:
            if self._answered.keys().isdisjoint(expand([argument])):
                self._silent.setdefault(argument, "no miner answers there")
        return self._silent

    def _name_of(self, facts: Facts) -> str:
        return self._keyring.pseudonym(Kind.MACHINE, identity(facts))

    async def _one(self, miner: Miner, places: asyncio.Semaphore) -> None:
        address = miner.facts.address
        self._answered[address] = None
        loop = asyncio.get_running_loop()
        async with places:
            began_s = loop.time()
            try:
                live = await _within(self._settings.poll.deadline_s, miner.read())
            except AgentError as error:
                self._silent[address] = f"a miner is there, but could not be read: {error}"
                return
        raw = RawReading(
            time=_on_the_grid(self._settings.poll.interval_s),
            facts=miner.facts,
            live=live,
            read_ms=1_000 * (loop.time() - began_s),
        )
        self._answered[address] = pseudonymize(raw, self._keyring, self._pools)

    def _print(self, address: str, reading: Reading) -> None:
        if self._as_json:
            click.echo(encode(reading))
        else:
            _wide_console().print(_fields(address, reading))


async def _within(limit_s: float, reading: Awaitable[Result]) -> Result:
    try:
        async with asyncio.timeout(limit_s):
            return await reading
    except TimeoutError as error:
        raise AgentError(f"no answer within {limit_s:g} s") from error


def _on_the_grid(interval_s: float) -> datetime:
    now_s = datetime.now(UTC).timestamp()
    return datetime.fromtimestamp(now_s - now_s % interval_s, UTC)


def _fields(address: str, reading: Reading) -> Table:
    """The fields of the JSON line, one a row; of boards and pools one row each."""
    table = Table(
        title=f"{address} (the address stays here)", title_justify="left", box=None, pad_edge=False, show_header=False
    )
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    for name, value in json.loads(encode(reading)).items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            for place, entry in enumerate(value):
                table.add_row(f"{name}[{place}]", ", ".join(f"{key} {_said(one)}" for key, one in entry.items()))
        else:
            table.add_row(name, _said(value))
    return table


def _said(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _wide_console() -> Console:
    """Standard output; wide where it is no terminal, so that nothing is cut off in a file or a pipe."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=_WIDE, soft_wrap=True)


@contextlib.contextmanager
def _progress(total: int) -> Iterator[Callable[[], None]]:
    """Count addresses on standard error, if somebody is looking; gives what to call after each."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda: None
        return
    columns = (TextColumn("Looking"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("looking", total=total)
        yield lambda: progress.advance(task)


def _counted(addresses: Sequence[str]) -> str:
    return addresses[0] if len(addresses) == 1 else f"{len(addresses):,} addresses"


def _complain(message: str) -> None:
    click.echo(f"itsminer-agent: {message}", err=True)
