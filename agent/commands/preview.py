"""`preview`: what would leave the site of each machine."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

import click
from rich.table import Table

from agent import logs
from agent.commands.looking import (
    complain,
    driver_for,
    engine_option,
    given,
    json_option,
    passwords_option,
    progress,
    run,
    wide_console,
)
from agent.commands.options import complaining, config_option, settings_of, state_of, state_option
from agent.config import AgentSettings
from agent.discover import discover, expand
from agent.drivers.protocol import Driver, Miner
from agent.errors import AgentError
from agent.identity import identity
from agent.keyring import Keyring, Kind
from agent.known import remembered
from agent.pools import PublicPools
from agent.privacy import Privacy
from agent.pseudonym import pseudonymize
from agent.reading import Facts, RawReading
from agent.twins import Remembered, told_apart
from agent.wire import Reading, encode

_AT_ONCE: Final = 32

Result = TypeVar("Result")


@click.command()
@click.argument("addresses", metavar="ADDRESS…", nargs=-1, required=True)
@json_option
@engine_option
@passwords_option
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
    pseudonyms are made with one that is forgotten at once. Where only totals leave the site, it says so. Exit code 1
    when any of them does not answer.
    """
    logs.configure(level="warning")
    with complaining():
        settings = settings_of(config)
        within = given(addresses)  # all or none, before anything is asked
        driver = driver_for(settings, within, config=config, engine=engine, vendor_passwords=vendor_passwords)
        site = _site(settings, config, state)
        if site.why_totals:
            complain(f"{site.why_totals}; of these readings their sums and percentiles, by model from 5 machines on")
        show = _Preview(settings, site, driver, as_json=as_json)
        silent = run(show.all(addresses))
    for address in silent:
        complain(f"{address}: {silent[address]}")
    if silent:
        raise click.exceptions.Exit(1)


class _Site(NamedTuple):
    """What is known of the site itself."""

    keyring: Keyring
    listed: list[Facts]
    why_totals: str
    """Why only totals leave it; empty when readings do."""


def _site(settings: AgentSettings, config: Path | None, state: Path | None) -> _Site:
    """The site's own key and its machines where there is one. A state folder that was named has to have it."""
    place = state_of(config, state)
    why_totals = Privacy(settings.privacy.mode, place.totals_only).why
    if state is None and not place.key.exists():
        return _Site(Keyring.throwaway(), [], why_totals)
    keyring = Keyring.load(place.key)
    return _Site(keyring, remembered(place.machines, keyring), why_totals)


class _Preview:
    """Reads machines and prints what would leave."""

    def __init__(self, settings: AgentSettings, site: _Site, driver: Driver, *, as_json: bool) -> None:
        self._roster = Remembered.of(site.listed)
        self._settings = settings
        self._keyring = site.keyring
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
        with progress(len(addresses)) as looked_at:
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
            wide_console().print(_fields(address, reading))


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
