"""Enrolment codes: what an operator types once, so that an agent becomes the agent of a site.

A code is 60 random bits, good for an hour and for one use. Which of two agents used it first is decided by one UPDATE.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from backend.accounts import typed
from backend.accounts.secret import Secret
from backend.ids import AccountId, SiteId
from backend.registry import tokens
from backend.registry.errors import Missing
from backend.registry.site_tables import EnrolmentCode, Site

LIFETIME: Final = timedelta(hours=1)

_GROUPS: Final = 3


@dataclass(frozen=True, slots=True)
class Enrolled:
    """What an agent needs to know of itself."""

    account: AccountId
    site: SiteId
    site_name: str
    token: Secret


async def issue(session: AsyncSession, account: AccountId, site: SiteId, *, now: datetime) -> str:
    """A new code for one of the account's sites, as it is shown: `4F7K-2M9Q-XD3H`."""
    code = typed.new(_GROUPS)
    session.add(
        EnrolmentCode(
            code_hash=typed.hashed(code), account_id=account, site_id=site, expires_at=now + LIFETIME, used_at=None
        )
    )
    await session.flush()
    return code


async def redeem(session: AsyncSession, code: str, *, now: datetime) -> Enrolled:
    """Use a code up; the site's former agent is no longer let in. Raises `Missing` for one that opens nothing."""
    used = (
        await session.execute(
            update(EnrolmentCode)
            .where(
                EnrolmentCode.code_hash == typed.hashed(code),
                EnrolmentCode.used_at.is_(None),
                EnrolmentCode.expires_at > now,
            )
            .values(used_at=now)
            .returning(EnrolmentCode.account_id, EnrolmentCode.site_id)
        )
    ).one_or_none()
    if used is None:
        raise Missing("this code is unknown, used or older than an hour")
    account, site = AccountId(used.account_id), SiteId(used.site_id)
    site_name = (await session.scalars(select(Site.name).where(Site.account_id == account, Site.id == site))).one()
    await tokens.revoke_agents(session, account, site, now=now)
    _, secret = await tokens.issue(session, account, kind="agent", site=site, label=f"agent of {site}", now=now)
    return Enrolled(account=account, site=site, site_name=site_name, token=secret)


async def forget_expired(session: AsyncSession, *, now: datetime) -> None:
    """Remove codes that open nothing any more."""
    await session.execute(delete(EnrolmentCode).where(EnrolmentCode.expires_at <= now))
