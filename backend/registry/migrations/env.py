"""Run by Alembic for each command; the connection and its transaction are `Database`'s."""

from __future__ import annotations

from typing import Any, Literal

from alembic import context

from backend.registry.base import Base, UtcDateTime
from backend.registry.sealed import LENGTH, Sealed


def _render(kind: str, item: Any, _context: Any) -> str | Literal[False]:
    """Write our own column type as what it is in the database, so that revisions import nothing of ours."""
    if kind == "type" and isinstance(item, UtcDateTime):
        return "sa.DateTime(timezone=True)"
    if kind == "type" and isinstance(item, Sealed):
        return f"sa.String(length={LENGTH})"
    return False


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_item=_render,
    render_as_batch=context.config.attributes.get("batch", True),  # SQLite cannot alter a table in place
)
context.run_migrations()
