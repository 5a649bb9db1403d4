"""Digests: when they are due, what they say, that nothing is sent when there is nothing to say, and how they end."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from agent.wire import Batch
from backend.notify import digests
from backend.notify.bills import Bills
from backend.notify.routing import Channel
from backend.privacy import links
from backend.registry.contacts import next_digest
from backend.registry.notify_tables import Contact
from backend.store.embedded import EmbeddedStore
from tests.backend.farm import M1, hashing, idle, rounds
from tests.backend.notify.desk import Desk
from tests.backend.readings import at

MORNING = at(20 * 60)  # 08:00 of the next day


@pytest.mark.parametrize(
    ("every", "zone", "after", "due"),
    [
        ("daily", "UTC", "2026-01-01T07:59:00+00:00", "2026-01-01T08:00:00+00:00"),
        ("daily", "UTC", "2026-01-01T08:00:00+00:00", "2026-01-02T08:00:00+00:00"),
        ("daily", "Asia/Shanghai", "2026-01-01T12:00:00+00:00", "2026-01-02T00:00:00+00:00"),
        ("weekly", "UTC", "2026-01-01T12:00:00+00:00", "2026-01-05T08:00:00+00:00"),
        ("daily", "Europe/Berlin", "2026-03-28T12:00:00+00:00", "2026-03-29T06:00:00+00:00"),
    ],
)
def test_a_digest_is_due_in_the_morning_of_its_contact(every: str, zone: str, after: str, due: str) -> None:
    contact = Contact(digests=every, time_zone=zone)
    assert next_digest(contact, datetime.fromisoformat(after)) == datetime.fromisoformat(due)
    assert next_digest(Contact(digests="none", time_zone=zone), datetime.fromisoformat(after)) is None


async def test_a_digest_tells_the_day_once_and_says_how_to_end_it(desk: Desk) -> None:
    await desk.judge(rounds(idle, [1], range(6)) + rounds(hashing, [1], range(6, 11)))
    assert await desk.until(19 * 60) == [0, 0]  # over before anybody was told
    assert await digests.open_due(desk.farm.database, now=MORNING) == 1
    assert await digests.open_due(desk.farm.database, now=MORNING) == 0
    await desk.dispatcher.dispatch(now=MORNING)
    [digest] = desk.mail.messages
    assert digest.subject == "ItsMiner - Warnings of the day: 1"
    assert digest.html
    for said in (digest.text, digest.html):
        assert M1 in said
        assert "Machine not hashing" in said
        assert "help@example.com" in said
        assert digest.unsubscribe_url
        assert digest.unsubscribe_url in said
    token = str(digest.unsubscribe_url).partition("token=")[2]
    contact = await desk.set_contact("email")
    assert links.about(desk.farm.database.keys, "digest", token) == contact
    assert links.about(desk.farm.database.keys, "unsubscribe", token) is None


async def test_with_nothing_to_say_no_digest_is_sent(desk: Desk) -> None:
    assert await digests.open_due(desk.farm.database, now=MORNING) == 1
    await desk.dispatcher.dispatch(now=MORNING)
    assert desk.mail.messages == []
    assert await desk.farm.outbox() == []


async def test_who_wants_none_gets_none_and_a_weeks_says_the_week(desk: Desk) -> None:
    await desk.set_contact("email", digests="none")
    assert await digests.open_due(desk.farm.database, now=MORNING) == 0
    await desk.set_contact("email", digests="weekly", digest_due_at=at(4 * 24 * 60))
    await desk.judge(rounds(idle, [1], range(6)) + rounds(hashing, [1], range(6, 11)))
    assert await digests.open_due(desk.farm.database, now=at(4 * 24 * 60) + timedelta(hours=1)) == 1
    await desk.dispatcher.dispatch(now=at(4 * 24 * 60) + timedelta(hours=1))
    assert [message.subject for message in desk.mail.messages] == ["ItsMiner - Warnings of the week: 1"]


async def test_a_digest_that_was_ended_meanwhile_is_not_sent(desk: Desk) -> None:
    await desk.judge(rounds(idle, [1], range(6)) + rounds(hashing, [1], range(6, 11)))
    await desk.until(60)
    await digests.open_due(desk.farm.database, now=MORNING)
    await desk.set_contact("email", digests="none")
    await desk.dispatcher.dispatch(now=MORNING)
    assert desk.mail.messages == []


async def test_a_digest_says_what_sites_with_a_tariff_took_and_cost_also_without_warnings(
    desk: Desk, tmp_path: Path
) -> None:
    """In the zone of the site: of the day that ended at 16:00 UTC in Shanghai, there are four hours of readings."""
    farm = desk.farm
    await farm.set_site(tariff_per_kwh=0.5, currency="USD", time_zone="Asia/Shanghai")
    store = EmbeddedStore(tmp_path / "series", clock=lambda: MORNING)
    told = tuple(hashing(1, at(4 * n), power_w=3_000.0) for n in range(90))  # six hours
    await store.write(
        farm.account, Batch(id=uuid4(), site=farm.site, agent="1.0", sent_at=at(360), readings=told), now=at(360)
    )
    await digests.open_due(farm.database, now=MORNING)
    await farm.dispatcher({Channel.EMAIL: desk.mail}, bills=Bills(store)).dispatch(now=MORNING)
    await store.close()
    [digest] = desk.mail.messages
    for said in (digest.text, digest.html or ""):
        assert "North, 2026-01-01: 11.8 kWh, 5.90 USD" in said


async def test_however_many_are_due_all_are_opened(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digests, "AT_ONCE", 2)
    for number in range(4):
        due = {"digests": "daily", "digest_due_at": MORNING}
        await desk.add("email", f"m{number}@example.com", **due)
    assert await digests.open_due(desk.farm.database, now=MORNING) == 5
    assert await digests.open_due(desk.farm.database, now=MORNING) == 0
