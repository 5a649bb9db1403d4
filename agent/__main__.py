"""The command `itsminer-agent`: its sub-commands, each imported when it is called, and what `--help` says of them."""

from __future__ import annotations

from importlib import import_module

import click

COMMANDS = {
    "scan": (
        "agent.commands.scan:scan",
        "Find the miners within RANGEs: 192.168.1.0/24, 192.168.1.10-50, 192.168.1.10-192.168.2.50 or an address.",
    ),
    "preview": (
        "agent.commands.preview:preview",
        "Print exactly what would leave the site of the machine at each ADDRESS (or range), and nothing more.",
    ),
    "enroll": (
        "agent.commands.enrolment:enroll",
        "Trade the one-time CODE that the backend gave for this site's token.",
    ),
    "run": ("agent.commands.run:run", "Ask this site's machines and send what they say, until SIGTERM or Ctrl-C."),
    "check-config": (
        "agent.commands.run:check_config",
        "Check a settings FILE: say what to change (exit code 1), or what is in effect.",
    ),
    "status": ("agent.commands.onsite:status", "Say how the agent of this site does."),
    "pause": (
        "agent.commands.pausing:pause",
        "Ask no machine and send nothing, at once and until `resume`, also after a restart.",
    ),
    "resume": ("agent.commands.pausing:resume", "End a pause: asking and sending begin again where they stopped."),
    "reveal": ("agent.commands.onsite:reveal", "Say what stands behind a PSEUDONYM (mnr-…, wrk-…, act-…, pol-…)."),
    "export-labels": (
        "agent.commands.keys:export_labels",
        "Write what stands behind each pseudonym into a new FILE that only you can read, for your own dashboards.",
    ),
    "forget": ("agent.commands.keys:forget", "Forget what stands behind a PSEUDONYM, for good."),
    "rotate-key": ("agent.commands.keys:rotate_key", "Make a new site key: every pseudonym becomes another one."),
    "support-bundle": (
        "agent.commands.support:support_bundle",
        "Collect what support needs to know of the machine at ADDRESS: facts, a reading, its logs over SSH.",
    ),
    "lan-password": (
        "agent.commands.lan:lan_password",
        "Set the password of the on-site page; the page opens once it has one.",
    ),
    "simulate": ("agent.simulator.command:simulate", "Simulate a farm of miners on loopback, until Ctrl-C."),
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
@click.version_option(package_name="itsminer", prog_name="itsminer-agent")
def main() -> None:
    """Ask this site's miners how they do; forward numbers, never names."""


if __name__ == "__main__":
    main()
