"""`incident`: a breach of security, from its record to the regulator's report. `cease`: the end of the service."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
from sqlalchemy.ext.asyncio import AsyncSession

from backend.commands.options import Failed, Row, config_option, json_option, show, show_all, transact
from backend.config import BackendSettings
from backend.privacy import ceasing, incidents
from backend.privacy.incidents import Told
from backend.privacy.reach import Reach, affected

_MOMENT = click.DateTime(["%Y-%m-%dT%H:%M", "%Y-%m-%d"])
_DRY = click.option("--dry-run", is_flag=True, help="Say whom it reaches; write and send nothing.")


@click.group()
def incident() -> None:
    """Incidents of security, and who is told of them."""


@incident.command("record")
@click.option("--title", required=True, help="A line that members read first.")
@click.option("--what", required=True, help="What happened, and what may follow from it.")
@click.option("--measures", required=True, help="What was done about it.")
@click.option("--advice", required=True, help="What members can do.")
@click.option("--since", required=True, type=_MOMENT, help="When it began, UTC: 2026-05-01T08:00.")
@click.option("--until", required=True, type=_MOMENT, help="When it ended, UTC.")
@click.option("--actor", "actors", multiple=True, help="Whose accesses are suspect: an id of the audit log; or all.")
@click.option("--account", "accounts", multiple=True, help="Of which accounts; by default all.")
@click.option("--everybody", is_flag=True, help="All members, whatever the audit log says: a stolen database.")
@_DRY
@config_option
@json_option
def record(
    title: str,
    what: str,
    measures: str,
    advice: str,
    since: datetime,
    until: datetime,
    actors: tuple[str, ...],
    accounts: tuple[str, ...],
    config: Path,
    *,
    everybody: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Write down an incident; whom it affects is found from the audit log."""
    reach = Reach(
        since=since.replace(tzinfo=UTC),
        until=until.replace(tzinfo=UTC),
        actors=actors,
        accounts=accounts,
        is_everybody=everybody,
    )

    async def work(session: AsyncSession, _settings: BackendSettings) -> Row:
        told = _told(await incidents.preview(session, await affected(session, reach)))
        if dry_run:
            return told
        made = await incidents.record(
            session, title=title, what=what, measures=measures, advice=advice, reach=reach, by="command", now=_now()
        )
        return {"id": made.id, **told}

    note = "Nothing was written." if dry_run else "Next: itsminer-backend incident tell ID"
    show(transact(config, work), as_json=as_json, note=note)


@incident.command("tell")
@click.argument("id")
@config_option
@json_option
def tell(id: str, config: Path, *, as_json: bool) -> None:
    """Tell those affected by mail and text; the running service sends. Who cannot be reached: by an announcement."""

    async def work(session: AsyncSession, _settings: BackendSettings) -> Row:
        return _told(await incidents.tell(session, id, by="command", now=_now()))

    show(transact(config, work), as_json=as_json)


@incident.command("report")
@click.argument("id")
@config_option
def report(id: str, config: Path) -> None:
    """Print the report for the regulator; each delivery is counted as it is now."""

    async def work(session: AsyncSession, settings: BackendSettings) -> str:
        return await incidents.report(session, id, service=settings.contact.name, now=_now())

    click.echo(transact(config, work), nl=False)


@incident.command("list")
@config_option
@json_option
def listed(config: Path, *, as_json: bool) -> None:
    """List all incidents."""

    async def work(session: AsyncSession, _settings: BackendSettings) -> Sequence[Row]:
        return [
            {"id": one.id, "title": one.title, "members": str(members), "told_at": one.told_at}
            for one, members in await incidents.listed(session)
        ]

    show_all(transact(config, work), ("id", "title", "members", "told_at"), as_json=as_json, none="There was none.")


@click.command()
@click.argument("announcement", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--notice-days", required=True, type=click.FloatRange(0, 366), help="When all personal data is erased.")
@click.option("--yes", is_flag=True, help="End it. There is no way back.")
@click.option("--dry-run", is_flag=True, help="Say what would be done; do nothing.")
@config_option
@json_option
def cease(announcement: Path, notice_days: float, config: Path, *, yes: bool, dry_run: bool, as_json: bool) -> None:
    """End the whole service: nothing is stored any more, all members are told, then all personal data is erased.

    ANNOUNCEMENT is a file with what everybody is told. The running service does it, and goes on after each start
    until it is done: GET /v1/cessation says how far it is.
    """
    text = announcement.read_text(encoding="utf-8")
    if not (yes or dry_run):
        raise Failed("this erases the data of everybody: say --dry-run to see how much, --yes to do it")

    async def work(session: AsyncSession, _settings: BackendSettings) -> Row:
        now = _now()
        notice = timedelta(days=notice_days)
        found = await ceasing.scale(session, now=now)
        row: Row = {
            "accounts": str(found.accounts),
            "held": str(found.held),
            "members": str(found.members),
            "erases_at": now + notice,
        }
        if not dry_run:
            await ceasing.begin(session, text, notice=notice, by="command", now=now)
        return row

    show(transact(config, work), as_json=as_json, note="Nothing was done." if dry_run else "")


def _told(told: Told) -> Row:
    return {
        "members": str(told.members),
        "by_email": str(told.by_email),
        "by_sms": str(told.by_sms),
        "by_announcement": str(told.by_announcement),
    }


def _now() -> datetime:
    return datetime.now(UTC)
