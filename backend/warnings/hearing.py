"""What a batch finds of its site in the registry, and what it leaves there whatever the rules say of it.

Every batch pays for these statements, so they are few, and made once. All of it inside the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import and_, bindparam, case, exists, select, true, update
from sqlalchemy.ext.asyncio import AsyncSession

from backend.ids import AccountId, SiteId
from backend.registry.errors import Missing
from backend.registry.rights_tables import Restriction
from backend.registry.rule_tables import JudgedBatch, RuleState, SiteWatch
from backend.registry.site_tables import Site
from backend.registry.upserting import insert_missing, upsert
from backend.warnings.epochs import EPOCH
from backend.warnings.past import PREFIX

States = Mapping[str, tuple[dict[str, Any], datetime]]
"""Rule → state of the site itself, and when that was written."""

# Of tables, not of classes: the session looks for none of these rows among its objects.
_SITE: Final[Any] = Site.__table__
_WATCH, _STATE, _RESTRICTION = SiteWatch.__table__, RuleState.__table__, Restriction.__table__
_MINE: Final = and_(_SITE.c.id == bindparam("of_site"), _SITE.c.account_id == bindparam("of_account"))
_NOW: Final = bindparam("now", type_=_SITE.c.last_batch_at.type)
_HEARD: Final = (
    update(_SITE)
    .where(_MINE)
    .values(last_batch_at=case((_SITE.c.last_batch_at > _NOW, _SITE.c.last_batch_at), else_=_NOW))
    .returning(_SITE.c.paused_at)
)
_IS_RESTRICTED: Final = exists(
    select(true()).where(
        _RESTRICTION.c.account_id == _SITE.c.account_id,
        _RESTRICTION.c.member_id.is_(None),
        _RESTRICTION.c.lifted_at.is_(None),
    )
)
_STANDING: Final = (
    select(
        _IS_RESTRICTED.label("is_restricted"),
        _WATCH.c.version,
        _WATCH.c.judged_to,
        _WATCH.c.interval_s,
        _WATCH.c.behind_since,
        _STATE.c.rule,
        _STATE.c.state,
        _STATE.c.updated_at,
    )
    .select_from(_SITE)
    .outerjoin(_WATCH, _WATCH.c.site_id == _SITE.c.id)
    .outerjoin(
        _STATE,
        and_(_STATE.c.account_id == _SITE.c.account_id, _STATE.c.site_id == _SITE.c.id, _STATE.c.machine == ""),
    )
    .where(_MINE)
)


@dataclass(frozen=True, slots=True)
class Heard:
    """A site that a new batch came of; its row is the transaction's until it ends."""

    watch: SiteWatch  # no row of the session's: `save_watch` writes it
    states: States
    epoch: str | None  # of the site's newest readings; None when no agent ever said one
    is_judged: bool  # false: the site is paused, or nothing may be made of the account's data


async def heard(session: AsyncSession, account: AccountId, site: SiteId, batch: UUID, *, now: datetime) -> Heard | None:
    """Note that a batch came. None: it came again, the rules have seen it. Raises `Missing` when there is no such site
    in the account."""
    connection = await session.connection()
    mine = {"of_site": site, "of_account": account}
    row = (await connection.execute(_HEARD, mine | {"now": now})).one_or_none()
    if row is None:
        raise Missing("there is no such site in this account")
    noted = {"account_id": account, "batch_id": str(batch), "judged_at": now}
    if not await insert_missing(session, JudgedBatch, noted):
        return None
    # After the row is ours, not with it: PostgreSQL would show what was so before we waited for it.
    rows = (await connection.execute(_STANDING, mine)).all()
    known = {each.rule: (each.state, each.updated_at) for each in rows if each.rule is not None}
    first = rows[0]
    return Heard(
        watch=SiteWatch(
            site_id=site,
            account_id=account,
            version=first.version or 0,
            judged_to=first.judged_to,
            interval_s=first.interval_s,
            behind_since=first.behind_since,
        ),
        states={rule: state for rule, state in known.items() if not rule.startswith(PREFIX)},
        epoch=str(known[EPOCH][0]["epoch"]) if EPOCH in known else None,
        is_judged=row.paused_at is None and not first.is_restricted,
    )


async def save_watch(session: AsyncSession, watch: SiteWatch) -> None:
    """Write what the rules remember of the site."""
    await upsert(session, SiteWatch, [{column.name: getattr(watch, column.name) for column in _WATCH.c}])
