"""P16, P39, P41: a use names a purpose; consent counts for its version, is withdrawn as easily; objection stops it."""

# ruff: noqa: N802 (several promises in one module: each test carries its id)

from __future__ import annotations

import dataclasses

import pytest

from backend.privacy import purposes
from tests.promises.deployed import Customer, Service


async def used(service: Service, customer: Customer, purpose: str) -> bool:
    """Whether the owner's data may be used for it."""
    found = await service.seen("/v1/consents", customer.session)
    return bool(next(one["is_used"] for one in found["purposes"] if one["purpose"] == purpose))


async def test_P16_purpose_a_new_version_is_unusable_until_the_member_agrees_anew(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    customer = await service.customer()
    assert not await used(service, customer, "marketing")
    await service.done("/v1/consents", customer.session, purpose="marketing", answer="given")
    assert await used(service, customer, "marketing")
    newer = dataclasses.replace(purposes.REGISTER["marketing"], means="tell of others' products too", version=2)
    monkeypatch.setattr(purposes, "REGISTER", {**purposes.REGISTER, "marketing": newer})
    assert not await used(service, customer, "marketing")
    news = service.folder / "news.txt"
    news.write_text("News.\n")
    await service.done("/v1/consents", customer.session, purpose="marketing", answer="given")
    assert await used(service, customer, "marketing")


async def test_P16_purpose_that_is_not_in_the_register_is_nobodys(service: Service) -> None:
    customer = await service.customer()
    answer = await service.post("/v1/consents", customer.session, purpose="selling", answer="given")
    assert answer.status == 404


async def test_P39_object_stops_a_purpose_of_interest(service: Service) -> None:
    customer = await service.customer()
    assert await used(service, customer, "improvement")
    await service.done("/v1/consents", customer.session, purpose="improvement", answer="objected")
    assert not await used(service, customer, "improvement")
    answer = await service.post("/v1/feedback", customer.session, text="The page is slow", contact="me@north.example")
    assert answer.status == 409


async def test_P41_withdraw_is_the_same_request_as_consent_and_the_past_stays_recorded(service: Service) -> None:
    customer = await service.customer()
    for answer in ("given", "withdrawn"):
        await service.done("/v1/consents", customer.session, purpose="marketing", answer=answer)
    assert not await used(service, customer, "marketing")
    found = await service.seen("/v1/consents", customer.session)
    said = next(one["said"] for one in found["purposes"] if one["purpose"] == "marketing")
    assert [each["answer"] for each in said] == ["given", "withdrawn"]
