"""`scan`: which machines there are."""

from __future__ import annotations

import contextlib
import ipaddress
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

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
from agent.commands.options import complaining, config_option, settings_of
from agent.discover import discover, expand
from agent.drivers.protocol import Driver
from agent.reading import Facts


@click.command()
@click.argument("ranges", metavar="[RANGE]…", nargs=-1)
@json_option
@engine_option
@passwords_option
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
        addresses = given(ranges) if ranges else expand(settings.network.ranges, settings.network.exclude)
        if not addresses:
            raise click.UsageError("name a RANGE, such as 192.168.1.0/24, or settings that have some")
        driver = driver_for(settings, addresses, config=config, engine=engine, vendor_passwords=vendor_passwords)
        found = run(_scan(addresses, driver, settings.network.connections_per_s, as_json=as_json))
    if not as_json and found:
        wide_console().print(_machines(found))
    if not found:
        complain(f"no miner answered at {_counted(addresses)}; check the range, and that this host may reach it")
        raise click.exceptions.Exit(1)


async def _scan(addresses: Sequence[str], driver: Driver, connections_per_s: float, *, as_json: bool) -> list[Facts]:
    found = []
    with progress(len(addresses)) as looked_at:
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


def _counted(addresses: Sequence[str]) -> str:
    return addresses[0] if len(addresses) == 1 else f"{len(addresses):,} addresses"
