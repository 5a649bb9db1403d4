"""Notices to one person: a link to follow, a code to type. Their words, and whom they go to.

The secret in one is made when it is sent, from the challenge that the message names; none is kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from urllib.parse import urlsplit

from sqlalchemy.ext.asyncio import AsyncSession

from backend.accounts import challenges
from backend.notify.routing import Channel, contact
from backend.notify.tongue import Tongue
from backend.registry.account_tables import Member
from backend.registry.login_tables import Challenge
from backend.registry.notify_tables import Contact, OutboxMessage
from backend.registry.sealed import keys_in


@dataclass(frozen=True, slots=True)
class Notice:
    """What to say, the secret that it carries, and what it is about."""

    name: str
    secret: str | None = None
    about: str | None = None


async def addressed(
    session: AsyncSession, row: OutboxMessage, member: Member, now: datetime
) -> tuple[str, Notice] | None:
    """Where a notice goes and what it is; None when there is no point in it any more."""
    name: str = row.body["notice"]
    if row.contact_id is not None:
        found = await session.get_one(Contact, row.contact_id)
        return None if found.address is None else (found.address, Notice(name))
    if "challenge" not in row.body:
        to = contact(member, Channel(row.channel))
        failed = await session.get(Contact, row.body["about"]) if name == "bounced" else None
        if to is None or (name == "bounced" and failed is None):
            return None
        return to, Notice(name, about=await _called(session, failed) if failed is not None else row.body.get("about"))
    challenge = await session.get(Challenge, row.body["challenge"])
    if challenge is None or challenge.contact is None or challenge.used_at is not None or challenge.expires_at <= now:
        return None
    return challenge.contact, Notice(name, challenges.secret(keys_in(session), challenge))


async def _called(session: AsyncSession, known: Contact) -> str:
    """A contact as its account knows it, and no more than that of an address: mails are forwarded."""
    if known.label:
        return known.label
    member = await session.get_one(Member, known.member_id)
    where = known.address or (member.email if known.channel == Channel.EMAIL else member.phone) or ""
    match known.channel:
        case Channel.EMAIL:
            return f"{where[:2]}…@{where.rpartition('@')[2]}"
        case Channel.SMS:
            return f"{where[:3]}…{where[-3:]}"
    return urlsplit(where).hostname or ""


def subject(notice: Notice, service: str, tongue: Tongue) -> str:
    """Of a mail."""
    return tongue.say(SUBJECTS[notice.name], service=service)


def text(notice: Notice, service: str, page_url: str, tongue: Tongue) -> str:
    """What it says, without the foot of a mail; of a text message all."""
    link = f"{page_url}confirm#{notice.name}={notice.secret}"
    return tongue.say(WORDS[notice.name], service=service, secret=notice.secret, link=link, about=notice.about)


SUBJECTS: Final[Mapping[str, str]] = {
    "email": "{service}: is this address yours?",
    "phone": "{service}: your code",
    "guardian": "{service}: a person under 18 needs your agreement",
    "password": "{service}: set a new password",
    "invitation": "{service}: you are invited to an account",
    "registered": "{service}: you have an account already",
    "new_login": "{service}: a new log-in",
    "password_changed": "{service}: your password was changed",
    "factor_on": "{service}: the second factor is on",
    "factor_off": "{service}: the second factor is off",
    "moving": "{service}: another address for your account",
    "bounced": "{service}: a contact of your account gets no messages",
    "contact_email": "{service}: send warnings to this address?",
    "contact_sms": "{service}: your code",
    "new_email": "{service}: is this your new address?",
    "new_phone": "{service}: your code",
}
WORDS: Final[Mapping[str, str]] = {
    "email": """Somebody, you we hope, opens an account at {service} with this address.

To show that it is yours, follow this link within 24 hours, in the browser that you registered with:

  {link}

With the API instead of the page: {secret}

If it was not you, do nothing: within a day this address is forgotten.
""",
    "phone": "{secret} is your code for {service}. Nobody of us will ask you for it.",
    "guardian": """Somebody who says that they are under 18 opens an account at {service} and names you as \
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

With the API instead of the page: {secret}

If you do not want to, do nothing: the invitation and this address are forgotten.
""",
    "registered": """Somebody, you we hope, tried to open an account at {service} with this address. You have one \
already.

Log in with it; if you forgot the password, ask for a new one there. If it was not you, do nothing.
""",
    "new_login": """Somebody, you we hope, logged in to your account at {service}: {about}.

If it was you, there is nothing to do. If it was not, set a new password at once ("forgot password"), which ends \
all log-ins, and switch the second factor on.
""",
    "password_changed": """The password of your account at {service} was changed just now, and all other log-ins ended.

If it was you, there is nothing to do. If it was not, set a new one at once ("forgot password").
""",
    "factor_on": """From now on a log-in to your account at {service} needs the code of an authenticator app, or one \
of the recovery codes that were shown. All other log-ins ended.

If it was you, there is nothing to do. If it was not, write to us at once: whoever did it knows your password.
""",
    "factor_off": """Your account at {service} is no longer protected by a second factor: its password alone opens it.

If it was you, there is nothing to do. If it was not, set a new password at once ("forgot password"), which ends \
all log-ins, and switch the second factor on.
""",
    "moving": """Somebody, you we hope, asked that your account at {service} goes by another e-mail address. It does \
once that address was confirmed.

If it was you, there is nothing to do here. If it was not, set a new password at once ("forgot password"), which ends \
all log-ins.
""",
    "bounced": """A contact of your account ({about}) gets no messages any more: its server says for good that there \
is no such address or number. What it was to tell goes to your other contacts.

Look at your contacts and verify it anew, or remove it.
""",
    "contact_email": """A member of an account at {service} wants its warnings to be sent to this address.

If you want them, too, follow this link within 24 hours:

  {link}

With the API instead of the page: {secret}

If not, do nothing: within a day this address is forgotten.
""",
    "contact_sms": "{secret} is your code for warnings of {service}. Nobody of us will ask you for it.",
    "new_email": """A member of an account at {service} says that this is their address from now on.

If it was you, enter this within 24 hours where you asked for it:

  {secret}

If not, do nothing: within a day this address is forgotten.
""",
    "new_phone": "{secret} is your code for {service}. Nobody of us will ask you for it.",
}
