"""The demo on a terminal: the farm as a map, warnings as they come and go, messages as they arrive."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from rich.align import Align
from rich.console import Group, RenderableType
from rich.layout import Layout
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from backend.warnings.catalogue import Catalogue
from tests.demo.snapshot import Snapshot

_LOOKS: Final = {
    "hashing": ("■", "green"),
    "idle": ("□", "yellow"),
    "paused": ("▫", "blue"),
    "unreachable": ("×", "bright_black"),
    "fault": ("□", "red"),
}
_WARNED: Final = {"critical": "bold white on red", "warning": "black on yellow", "info": "black on cyan"}
_BARS: Final = "▁▂▃▄▅▆▇█"
_RULES: Final = Catalogue.load()


def screen(snapshot: Snapshot, pages: Mapping[str, str], seconds: float | None) -> RenderableType:
    """All of it, for one frame."""
    layout = Layout()
    layout.split_column(
        Layout(_head(snapshot, pages, seconds), size=3 + len(pages)),
        Layout(name="middle", size=12),
        Layout(_warnings(snapshot), ratio=3),
        Layout(_messages(snapshot), ratio=2, minimum_size=6),
    )
    layout["middle"].split_row(Layout(_farm(snapshot), ratio=2), Layout(_totals(snapshot), ratio=1, minimum_size=36))
    return layout


def _head(snapshot: Snapshot, pages: Mapping[str, str], seconds: float | None) -> RenderableType:
    clock = f"{snapshot.elapsed_s:.0f} s" + (f" of {seconds:.0f} s" if seconds else " · Ctrl-C ends")
    title = Text.assemble(("ItsMiner ", "bold"), "demo farm, all on this machine   ", (clock, "cyan"))
    links = [
        Text.assemble(f"{name}: ", (url, f"underline link {url}"), no_wrap=True, overflow="ellipsis")
        for name, url in pages.items()
    ]
    return Panel(Group(title, *links), border_style="cyan")


def _farm(snapshot: Snapshot) -> RenderableType:
    """One mark a machine, in the order of the pseudonyms, which says nothing about who is who."""
    marks = Text()
    firing = snapshot.firing
    for count, machine in enumerate(snapshot.machines):
        mark, colour = _LOOKS[machine["state"]]
        warning = firing.get(machine["machine"])
        marks.append(f" {mark} ", style=_WARNED[warning["severity"]] if warning else colour)
        marks.append("\n\n" if count % 15 == 14 else " ")
    if not snapshot.machines:
        marks.append("the agent is finding the machines …", style="dim")
    legend = Text.assemble(
        ("■", "green"), " hashing  ", ("□", "yellow"), " idle  ", ("×", "bright_black"), " unreachable  ",
        (" ", _WARNED["warning"]), " warning  ", (" ", _WARNED["critical"]), " critical",
    )  # fmt: skip
    return Panel(Group(Align.center(marks), legend), title=f"{len(snapshot.machines)} machines", border_style="green")


def _totals(snapshot: Snapshot) -> RenderableType:
    hashrate, power = snapshot.total("hashrate_ths"), snapshot.total("power_w")
    hottest = max((m.get("chip_temp_c") or 0 for m in snapshot.machines), default=0)
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim")
    table.add_column(justify="right")
    for name, value in (
        ("hashing", f"{snapshot.states['hashing']} of {len(snapshot.machines)}"),
        ("hashrate", f"{hashrate / 1000:.2f} PH/s"),
        ("power", f"{power / 1000:.0f} kW"),
        ("hottest chip", f"{hottest:.0f} °C"),
        ("readings stored", f"{snapshot.readings:,}"),
        ("warnings now", str(len([w for w in snapshot.warnings if w.get("resolved_at") is None]))),
    ):
        table.add_row(name, value)
    return Panel(Group(table, Text(""), Text(_bars(snapshot.hashrate_ths[-30:]), style="green")), title="now")


def _bars(values: list[float]) -> str:
    top = max(values, default=0) or 1
    return "".join(_BARS[min(int(value / top * len(_BARS)), len(_BARS) - 1)] for value in values)


def _warnings(snapshot: Snapshot) -> RenderableType:
    table = Table(expand=True, box=None, pad_edge=False)
    for column in ("", "what", "machine", "model", "since"):
        table.add_column(column, no_wrap=True)
    table.add_column("value", no_wrap=True, justify="right")
    if not snapshot.warnings:
        table.add_row("", Text("nothing yet: some machines break in a few seconds", style="dim"))
    makes = {machine["machine"]: machine["reading"].get("make") for machine in snapshot.machines}
    for warning in sorted(snapshot.warnings, key=lambda w: w.get("resolved_at") is not None):
        over = warning.get("resolved_at") is not None
        style = "dim" if over else ("red" if warning["severity"] == "critical" else "yellow")
        rule = _RULES[warning["rule"]]
        value = "" if warning.get("value") is None else f"{warning['value']:.0f} {rule.unit or ''}"
        table.add_row(
            "resolved" if over else warning["severity"],
            rule.title,
            warning.get("machine") or "the site",
            f"{makes.get(warning.get('machine')) or ''} {warning.get('model') or ''}".strip(),
            warning["since"][11:19],
            value,
            style=style,
        )
    return Panel(table, title="warnings", border_style="yellow")


def _messages(snapshot: Snapshot) -> RenderableType:
    lines = [
        Text.assemble((f"{channel:>6}  ", "cyan"), line, no_wrap=True, overflow="ellipsis")
        for channel, line in snapshot.messages[-6:]
    ]
    if not lines:
        lines = [Text("nobody was told anything yet", style="dim")]
    names = "The machines' real names never left the simulated site: only it can say which one a pseudonym is."
    return Panel(Group(*lines, Text(names, style="dim")), title="sent to the night shift", border_style="magenta")
