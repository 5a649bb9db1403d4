"""The command `itsminer-backend`: its sub-commands, each imported when it is called, and what `--help` says of them."""

from __future__ import annotations

from importlib import import_module

import click

COMMANDS = {
    "serve": ("backend.commands.serve:serve", "Run the service until SIGTERM or SIGINT; it logs to standard error."),
    "account": ("backend.commands.registry:account", "Customers."),
    "member": ("backend.commands.registry:member", "People of an account, and where warnings reach them."),
    "site": ("backend.commands.registry:site", "Farms of an account, and codes that enrol their agents."),
    "token": ("backend.commands.registry:token", "Read tokens of an account, for Grafana and other programs."),
    "staff": ("backend.commands.staff:staff", "People who work for the service."),
    "seal": ("backend.commands.staff:seal", "The keys that contacts are sealed with."),
    "incident": ("backend.commands.incident:incident", "Incidents of security, and who is told of them."),
    "cease": (
        "backend.commands.incident:cease",
        "End the whole service: nothing is stored any more, all members are told, then all personal data is erased.",
    ),
    "import": (
        "backend.commands.importing:import_",
        "Take in an account that was exported (GET /v1/export), while the service is stopped.",
    ),
    "audit": ("backend.commands.audit:audit", "Who saw personal data."),
    "processor": (
        "backend.commands.privacy:processor",
        "Who handles personal data for the service: nothing is sent through anybody else.",
    ),
    "policy": ("backend.commands.privacy:policy", "The privacy policy and its versions."),
    "promote": (
        "backend.commands.privacy:promote",
        "Send a promotional mail to those members who agreed to get some, and to nobody else.",
    ),
    "hold": ("backend.commands.privacy:hold", "What the law asks to keep past its window; nothing else is."),
    "retention": ("backend.commands.retention:retention", "How long data is kept."),
    "influx-token": (
        "backend.commands.influx:influx_token",
        "Print a new token that may read and write the store's buckets on InfluxDB, and do nothing else.",
    ),
    "warnings": ("backend.commands.warnings:warnings", "Try the rules."),
}


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(import_module(module), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, what) for name, (_, what) in COMMANDS.items()])


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="itsminer", prog_name="itsminer-backend")
def main() -> None:
    """Store what agents send, warn, and forget on time."""


if __name__ == "__main__":
    main()
