"""P43: no feature or limit depends on whether rights were used."""

from __future__ import annotations

from tests.promises.deployed import Service


async def test_whoever_used_every_right_gets_the_same_answers_as_who_used_none(service: Service) -> None:
    used, unused = await service.customer("North"), await service.customer("South")
    for purpose in ("marketing", "improvement", "logs"):
        await service.done("/v1/consents", used.session, purpose=purpose, answer="objected")
    await service.done("/v1/erase", used.session, machine="mnr-0000000000000001")
    await service.done("/v1/retention", used.session, data_class="warnings", days=1)
    for path in ("/v1/machines", "/v1/warnings", "/v1/metrics", "/v1/members", "/v1/tokens", "/v1/audit", "/v1/policy"):
        answers = [await service.get(path, customer.session) for customer in (used, unused)]
        assert answers[0].status == answers[1].status, path
        assert (answers[0].json or {}).keys() == (answers[1].json or {}).keys(), path
    for customer in (used, unused):
        await service.done("/v1/invitations", customer.session, email=f"x@{customer.email[6:]}", role="viewer")
