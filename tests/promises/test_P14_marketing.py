"""P14: promotion goes to who agreed, and one click without a log-in ends it at once (RFC 8058)."""

from __future__ import annotations

from email.message import EmailMessage

from tests.promises.deployed import Service, until


async def test_promotion_goes_to_who_agreed_and_one_click_ends_it(service: Service) -> None:
    customer = await service.customer()
    await service.member(customer, "quiet@north.example")
    news = service.folder / "news.txt"
    news.write_text("There is a new page.\n")
    assert "0" in await service.command("promote", str(news), "--subject", "News")
    await service.done("/v1/consents", customer.session, purpose="marketing", answer="given")
    assert "1" in await service.command("promote", str(news), "--subject", "News")

    async def promoted() -> list[EmailMessage]:
        return [mail for mail in service.mail.mails if mail["Subject"] == "News"]

    [mail] = await until(promoted)
    assert mail["To"] == customer.email
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    link = mail["List-Unsubscribe"].strip("<>")
    assert link in mail.get_content()
    assert (await service.ask("GET", link.removeprefix(service.url))).status == 200  # looks, and changes nothing
    assert "1" in await service.command("promote", str(news), "--subject", "Second")
    answer = await service.ask("POST", link.removeprefix(service.url), data={"List-Unsubscribe": "One-Click"})
    assert answer.status == 200
    assert "0" in await service.command("promote", str(news), "--subject", "Third")
    forged = link.removeprefix(service.url)[:-1] + "~"
    assert (await service.ask("POST", forged)).status == 404


async def test_service_notices_go_on_for_who_wants_no_promotion(service: Service) -> None:
    customer = await service.customer()
    await service.done("/v1/consents", customer.session, purpose="marketing", answer="withdrawn")
    policy = service.folder / "policy.txt"
    policy.write_text("We keep less.\n")
    await service.command("policy", "publish", str(policy), "--changes", "We keep less.")

    async def told() -> list[EmailMessage]:
        return [mail for mail in service.mail.mails if "privacy policy" in mail["Subject"]]

    [mail] = await until(told)
    assert "List-Unsubscribe" not in mail
