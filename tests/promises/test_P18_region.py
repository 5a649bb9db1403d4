"""P18: readings of single machines do not leave for a backend in another region without recorded consent."""

from __future__ import annotations

from tests.backend.readings import batch, reading
from tests.promises.deployed import Customer, Service


async def sent(service: Service, customer: Customer) -> tuple[int, str]:
    """Status and kind of the answer to a batch with a reading."""
    now = service.now()
    answer = await service.send(batch([reading(1, now)], site=customer.site, sent_at=now), customer.agent)
    return answer.status, answer.json.get("type", "")


async def test_without_consent_another_regions_agent_is_told_to_send_totals_only(service: Service) -> None:
    abroad = await service.customer("South Mining", region="us")
    at_home = await service.customer("North Mining")
    assert (await sent(service, at_home))[0] == 200
    assert await sent(service, abroad) == (403, "urn:itsminer:problem:aggregates-only")
    assert (await service.seen("/v1/machines", abroad.read))["machines"] == []
    await service.done("/v1/consents", abroad.session, purpose="cross_border", answer="given")
    assert (await sent(service, abroad))[0] == 200
    await service.done("/v1/consents", abroad.session, purpose="cross_border", answer="withdrawn")
    assert (await sent(service, abroad))[0] == 403


async def test_only_an_owner_consents_for_the_account(service: Service) -> None:
    abroad = await service.customer("South Mining", region="us")
    _, viewer = await service.member(abroad, "viewer@south.example")
    await service.done("/v1/consents", viewer, purpose="cross_border", answer="given")
    assert (await sent(service, abroad))[0] == 403
