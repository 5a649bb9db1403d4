"""P44: every page and every mail names whom to write to."""

from __future__ import annotations

from datetime import timedelta
from email.message import EmailMessage

from agent.wire import Board
from tests.backend.readings import batch, reading
from tests.promises.deployed import Service, until

CONTACT = "contact@itsminer.example"


def text_of(mail: EmailMessage) -> str:
    """All that a mail says."""
    return "\n".join(part.get_content() for part in mail.walk() if part.get_content_maintype() == "text")


async def test_the_page_and_each_kind_of_mail_name_the_contact(service: Service) -> None:
    assert CONTACT in (await service.get("/")).body.decode()
    customer = await service.customer()
    await service.done("/v1/invitations", customer.session, email="new@north.example", role="viewer")
    await service.done("/v1/password/forgot", email=customer.email)
    for _ in range(5):
        now = service.now()
        found = [reading(1, now, boards=(Board(index=0, chip_temp_c=120),))]
        assert (await service.send(batch(found, site=customer.site, sent_at=now), customer.agent)).status == 200
        service.ahead += timedelta(minutes=1)

    async def mails() -> list[EmailMessage]:
        return service.mail.mails if len(service.mail.mails) >= 3 else []

    found_mails = await until(mails)
    assert len({str(mail["Subject"]) for mail in found_mails}) == 3
    for mail in found_mails:
        assert CONTACT in text_of(mail), mail["Subject"]
