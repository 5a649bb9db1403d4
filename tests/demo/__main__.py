"""`python -m tests.demo [--seconds N] [--machines N]`: see `make demo`. The last line is one JSON object."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import tempfile
import time
from pathlib import Path

import click
from rich.console import Console
from rich.live import Live

from tests.demo.snapshot import Snapshot, look
from tests.demo.view import screen
from tests.world.world import World, world


@click.command()
@click.option("--seconds", type=float, help="Stop by itself after so long.")
@click.option("--machines", default=60, show_default=True)
def demo(seconds: float | None, machines: int) -> None:
    """A simulated farm, an agent, a backend, a mail server and an SMS gateway, all on this machine."""
    with tempfile.TemporaryDirectory(prefix="itsminer-demo-") as folder:
        try:
            summary = asyncio.run(_demo(Path(folder), seconds, machines))
        except* KeyboardInterrupt:
            sys.exit(130)
    click.echo(json.dumps(summary))
    sys.exit(1 if summary["identifiers_leaked"] else 0)


async def _demo(folder: Path, seconds: float | None, machines: int) -> dict[str, int]:
    console = Console(stderr=not sys.stdout.isatty())
    console.print("Starting a backend, an account, a farm and its agent …")
    async with world(folder) as here:
        await here.start_farm("--machines", str(machines), "--faults", "demo")
        await here.enrol()
        await here.start_agent()
        url = f"{here.backend_url}/#token={here.token}"
        last = await _watch(here, console, url, seconds)
        await here.agent.stop()
        last = await look(here, last.elapsed_s)
        await here.stop()
        leaked = here.leaks()
        for line in leaked:
            console.print(f"LEAKED {line}", style="bold red")
        return {
            "machines": len(last.machines),
            "readings": last.readings,
            "warnings_fired": len(last.warnings),
            "warnings_resolved": sum(w.get("resolved_at") is not None for w in last.warnings),
            "emails": len(here.mail.raw),
            "sms": len(here.sms.raw),
            "identifiers_leaked": len(leaked),
        }


async def _watch(here: World, console: Console, url: str, seconds: float | None) -> Snapshot:
    """Show the farm until the time is over or somebody presses Ctrl-C."""
    enough = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(signum, enough.set)
    start = time.monotonic()
    last = Snapshot()
    if console.is_terminal:
        with Live(screen(last, url, seconds), console=console, screen=True, auto_refresh=False) as live:
            while not enough.is_set() and (seconds is None or time.monotonic() - start < seconds):
                last = await look(here, time.monotonic() - start)
                live.update(screen(last, url, seconds), refresh=True)
                await _pause(enough, 0.5)
        return last
    console.print(f"Page: {url}", soft_wrap=True)
    while not enough.is_set() and (seconds is None or time.monotonic() - start < seconds):
        seen, last = last, await look(here, time.monotonic() - start)
        _tell(console, seen, last)
        await _pause(enough, 1)
    return last


async def _pause(enough: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await enough.wait()
    except TimeoutError:
        pass


def _tell(console: Console, seen: Snapshot, now: Snapshot) -> None:
    """Without a terminal: a line when something changed."""
    before = {w["id"]: w.get("resolved_at") is not None for w in seen.warnings}
    if seen.states != now.states:
        counts = ", ".join(f"{count} {state}" for state, count in sorted(now.states.items()))
        console.print(f"{now.elapsed_s:4.0f} s  {counts}; {now.total('hashrate_ths') / 1000:.2f} PH/s", highlight=False)
    for warning in reversed(now.warnings):
        over = warning.get("resolved_at") is not None
        if before.get(warning["id"]) != over:
            word = "resolved" if over else "fires"
            where = warning.get("machine") or "the site"
            console.print(f"{now.elapsed_s:4.0f} s  {warning['rule']} {word}: {where}", highlight=False)
    for channel, line in now.messages[len(seen.messages) :]:
        console.print(f"{now.elapsed_s:4.0f} s  {channel}: {line}", highlight=False)


if __name__ == "__main__":
    demo()
