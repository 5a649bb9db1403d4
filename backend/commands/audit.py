"""`itsminer-backend audit`: prove that nobody changed the log of accesses to personal data, and read it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import click
from sqlalchemy.ext.asyncio import AsyncSession

from backend.commands.options import Failed, Row, config_option, json_option, show, show_all, transact
from backend.config import BackendSettings
from backend.privacy import audit as log
from backend.privacy import digests
from backend.privacy.audit import Verdict

COLUMNS = ("seq", "at", "actor", "action", "account", "subject", "outcome")


@click.group()
def audit() -> None:
    """Who saw personal data."""


@audit.command()
@click.option(
    "--anchors",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A copy of the anchors that was kept elsewhere; by default the file of privacy.anchor_file.",
)
@config_option
@json_option
def verify(anchors: Path | None, config: Path, *, as_json: bool) -> None:
    """Walk the whole chain and compare it with the anchors. Exit code 1 when anything was changed."""

    async def work(session: AsyncSession, settings: BackendSettings) -> Verdict:
        try:
            known = log.read_anchors(anchors or settings.anchor_file)
        except (ValueError, OSError) as error:
            raise Failed(f"the anchors cannot be read: {error}") from error
        return await log.verify(session, known)

    verdict = transact(config, work)
    if verdict.faults:
        raise Failed("\n".join(("the audit log is not what it was:", *verdict.faults)))
    row: Row = {
        "entries": str(verdict.entries),
        "end": f"{verdict.seq} {verdict.digest}",
        "anchors": str(verdict.anchors),
        "verdict": "unchanged",
    }
    show(row, as_json=as_json)


@audit.command()
@config_option
@json_option
def anchor(config: Path, *, as_json: bool) -> None:
    """Write the log's end down now, and print it: keep it where the database's user cannot change it."""

    async def work(session: AsyncSession, settings: BackendSettings) -> Row:
        made = await digests.anchor_now(session, settings.anchor_file, now=datetime.now(UTC))
        return {"at": made.at, "seq": str(made.seq), "digest": made.digest}

    show(transact(config, work), as_json=as_json)


@audit.command("list")
@click.option("--account", help="Of one account only, by its id.")
@click.option("--last", default=50, show_default=True, type=click.IntRange(1, 10_000), help="How many.")
@config_option
@json_option
def listed(account: str | None, last: int, config: Path, *, as_json: bool) -> None:
    """List the newest entries."""

    async def work(session: AsyncSession, _settings: BackendSettings) -> Sequence[Row]:
        return [
            {
                "seq": str(one.seq),
                "at": one.at,
                "actor": one.actor,
                "action": one.action,
                "account": one.account_id,
                "subject": one.subject,
                "outcome": one.outcome,
            }
            for one in await log.entries(session, account=account, most=last)
        ]

    show_all(transact(config, work), COLUMNS, as_json=as_json, none="nobody saw anything yet")
