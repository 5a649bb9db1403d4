"""The command `itsminer-backend`: which sub-command is where. Each is imported only when it is called."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version

import click

COMMANDS = {
    "serve": "backend.commands.serve:serve",
    "account": "backend.commands.registry:account",
    "member": "backend.commands.registry:member",
    "site": "backend.commands.registry:site",
    "token": "backend.commands.registry:token",
    "staff": "backend.commands.staff:staff",
    "seal": "backend.commands.staff:seal",
    "incident": "backend.commands.incident:incident",
    "cease": "backend.commands.incident:cease",
    "import": "backend.commands.importing:import_",
    "audit": "backend.commands.audit:audit",
    "processor": "backend.commands.privacy:processor",
    "policy": "backend.commands.privacy:policy",
    "promote": "backend.commands.privacy:promote",
    "hold": "backend.commands.privacy:hold",
    "retention": "backend.commands.retention:retention",
    "influx-token": "backend.commands.influx:influx_token",
    "warnings": "backend.commands.warnings:warnings",
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
@click.version_option(version("itsminer"), prog_name="itsminer-backend")
def main() -> None:
    """Store what agents send, warn, and forget on time."""


if __name__ == "__main__":
    main()
