"""A copy of what is held about one member, for any of them: at once, and only about themselves."""

from __future__ import annotations

from collections.abc import AsyncIterator

from sqlalchemy import ColumnElement, Table, or_, select

from backend.privacy import archive
from backend.registry.account_tables import Member
from backend.registry.database import Database
from backend.registry.login_tables import Login, LoginSession
from backend.registry.privacy_tables import AuditEntry


async def of_member(database: Database, member: str) -> AsyncIterator[bytes]:
    """One JSON object a line: first what each field means, then `{"table": …, "row": …}`."""
    held = {table.name: (table, where) for table in archive.tables() if (where := _is_about(table, member)) is not None}
    described = {name: archive.described(table) for name, (table, _) in held.items()}
    yield archive.line({"description": described}).encode()
    for name, (table, where) in held.items():
        async for page in archive.pages(database, table, where):
            yield "".join(archive.line({"table": name, "row": row}) for row in page).encode()


def _is_about(table: Table, member: str) -> ColumnElement[bool] | None:
    """Which rows are about them; None: the table is about nobody."""
    match table.name:
        case Member.__tablename__:
            return Member.id == member
        case LoginSession.__tablename__:
            return LoginSession.login_id.in_(select(Login.id).where(Login.member_id == member))
        case AuditEntry.__tablename__:
            return or_(AuditEntry.actor == member, AuditEntry.subject == member)
    return table.c.member_id == member if "member_id" in table.c else None
