"""`pause` and `resume`: the same as the button of the on-site page."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import click

from agent import pause as pauses
from agent import status as statuses
from agent.commands.options import Complaint, complaining, config_option, state_of, state_option
from agent.enrolment import State
from agent.errors import Misconfigured
from agent.status import Status

_HEARD_S: Final = 10.0
_LOOK_S: Final = 0.1


@click.command()
@config_option
@state_option
def pause(config: Path | None, state: Path | None) -> None:
    """Ask no machine and send nothing, at once and until `resume`, also after a restart.

    What is under way is broken off. What was read before stays on this computer and is sent after `resume`.
    """
    with complaining():
        place = _place(config, state)
        if not place.pause.exists():  # the beginning of one that is on is worth keeping
            pauses.begin(place.pause, datetime.now(UTC))
        heard = _heard(place, paused=True)
    if heard:
        click.echo("Paused: no machine is asked and nothing is sent until `itsminer-agent resume`.")
    else:
        click.echo("No agent is running; the next one starts paused, until `itsminer-agent resume`.")


@click.command()
@config_option
@state_option
def resume(config: Path | None, state: Path | None) -> None:
    """End a pause: asking and sending begin again where they stopped."""
    with complaining():
        place = _place(config, state)
        pauses.end(place.pause)
        heard = _heard(place, paused=False)
    click.echo("Resumed." if heard else "The pause is over; no agent is running.")


def _place(config: Path | None, state: Path | None) -> State:
    place = state_of(config, state)
    if not place.folder.is_dir():
        raise Misconfigured(f"there is no state folder {place.folder}: no agent has been enrolled there")
    return place


def _heard(place: State, *, paused: bool) -> bool:
    """Wait until the running agent says that it is so; False when none is running."""
    ends_s = time.monotonic() + _HEARD_S
    while (found := _running(place)) is not None:
        if (found.paused_since is not None) == paused:
            return True
        if time.monotonic() > ends_s:
            raise Complaint(
                f"the agent (pid {found.pid}) has not said within {_HEARD_S:g} s that it "
                f"{'rests' if paused else 'works again'}; look at its log, or stop it"
            )
        time.sleep(_LOOK_S)
    return False


def _running(place: State) -> Status | None:
    try:
        found = statuses.read(place.status)
    except Misconfigured:
        return None
    return None if found.life(datetime.now(UTC)) == "stopped" else found
