"""The command `itsminer-agent simulate`."""

from __future__ import annotations

import asyncio
import json
import resource
import signal
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import click
import uvloop

from agent import logs
from agent.commands.options import complaining
from agent.errors import Misconfigured
from agent.simulator.families.kinds import FAMILIES
from agent.simulator.farm import SHARED_ABOVE, Farm
from agent.simulator.faults import MEANING
from agent.simulator.machine import Machine
from agent.simulator.roster import DEFAULT_MIX, addresses, capture_machines, family_machines, mix_of, shared_out
from agent.simulator.script import Script
from agent.simulator.script import __doc__ as script_format

_CONNECTIONS_OF_A_MACHINE = 4  # asic-rs keeps up to five to one Antminer, but not to all of them at once
_KEPT_CONNECTIONS = 2  # of each machine of a large farm: asic-rs keeps what it opened for 90 s
_SPARE_DESCRIPTORS = 128
_EPILOG = (
    "\b\nFaults:\n"
    + "\n".join(f"  {fault.value:<15} {meaning}" for fault, meaning in MEANING.items())
    + "\n\n"
    + "\n\n".join(f"\b\n{paragraph}" for paragraph in (script_format or "").strip().split("\n\n"))
)


def _mix(context: click.Context, parameter: click.Parameter, value: str | None) -> dict[str, int] | None:
    try:
        return None if value is None else mix_of(value)
    except Misconfigured as error:
        raise click.BadParameter(str(error)) from error


def _base(context: click.Context, parameter: click.Parameter, value: str) -> str:
    try:
        return next(addresses(value))
    except Misconfigured as error:
        raise click.BadParameter(str(error)) from error


@click.command(epilog=_EPILOG)
@click.option("--machines", type=click.IntRange(1, 60_000), help="How many machines; the mix is scaled to it.")
@click.option(
    "--mix",
    callback=_mix,
    metavar="FAMILY:N,…",
    help=f"How many of each family: {', '.join(FAMILIES)}.  "
    f"[default: {','.join(f'{family}:{count}' for family, count in DEFAULT_MIX.items())}]",
)
@click.option(
    "--captures",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Replay every recording (a folder with a manifest.json) of this folder instead of families.",
)
@click.option(
    "--base",
    default="127.77.0.1",
    show_default=True,
    callback=_base,
    metavar="ADDRESS",
    help="Address of the first machine; the others follow, without .0 and .255.",
)
@click.option(
    "--faults", metavar="FILE|demo", help="Fault script (a TOML file, see below), or `demo` for the built-in one."
)
@click.option(
    "--seed", type=click.IntRange(0, 1_000_000), default=1, show_default=True, help="Another farm: other names."
)
@click.option(
    "--shared-ports",
    is_flag=True,
    help=f"One listener for all machines of a port; automatic above {SHARED_ABOVE:,} machines. "
    "An unreachable machine then resets connections instead of refusing them.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON line for each machine, when all of them listen.")
def simulate(
    machines: int | None,
    mix: dict[str, int] | None,
    captures: Path | None,
    base: str,
    faults: str | None,
    seed: int,
    shared_ports: bool,
    as_json: bool,
) -> None:
    """Simulate a farm of miners on loopback, until Ctrl-C.

    Each machine is one address that answers as its firmware does (TCP 4028, HTTP 80, Whatsminer v3 on 4433).
    Families whose ports may not be bound are left out, with a word on stderr. SIGHUP ends all faults and begins the
    fault script again, as its file is then.
    """
    logs.configure()
    if captures is not None and mix is not None:
        raise click.UsageError("give --mix or --captures, not both")
    with complaining():
        if captures is not None:
            roster = capture_machines(captures, machines, base=base, seed=seed)
        else:
            wanted = mix or DEFAULT_MIX
            wanted = shared_out(wanted, sum(wanted.values()) if machines is None else machines)
            roster = family_machines(wanted, base=base, seed=seed)
        farm = Farm(roster, shares_ports=True if shared_ports else None)
        _provide_descriptors(farm)
        uvloop.run(_run(farm, faults, as_json=as_json))


async def _run(farm: Farm, faults: str | None, *, as_json: bool) -> None:
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with farm.listening():
        for family, reason in farm.left_out.items():
            click.echo(f"itsminer-agent: left out {family}: {reason}", err=True)
        if not farm.machines:
            raise Misconfigured("no machine is left to simulate")
        script = _script(faults, farm.machines)
        if script is not None:
            script.begin(farm.clock())
        loop.add_signal_handler(signal.SIGHUP, _begin_again, farm, faults)
        click.echo(_as_json(farm.machines) if as_json else _summary(farm.machines, script))
        await stop.wait()


def _begin_again(farm: Farm, faults: str | None) -> None:
    try:
        script = _script(faults, farm.machines)
    except Misconfigured as error:
        click.echo(f"itsminer-agent: the faults stay as they were: {error}", err=True)
        return
    for machine in farm.machines:
        machine.faults.end()
    if script is not None:
        script.begin(farm.clock())


def _script(faults: str | None, machines: Sequence[Machine]) -> Script | None:
    match faults:
        case None:
            return None
        case "demo":
            return Script.demo(machines)
        case path:
            return Script.read(Path(path), machines)


def _provide_descriptors(farm: Farm) -> None:
    """Raise the soft limit to what the farm needs, and say so when the hard limit does not allow it."""
    listeners = farm.listeners_needed
    machines = len(farm.machines)
    connections = max(_CONNECTIONS_OF_A_MACHINE * min(machines, SHARED_ABOVE), _KEPT_CONNECTIONS * machines)
    wanted = listeners + connections + _SPARE_DESCRIPTORS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if allowed > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    if hard != resource.RLIM_INFINITY and hard < listeners + _SPARE_DESCRIPTORS:
        raise Misconfigured(
            f"{listeners:,} listeners need more than the {hard:,} descriptors that this process may open: "
            "raise `ulimit -n`, or give --shared-ports"
        )
    if allowed < wanted:
        click.echo(
            f"itsminer-agent: {hard:,} descriptors may be open, {wanted:,} would be safe: "
            "connections may be refused when many come at once; raise `ulimit -n`",
            err=True,
        )


def _as_json(machines: Sequence[Machine]) -> str:
    return "\n".join(
        json.dumps({"address": machine.address, "family": machine.family, "identifiers": machine.identifiers})
        for machine in machines
    )


def _summary(machines: Sequence[Machine], script: Script | None) -> str:
    """What listens where, and what will break when."""
    lines = [f"{len(machines)} machines listen on {machines[0].address} to {machines[-1].address}; Ctrl-C stops them."]
    for family, count in Counter(machine.family for machine in machines).items():
        ours = [machine for machine in machines if machine.family == family]
        ports = ", ".join(str(port) for port in ours[0].firmware.ports.values())
        lines.append(f"  {count:>5} {family:<32} {ours[0].address:>15} …  port {ports}")
    for line, cast in script.casts if script else ():
        end = "for ever" if line.end is None else f"until {line.end.total_seconds():g} s"
        where = ", ".join(machine.address for machine in cast[:3]) + (
            f" and {len(cast) - 3} more" if len(cast) > 3 else ""
        )
        lines.append(f"  from {line.at.total_seconds():g} s {end}: {line.fault.value} at {where}")
    return "\n".join(lines)
