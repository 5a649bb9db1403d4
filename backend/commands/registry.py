"""`account`, `member`, `site`, `token`: who is there, until the pages can do it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import click
from sqlalchemy.ext.asyncio import AsyncSession

from backend.accounts.rights import ROLES
from backend.commands.options import Row, config_option, json_option, show, show_all, transact
from backend.config import BackendSettings
from backend.ids import AccountId, SiteId
from backend.registry import accounts, enrolment, members, sites, tokens


@click.group()
def account() -> None:
    """Customers."""


@click.group()
def member() -> None:
    """People of an account, and where warnings reach them."""


@click.group()
def site() -> None:
    """Farms of an account, and codes that enrol their agents."""


@click.group()
def token() -> None:
    """Read tokens of an account, for Grafana and other programs."""


@account.command("add")
@click.argument("name")
@click.option("--region", help="Where its data is kept; by default this backend's region.")
@config_option
@json_option
def add_account(name: str, region: str | None, config: Path, *, as_json: bool) -> None:
    """Add an account."""

    async def work(session: AsyncSession, settings: BackendSettings) -> Row:
        added = await accounts.add(session, name, region=region or settings.region, now=_now())
        return {"id": added.id, "name": added.name, "region": added.region}

    show(transact(config, work), as_json=as_json)


@account.command("list")
@config_option
@json_option
def list_accounts(config: Path, *, as_json: bool) -> None:
    """List all accounts."""

    async def work(session: AsyncSession, _settings: BackendSettings) -> Sequence[Row]:
        return [
            {"id": one.id, "name": one.name, "region": one.region, "created_at": one.created_at}
            for one in await accounts.listed(session)
        ]

    show_all(transact(config, work), ("id", "name", "region"), as_json=as_json, none="There are no accounts yet.")


@member.command("add")
@click.argument("account", metavar="ACCOUNT")
@click.option("--email", required=True, help="Where mails go.")
@click.option("--phone", help="Where texts go, as +, country and number.")
@click.option("--role", type=click.Choice(ROLES), default="owner", show_default=True)
@click.option("--language", default="en", show_default=True, help="Of mails and texts.")
@click.option("--verified", is_flag=True, help="You vouch for both contacts; nobody else is warned.")
@config_option
@json_option
def add_member(
    account: str,
    email: str,
    phone: str | None,
    role: str,
    language: str,
    config: Path,
    *,
    verified: bool,
    as_json: bool,
) -> None:
    """Add a member to ACCOUNT (id or name)."""

    async def work(session: AsyncSession, _settings: BackendSettings) -> Row:
        added = await members.add(
            session,
            await _account(session, account),
            email=email,
            phone=phone,
            role=role,
            language=language,
            verified=verified,
            now=_now(),
        )
        return {"id": added.id, "email": added.email, "phone": added.phone, "role": added.role}

    show(transact(config, work), as_json=as_json)


@member.command("list")
@click.argument("account", metavar="ACCOUNT")
@config_option
@json_option
def list_members(account: str, config: Path, *, as_json: bool) -> None:
    """List the members of ACCOUNT (id or name)."""

    async def work(session: AsyncSession, _settings: BackendSettings) -> Sequence[Row]:
        return [
            {
                "id": one.id,
                "email": one.email,
                "phone": one.phone,
                "role": one.role,
                "language": one.language,
                "email_verified_at": one.email_verified_at,
                "phone_verified_at": one.phone_verified_at,
            }
            for one in await members.listed(session, await _account(session, account))
        ]

    columns = ("id", "email", "phone", "role", "email_verified_at", "phone_verified_at")
    show_all(transact(config, work), columns, as_json=as_json, none="The account has no members yet.")


@site.command("add")
@click.argument("account", metavar="ACCOUNT")
@click.argument("name")
@config_option
@json_option
def add_site(account: str, name: str, config: Path, *, as_json: bool) -> None:
    """Add a site to ACCOUNT (id or name)."""

    async def work(session: AsyncSession, _settings: BackendSettings) -> tuple[Row, str]:
        added = await sites.add(session, await _account(session, account), name, now=_now())
        note = f"Next: itsminer-backend site code {added.account_id} {added.id}"
        return {"id": added.id, "name": added.name}, note

    row, note = transact(config, work)
    show(row, as_json=as_json, note=note)


@site.command("list")
@click.argument("account", metavar="ACCOUNT")
@config_option
@json_option
def list_sites(account: str, config: Path, *, as_json: bool) -> None:
    """List the sites of ACCOUNT (id or name)."""

    async def work(session: AsyncSession, _settings: BackendSettings) -> Sequence[Row]:
        return [
            {"id": one.id, "name": one.name, "last_batch_at": one.last_batch_at}
            for one in await sites.listed(session, await _account(session, account))
        ]

    columns = ("id", "name", "last_batch_at")
    show_all(transact(config, work), columns, as_json=as_json, none="The account has no sites yet.")


@site.command("change")
@click.argument("account", metavar="ACCOUNT")
@click.argument("site", metavar="SITE")
@click.option("--tariff", type=float, help="What a kWh costs, such as 0.065.")
@click.option("--currency", help="Of the tariff, such as USD.")
@click.option("--time-zone", help="Whose days are counted, such as Asia/Shanghai.")
@click.option("--page", metavar="URL", help="Of the agent's page at the site: warnings link to it.")
@config_option
@json_option
def change_site(account: str, site: str, config: Path, *, as_json: bool, **options: str | float | None) -> None:
    """Say what a kWh costs at SITE (id or name), its time zone, its on-site page."""
    columns = {"tariff": "tariff_per_kwh", "page": "lan_url"}
    changes = {columns.get(name, name): value for name, value in options.items() if value is not None}
    if not changes:
        raise click.UsageError("say what is to change: --tariff, --currency, --time-zone or --page")

    async def work(session: AsyncSession, _settings: BackendSettings) -> Row:
        changed = await sites.change(session, await _account(session, account), site, changes)
        return {
            "id": changed.id,
            "name": changed.name,
            "tariff_per_kwh": changed.tariff_per_kwh,
            "currency": changed.currency,
            "time_zone": changed.time_zone,
            "lan_url": changed.lan_url,
        }

    show(transact(config, work), as_json=as_json)


@site.command("code")
@click.argument("account", metavar="ACCOUNT")
@click.argument("site", metavar="SITE")
@config_option
@json_option
def enrolment_code(account: str, site: str, config: Path, *, as_json: bool) -> None:
    """Make a code that enrols the agent of SITE (id or name): once, within an hour."""

    async def work(session: AsyncSession, settings: BackendSettings) -> tuple[Row, str]:
        owner, now = await _account(session, account), _now()
        found = await sites.find(session, owner, site)
        code = await enrolment.issue(session, owner, SiteId(found.id), now=now)
        url = settings.public_url or f"http://{settings.listen.host}:{settings.listen.port}"
        row: Row = {"code": code, "site": found.id, "expires_at": now + enrolment.LIFETIME}
        return row, f"At the site: itsminer-agent enroll --backend {url} {code}"

    row, note = transact(config, work)
    show(row, as_json=as_json, note=note)


@token.command("add")
@click.argument("account", metavar="ACCOUNT")
@click.option("--label", required=True, help="What it is for.")
@config_option
@json_option
def add_token(account: str, label: str, config: Path, *, as_json: bool) -> None:
    """Make a read token of ACCOUNT (id or name). It is shown this once."""

    async def work(session: AsyncSession, _settings: BackendSettings) -> Row:
        owner = await _account(session, account)
        made, secret = await tokens.issue(session, owner, kind="read", label=label, now=_now())
        return {"id": made.id, "label": made.label, "token": secret}

    show(transact(config, work), as_json=as_json, note="Keep the token: it is not shown again.")


@token.command("list")
@click.argument("account", metavar="ACCOUNT")
@config_option
@json_option
def list_tokens(account: str, config: Path, *, as_json: bool) -> None:
    """List the tokens of ACCOUNT (id or name), agents' and revoked ones too."""

    async def work(session: AsyncSession, _settings: BackendSettings) -> Sequence[Row]:
        return [
            {
                "id": one.id,
                "kind": one.kind,
                "label": one.label,
                "created_at": one.created_at,
                "expires_at": one.expires_at,
                "revoked_at": one.revoked_at,
            }
            for one in await tokens.listed(session, await _account(session, account))
        ]

    columns = ("id", "kind", "label", "created_at", "revoked_at")
    show_all(transact(config, work), columns, as_json=as_json, none="The account has no tokens yet.")


@token.command("revoke")
@click.argument("account", metavar="ACCOUNT")
@click.argument("token", metavar="ID")
@config_option
@json_option
def revoke_token(account: str, token: str, config: Path, *, as_json: bool) -> None:
    """End the token ID of ACCOUNT (id or name), at once."""

    async def work(session: AsyncSession, _settings: BackendSettings) -> Row:
        now = _now()
        await tokens.revoke(session, await _account(session, account), token, now=now)
        return {"id": token, "revoked_at": now}

    show(transact(config, work), as_json=as_json)


async def _account(session: AsyncSession, id_or_name: str) -> AccountId:
    return AccountId((await accounts.find(session, id_or_name)).id)


def _now() -> datetime:
    return datetime.now(UTC)
