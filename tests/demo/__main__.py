"""`python -m tests.demo [--seconds N] [--machines N]`: see `make demo`. The last line is one JSON object."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import click
from rich.console import Console
from rich.live import Live

from tests.demo.snapshot import Snapshot, look
from tests.demo.story import Story, rules
from tests.demo.view import screen
from tests.world.world import World, world


@click.command()
@click.option("--seconds", type=float, help="Stop by itself after so long.")
@click.option("--once", is_flag=True, help="Stop by itself when all has been shown.")
@click.option("--machines", default=60, show_default=True)
@click.option("--interval", default=5.0, show_default=True, help="Seconds from poll to poll; rules follow it.")
def demo(seconds: float | None, machines: int, interval: float, *, once: bool) -> None:
    """A simulated farm, an agent, a backend, a mail server and an SMS gateway, all on this machine."""
    with tempfile.TemporaryDirectory(prefix="itsminer-demo-") as folder:
        try:
            summary = asyncio.run(_demo(Path(folder), seconds, machines, interval, once=once))
        except* KeyboardInterrupt:
            sys.exit(130)
    click.echo(json.dumps(summary))
    sys.exit(1 if summary["identifiers_leaked"] else 0)


async def _demo(folder: Path, seconds: float | None, machines: int, interval_s: float, *, once: bool) -> dict[str, int]:
    console = Console(stderr=not sys.stdout.isatty())
    console.print("Starting a backend, an account, a farm and its agent …")
    async with world(folder, interval_s=interval_s, deadline_s=interval_s * 0.8, rules=rules(interval_s)) as here:
        await here.start_farm("--machines", str(machines))
        await here.enrol()
        pages = {"Page": f"{here.backend_url}/#token={here.token}", "At the site": await here.open_site_page()}
        await here.start_agent()
        story = Story(here, machines)
        last = await _watch(here, console, pages, seconds, story, once=once)
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


async def _watch(
    here: World, console: Console, pages: Mapping[str, str], seconds: float | None, story: Story, *, once: bool
) -> Snapshot:
    """Show the farm until the time is over, the story is told (`once`), or somebody presses Ctrl-C."""
    enough = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(signum, enough.set)
    start = time.monotonic()
    last = Snapshot()
    with contextlib.ExitStack() as closing:
        live = None
        if console.is_terminal:
            live = Live(screen(last, pages, seconds), console=console, screen=True, auto_refresh=False)
            closing.enter_context(live)
        else:
            for name, url in pages.items():
                console.print(f"{name}: {url}", soft_wrap=True, highlight=False)
        while not enough.is_set() and (seconds is None or time.monotonic() - start < seconds):
            seen, last = last, await look(here, time.monotonic() - start)
            if live is not None:
                live.update(screen(last, pages, seconds), refresh=True)
            else:
                _tell(console, seen, last)
            story.go_on(last)
            if once and story.is_told:
                break
            await _pause(enough, 0.5)
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
