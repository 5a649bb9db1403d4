"""Notices to one person: a link to follow, a code to type. Their words, and whom they go to.

The secret in one is made when it is sent, from the challenge that the message names; none is kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from backend.accounts import challenges
from backend.accounts.mailing import NOTICE
from backend.notify.routing import Channel, contact
from backend.registry.sealing import keys_in
from backend.registry.tables import Challenge, Member, OutboxMessage

__all__ = ["NOTICE", "Notice", "addressed", "subject", "text"]


@dataclass(frozen=True, slots=True)
class Notice:
    """What to say, and the secret that it carries."""

    name: str
    secret: str | None


async def addressed(
    session: AsyncSession, row: OutboxMessage, member: Member, now: datetime
) -> tuple[str, Notice] | None:
    """Where a notice goes and what it is; None when there is no point in it any more."""
    name: str = row.body["notice"]
    if "challenge" not in row.body:
        to = contact(member, Channel(row.channel))
        return None if to is None else (to, Notice(name, None))
    challenge = await session.get(Challenge, row.body["challenge"])
    if challenge is None or challenge.contact is None or challenge.used_at is not None or challenge.expires_at <= now:
        return None
    return challenge.contact, Notice(name, challenges.secret(keys_in(session), challenge))


def subject(notice: Notice, service: str) -> str:
    """Of a mail."""
    return _SUBJECTS[notice.name].format(service=service)


def text(notice: Notice, service: str, page_url: str, contact: str | None) -> str:
    """The whole of it; a text message is one line."""
    words = _WORDS[notice.name].format(
        service=service, secret=notice.secret, link=f"{page_url}confirm#{notice.name}={notice.secret}"
    )
    if notice.name == "phone":
        return words
    foot = f"Questions or objections: {contact}\n" if contact else ""
    return f"{words}\n-- \n{service}\n{foot}"  # RFC 3676: "-- " begins a signature


_SUBJECTS: Final[Mapping[str, str]] = {
    "email": "{service}: is this address yours?",
    "phone": "{service}: your code",
    "guardian": "{service}: a person under 18 needs your agreement",
    "password": "{service}: set a new password",
    "invitation": "{service}: you are invited to an account",
    "registered": "{service}: you have an account already",
}
_WORDS: Final[Mapping[str, str]] = {
    "email": """Somebody, you we hope, opens an account at {service} with this address.

To show that it is yours, follow this link within 24 hours, in the browser that you registered with:

  {link}

A program takes this instead: {secret}

If it was not you, do nothing: within a day this address is forgotten.
""",
    "phone": "{secret} is your code for {service}. Nobody of us will ask you for it.",
    "guardian": """Somebody who says that they are under 18 opens an account at {service} and names you as
their guardian.

If you agree that they use it, follow this link within 24 hours:

  {link}

If you do not, or know of nobody, do nothing: within a day this address and the account are forgotten.
""",
    "password": """Somebody, you we hope, wants to set a new password for your account at {service}.

Follow this link within an hour:

  {link}

All log-ins end when you do. If it was not you, do nothing: your password is as it was.
""",
    "invitation": """A member of an account at {service} invites you to join it.

Follow this link within a week:

  {link}

A program takes this instead: {secret}

If you do not want to, do nothing: the invitation and this address are forgotten.
""",
    "registered": """Somebody, you we hope, tried to open an account at {service} with this address. You have one
already.

Log in with it; if you forgot the password, ask for a new one there. If it was not you, do nothing.
""",
}
