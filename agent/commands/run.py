"""`run` and `check-config`."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import click
import structlog

from agent import allocator, enrolment, logs, transit
from agent.commands.options import Complaint, complaining, config_option, settings_of
from agent.config import DEFAULT_FILE, AgentSettings, load
from agent.daemon import Daemon, Manager
from agent.discover import expand
from agent.enrolment import State
from agent.errors import AgentError, Misconfigured
from agent.keyring import Keyring
from agent.lan.server import context


@click.command()
@config_option
@click.option("--log-format", type=click.Choice(["logfmt", "json"]), help="Instead of the settings' log.format.")
def run(config: Path | None, log_format: Literal["logfmt", "json"] | None) -> None:
    """Ask this site's machines and send what they say, until SIGTERM or Ctrl-C. SIGHUP reads the settings again."""

    def chosen() -> AgentSettings:
        found = settings_of(config)
        wanted = found.log.model_copy(update={"format": log_format or found.log.format})
        return found.model_copy(update={"log": wanted})

    def checked() -> AgentSettings:
        found = chosen()
        _check_ready(found, config)
        return found

    with complaining():
        settings = chosen()
        logs.configure(settings.log.format, settings.log.level)
        _check_ready(settings, config)
        allocator.settle()
        try:
            with asyncio.Runner(loop_factory=_loop) as runner:
                runner.run(_until_signalled(settings, checked))
        except ExceptionGroup as group:
            structlog.get_logger().critical("agent.failed", exc_info=group)
            raise Complaint("stopped by a fault of its own; the log says which") from group


@click.command("check-config")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
def check_config(file: Path) -> None:
    """Check a settings FILE: say what to change (exit code 1), or what is in effect."""
    with complaining():
        settings = load(file)
        faults = _faults(settings)
        if faults:
            raise Misconfigured("\n".join(f"{file}: {fault}" for fault in faults))
    for name, value in _effective(settings):
        click.echo(f"{name} = {value}")
    addresses = len(expand(settings.network.ranges, settings.network.exclude))
    click.echo(
        f"\n{file} is right: {addresses} addresses to look at, each machine asked every {settings.poll.interval_s:g} s."
    )
    try:
        enrolled = enrolment.load(State(settings.state_dir))
        click.echo(f"Enrolled as {enrolled.site_name or enrolled.site} at {settings.backend.url or enrolled.url}.")
    except (AgentError, PermissionError) as error:
        click.echo(f"Note: {error}. To enrol: {_enroll_command(file)}")


def _check_ready(settings: AgentSettings, config: Path | None) -> None:
    """What must be right before anything is started. Raises `Misconfigured`."""
    state = State(settings.state_dir)
    if not state.enrolment.exists():
        raise Misconfigured(f"this site is not enrolled yet; run: {_enroll_command(config)}")
    Keyring.load(state.key)
    faults = _faults(settings)
    if faults:
        raise Misconfigured("\n".join(f"{config or DEFAULT_FILE}: {fault}" for fault in faults))


def _faults(settings: AgentSettings) -> list[str]:
    """What the shape of the settings does not show: files, and ranges that mean something."""
    found = []
    for credential in settings.credentials:
        try:
            credential.password()
        except Misconfigured as error:
            found.append(str(error))
    for login in settings.ssh:
        try:
            login.password()
            login.key()
        except Misconfigured as error:
            found.append(str(error))
    try:
        transit.tls(settings.backend.ca_file)
        context(settings.lan)
        if not expand(settings.network.ranges, settings.network.exclude):
            found.append('network.ranges names no address; write for example ranges = ["192.168.1.0/24"]')
    except Misconfigured as error:
        found.append(str(error))
    return found


def _effective(settings: AgentSettings) -> list[tuple[str, object]]:
    lines: list[tuple[str, object]] = [("state_dir", settings.state_dir)]
    for section in ("backend", "network", "poll", "spool", "pools", "privacy", "lan", "log"):
        for name, value in getattr(settings, section):
            lines.append((f"{section}.{name}", list(value) if isinstance(value, tuple) else value))
    lines += [
        ("credentials", f"{one.username} on {one.make}, password from {one.password_file}")
        for one in settings.credentials
    ]
    lines += [
        ("ssh", f"{one.username} on {one.make}, by {one.key_file or one.password_file or 'no password'}")
        for one in settings.ssh
    ]
    return lines


def _enroll_command(config: Path | None) -> str:
    option = f" --config {config}" if config else ""
    return f"itsminer-agent enroll{option} --backend https://YOUR-BACKEND CODE"


def _loop() -> asyncio.AbstractEventLoop:
    if sys.platform == "win32":
        return asyncio.new_event_loop()
    import uvloop

    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop


async def _until_signalled(settings: AgentSettings, load_again: Callable[[], AgentSettings]) -> None:
    from agent import app  # brings libraries in, which takes a second that no check should wait for
    from agent.drivers import authorities

    authorities.show_one()
    stop, again = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if sys.platform != "win32":
        loop.add_signal_handler(signal.SIGHUP, again.set)
    daemon = Daemon(Manager(os.environ), again, load_again)
    await app.run(settings, lambda: datetime.now(UTC), stop, daemon=daemon)
