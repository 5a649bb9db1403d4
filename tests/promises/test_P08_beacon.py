"""P08: mails carry no tracking pixel and no rewritten link."""

from __future__ import annotations

import re
from email.message import EmailMessage

from tests.promises.deployed import Service, until


async def test_no_mail_loads_anything_and_each_link_leads_to_the_service_itself(service: Service) -> None:
    customer = await service.customer()
    await service.done("/v1/invitations", customer.session, email="new@north.example", role="viewer")
    await service.done("/v1/password/forgot", email=customer.email)

    async def mails() -> list[EmailMessage]:
        return service.mail.mails if len(service.mail.mails) >= 2 else []

    for mail in await until(mails):
        for part in mail.walk():
            assert part.get_content_maintype() in ("text", "multipart")
            if part.get_content_maintype() == "text":
                text = part.get_content()
                assert not re.search(r"<(img|script|link|iframe|object)|background=|url\(", text, re.IGNORECASE)
                assert all(url.startswith(service.url) for url in re.findall(r"https?://[^\s\"'<>]+", text))
