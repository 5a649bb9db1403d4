"""Writes the parts of docs/ that follow from the code: `make docs`. `--check` says what is stale and exits 1."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import click
from pydantic import BaseModel

from agent import wire
from agent.__main__ import main as agent_command
from backend.__main__ import main as backend_command
from backend.store.metrics import BOARD_METRICS, METRICS, Quantity
from backend.store.told import TOTAL_OF

HERE = Path(__file__).parent
DO_NOT_EDIT = "<!-- Written by `make docs` from the code; change the code instead. -->\n\n"


def contract() -> str:
    """The wire contract, field by field."""
    text = (
        f"# Wire contract v{wire.CONTRACT}: everything that may leave a site\n\n{DO_NOT_EDIT}"
        "A batch is JSON (UTF-8), compressed with zstd or gzip, sent with `POST /v1/batches`. A field that a\n"
        "machine does not give is absent, never 0. A field that is not listed here is refused on both sides: it\n"
        "cannot leave the site.\n"
    )
    models: tuple[type[BaseModel], ...] = (
        wire.Batch,
        wire.Reading,
        wire.Board,
        wire.Pool,
        wire.Aggregate,
        wire.Spread,
    )
    for model in models:
        text += f"\n## {model.__name__}\n{model.__doc__}\n\n| field | always | what and why |\n| --- | --- | --- |\n"
        for name, field in model.model_fields.items():
            text += f"| `{name}` | {'yes' if field.is_required() else ''} | {field.description} |\n"
    states = ", ".join(f"`{state}`" for state in wire.State)
    return f"{text}\n`state` is one of {states}.\n"


def metrics() -> str:
    """The catalogue of metrics."""
    text = (
        f"# Metrics\n\n{DO_NOT_EDIT}"
        "What `GET /v1/series` and `GET /v1/metrics` know, of a machine in a poll. Engines keep whole numbers, scaled\n"
        "by the decimals. Of a flag (0 or 1) the mean is a share of time and the sum over machines a count of\n"
        "them. A site that tells totals in place of readings is part of sums of those that say so.\n\n"
        "| metric | unit | type | from | to | decimals | told by sites | what it is |\n"
        "| --- | --- | --- | --- | --- | --- | --- | --- |\n"
    )
    for metric in METRICS.values():
        told = "yes" if metric.name in TOTAL_OF else ""
        text += f"| {_numbers(metric)} | {told} | {metric.meaning} |\n"
    text += (
        "\n## Of a hash board\nIn readings and exports; not asked for as series.\n\n"
        "| number | unit | type | from | to | decimals | what it is |\n| --- | --- | --- | --- | --- | --- | --- |\n"
    )
    return text + "".join(f"| {_numbers(one)} | {one.meaning} |\n" for one in BOARD_METRICS.values())


def _numbers(one: Quantity) -> str:
    return f"`{one.name}` | {one.unit} | {one.type} | {one.low:g} | {one.high:g} | {one.decimals}"


def commands() -> str:
    """Both programs' commands as their --help says."""
    text = f"# Commands\n\n{DO_NOT_EDIT}"
    for name, group in (("itsminer-agent", agent_command), ("itsminer-backend", backend_command)):
        text += f"## {name}\n\n"
        for path, command in _walk(name, group):
            context = click.Context(command, info_name=path, terminal_width=110, max_content_width=110)
            text += f"### `{path}`\n```\n{command.get_help(context).rstrip()}\n```\n\n"
    return text


def _walk(path: str, command: click.Command) -> list[tuple[str, click.Command]]:
    if not isinstance(command, click.Group):
        return [(path, command)]
    context = click.Context(command, info_name=path)
    found: list[tuple[str, click.Command]] = []
    for name in command.list_commands(context):
        child = command.get_command(context, name)
        assert child is not None
        found += _walk(f"{path} {name}", child)
    return found


PAGES: dict[str, Callable[[], str]] = {"contract.md": contract, "commands.md": commands, "metrics.md": metrics}


def main() -> int:
    """Write, or with --check compare."""
    stale = [name for name, page in PAGES.items() if not (HERE / name).exists() or (HERE / name).read_text() != page()]
    if "--check" in sys.argv:
        for name in stale:
            print(f"docs/{name} is not what the code says: run `make docs`", file=sys.stderr)  # noqa: T201
        return bool(stale)
    for name in stale:
        (HERE / name).write_text(PAGES[name]())
    return 0


if __name__ == "__main__":
    sys.exit(main())
