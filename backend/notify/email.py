"""Warnings by e-mail: one message, text and HTML, over SMTP.

What the server says decides: 4xx is later; 5xx on the recipient is a bad contact when it is about the address and not
about us (RFC 3463: 5.7.x is policy, such as "relaying denied", and would condemn every contact of the service). All
else that keeps us from handing the message over (no connection, refused login or sender) is ours to mend: later.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from email import policy
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Final

from aiosmtplib import SMTP, SMTPException, SMTPRecipientRefused, SMTPResponseException

from backend.config import Smtp
from backend.notify.loopback import is_loopback
from backend.notify.protocol import Image, Message, NeverDeliverable, NotConfigured, TryLater

OPENING_S: Final = 20.0
"""For all before the mail itself. The caller's deadline is later, so that a server that hangs here is known to
have taken nothing."""

_POLICY: Final = policy.SMTP.clone(cte_type="7bit")  # not every server takes 8 bits
_ENHANCED: Final = re.compile(r"\s*5\.(\d{1,3})\.(\d{1,3})\b")
_BAD_ADDRESS: Final = frozenset({550, 551, 553, 556})


class Email:
    """A `Notifier` that hands each message to one SMTP server, over a connection of its own."""

    def __init__(self, settings: Smtp, *, name: str = "", opening_s: float = OPENING_S) -> None:
        """`name`: whose mails they are, as a phone shows it."""
        if settings.host is None or settings.sender is None:
            raise NotConfigured("smtp: host and sender are needed to send mail")
        if settings.tls == "none" and not is_loopback(settings.host):
            raise NotConfigured('smtp.tls = "none" is for a mail server on this machine: use "starttls" or "tls"')
        self._settings = settings
        self._opening_s = opening_s
        self._host = settings.host
        self._sender = settings.sender
        self._from = Address(name, addr_spec=settings.sender)
        self._domain = settings.sender.rpartition("@")[2]
        self._tls = ssl.create_default_context() if settings.tls != "none" else None

    async def send(self, message: Message) -> None:
        """See `Notifier.send`."""
        mail = self.compose(message).as_bytes()
        client = self._client()
        try:
            await self._open(client, message.to)
            await _hand_over(client, mail)
            await _goodbye(client)
        finally:
            client.close()

    async def close(self) -> None:
        """Each message has its own connection: nothing is left open."""

    def compose(self, message: Message) -> EmailMessage:
        """The mail as it leaves. The same message gives the same Message-ID."""
        mail = EmailMessage(policy=_POLICY)
        mail["From"] = self._from
        mail["To"] = message.to
        mail["Subject"] = message.subject
        mail["Date"] = format_datetime(message.created_at)
        mail["Message-ID"] = f"<{message.id}@{self._domain}>"
        mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: no holiday replies, please
        mail["List-Id"] = f"<{message.topic.replace('_', '-')}.warnings.{self._domain}>"
        if message.unsubscribe_url is not None:
            mail["List-Unsubscribe"] = f"<{message.unsubscribe_url}>"
            mail["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
        mail.set_content(message.text)
        if message.html is not None:
            mail.add_alternative(message.html, subtype="html")
            _embed(mail, message.image)
        return mail

    def _client(self) -> SMTP:
        settings = self._settings
        return SMTP(
            hostname=self._host,
            port=settings.port,
            use_tls=settings.tls == "tls",
            start_tls=settings.tls == "starttls",
            tls_context=self._tls,
            timeout=None,  # one deadline for a whole phase, not one for each line
        )

    async def _open(self, client: SMTP, to: str) -> None:
        """All before the mail itself: whatever fails here has delivered nothing."""
        settings = self._settings
        step = "the mail server does not let us in"
        try:
            async with asyncio.timeout(self._opening_s):
                await client.connect()
                if settings.username is not None and settings.password is not None:
                    await client.login(settings.username, settings.password.get_secret_value())
                step = "the mail server does not take our sender"
                await client.mail(self._sender)
                step = "the mail server does not take the recipient"
                await client.rcpt(to)
        except SMTPRecipientRefused as error:
            if _is_bad_address(error):
                raise NeverDeliverable(f"no such address: {_said(error)}", is_contact_bad=True) from error
            raise TryLater(f"{step}: {_said(error)}") from error
        except SMTPResponseException as error:
            raise TryLater(f"{step}: {_said(error)}") from error
        except TimeoutError as error:
            raise TryLater(f"the mail server did not answer within {self._opening_s:g} s") from error
        except (SMTPException, OSError) as error:
            raise TryLater(f"no connection to the mail server ({type(error).__name__})") from error


def _embed(mail: EmailMessage, image: Image | None) -> None:
    """Put the picture beside the HTML that shows it."""
    html = mail.get_body(("html",))
    if image is not None and isinstance(html, EmailMessage):
        html.add_related(image.png, "image", "png", cid=f"<{image.cid}>", disposition="inline", filename="chart.png")


async def _hand_over(client: SMTP, mail: bytes) -> None:
    try:
        await client.data(mail)
    except SMTPResponseException as error:
        if error.code >= 500:
            raise NeverDeliverable(f"the mail server refuses the mail: {_said(error)}", is_contact_bad=False) from error
        raise TryLater(f"the mail server does not take the mail now: {_said(error)}") from error
    except (SMTPException, OSError) as error:
        reason = f"the connection broke while the mail was handed over ({type(error).__name__})"
        raise TryLater(reason, may_have_arrived=True) from error


async def _goodbye(client: SMTP) -> None:
    """Be polite, if the server still is there: the mail is handed over, whatever happens now."""
    try:
        async with asyncio.timeout(2):
            await client.quit()
    except (SMTPException, OSError, TimeoutError):
        return


def _is_bad_address(error: SMTPResponseException) -> bool:
    """5.1.x: no such address; 5.2.1: the mailbox is closed. Without such a code the basic one decides."""
    if enhanced := _ENHANCED.match(error.message):
        subject, detail = int(enhanced[1]), int(enhanced[2])
        return subject == 1 or (subject, detail) == (2, 1)
    return error.code in _BAD_ADDRESS and "relay" not in error.message.lower()


def _said(error: SMTPResponseException) -> str:
    """The reply's codes only: its text often repeats the address."""
    enhanced = re.match(r"\s*([245]\.\d{1,3}\.\d{1,3})\b", error.message)
    return f"{error.code} {enhanced[1]}" if enhanced else str(error.code)
