"""The command `itsminer-agent`: which sub-command is where. Each is imported only when it is called."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version

import click

COMMANDS = {
    "scan": "agent.commands.scan:scan",
    "preview": "agent.commands.preview:preview",
    "enroll": "agent.commands.enrolment:enroll",
    "run": "agent.commands.run:run",
    "check-config": "agent.commands.run:check_config",
    "status": "agent.commands.onsite:status",
    "pause": "agent.commands.pausing:pause",
    "resume": "agent.commands.pausing:resume",
    "reveal": "agent.commands.onsite:reveal",
    "export-labels": "agent.commands.keys:export_labels",
    "forget": "agent.commands.keys:forget",
    "rotate-key": "agent.commands.keys:rotate_key",
    "support-bundle": "agent.commands.support:support_bundle",
    "lan-password": "agent.commands.lan:lan_password",
    "simulate": "agent.simulator.command:simulate",
}


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(import_module(module), name)
        return command


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("itsminer"), prog_name="itsminer-agent")
def main() -> None:
    """Ask this site's miners how they do; forward numbers, never names."""


if __name__ == "__main__":
    main()
