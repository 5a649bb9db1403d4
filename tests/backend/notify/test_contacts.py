"""Each contact's own choice: how bad, which sites, when, in what order, and what happens when one fails."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from backend.config import Notify
from backend.notify.protocol import NeverDeliverable
from backend.notify.quiet import quiet_until
from backend.notify.routing import Channel
from backend.registry.notify_tables import Contact
from backend.warnings.severity import Severity
from tests.backend.farm import M1, hashing, idle, rounds
from tests.backend.notify.desk import Desk, hot
from tests.backend.readings import at


async def test_a_contact_is_told_from_its_severity_up(desk: Desk) -> None:
    await desk.set_contact("email", severity="critical")
    await desk.set_contact("sms", severity="warning")
    await desk.judge([hot(1, minute) for minute in range(4)])
    assert await desk.until(60) == [0, 1]


async def test_a_contact_that_wants_none_is_told_nothing(desk: Desk) -> None:
    await desk.set_contact("email", severity="none")
    await desk.judge(rounds(idle, [1], range(6)))
    assert await desk.until(60) == [0, 1]


async def test_a_contact_of_another_site_is_told_nothing_of_this_one(desk: Desk) -> None:
    await desk.set_contact("email", sites=["sit_south"])
    await desk.set_contact("sms", sites=["sit_south", desk.farm.site])
    await desk.judge(rounds(idle, [1], range(6)))
    assert await desk.until(60) == [0, 1]


async def test_what_is_not_verified_is_told_nothing(desk: Desk) -> None:
    await desk.add("email", "new@example.com", verified_at=None)
    await desk.add("webhook", "https://hook.example.com/x", verified_at=None)
    await desk.judge(rounds(idle, [1], range(6)))
    assert await desk.until(60) == [1, 1]
    assert desk.hook.messages == []


async def test_a_webhook_gets_the_same_warnings_as_json_to_be_signed(desk: Desk) -> None:
    hook = await desk.add("webhook", "https://hook.example.com/x")
    await desk.judge([hot(1, minute) for minute in range(4)])
    await desk.until(60)
    [message] = desk.hook.messages
    async with desk.farm.database.read() as session:
        assert message.secret == (await session.get_one(Contact, hook)).secret
    assert (message.to, message.html) == ("https://hook.example.com/x", None)
    assert message.secret


# Quiet hours.


@pytest.mark.parametrize(
    ("hours", "zone", "now", "until"),
    [
        (("22:00", "06:00"), "UTC", "2026-01-01 21:59", None),
        (("22:00", "06:00"), "UTC", "2026-01-01 22:00", "2026-01-02 06:00"),
        (("22:00", "06:00"), "UTC", "2026-01-02 05:59", "2026-01-02 06:00"),
        (("22:00", "06:00"), "UTC", "2026-01-02 06:00", None),
        (("12:00", "13:30"), "UTC", "2026-01-01 12:15", "2026-01-01 13:30"),
        (("22:00", "06:00"), "Asia/Shanghai", "2026-01-01 14:30", "2026-01-01 22:00"),
        (("22:00", "06:00"), "America/New_York", "2026-01-01 04:00", "2026-01-01 11:00"),
        (("01:00", "02:30"), "Europe/Berlin", "2026-03-29 00:30", "2026-03-29 01:30"),  # 02:30 does not exist
        (("01:00", "02:30"), "Europe/Berlin", "2026-10-25 00:10", "2026-10-25 00:30"),  # 02:30 comes twice
        (("08:00", "08:00"), "UTC", "2026-01-01 08:00", None),
    ],
)
def test_quiet_hours_are_those_of_the_contacts_wall_clock(
    hours: tuple[str, str], zone: str, now: str, until: str | None
) -> None:
    contact = Contact(quiet_from=hours[0], quiet_to=hours[1], time_zone=zone, critical_passes=True)
    found = quiet_until(contact, Severity.WARNING, datetime.fromisoformat(now).replace(tzinfo=UTC))
    assert found == (datetime.fromisoformat(until).replace(tzinfo=UTC) if until else None)


async def test_in_quiet_hours_a_warning_waits_and_what_is_critical_passes(desk: Desk) -> None:
    await desk.set_contact("email", quiet_from="11:00", quiet_to="13:00")  # it is noon
    await desk.judge([hot(1, minute) for minute in range(4)])
    assert await desk.until(59) == [0, 0]
    await desk.judge(rounds(idle, [2], range(4, 10)))
    assert await desk.until(59) == [1, 1]
    assert "Chip too hot" not in desk.mail.messages[0].text
    assert await desk.until(60) == [2, 1]
    assert "Chip too hot" in desk.mail.messages[1].text


async def test_what_is_over_before_quiet_hours_end_is_told_to_nobody(desk: Desk) -> None:
    await desk.set_contact("email", quiet_from="11:00", quiet_to="13:00")
    await desk.judge([hot(1, minute) for minute in range(4)])
    await desk.judge([hot(1, minute, 40) for minute in range(4, 12)])
    assert await desk.until(24 * 60) == [0, 0]


async def test_who_wants_to_sleep_is_not_told_of_anything(desk: Desk) -> None:
    await desk.set_contact("sms", quiet_from="11:00", quiet_to="13:00", critical_passes=False)
    await desk.judge(rounds(idle, [1], range(6)))
    assert await desk.until(59) == [1, 0]
    assert await desk.until(60) == [1, 1]


# One after the other.


async def test_who_comes_next_is_told_when_nobody_acknowledged_in_time(desk: Desk) -> None:
    await desk.set_contact("sms", after_min=15)
    await desk.judge(rounds(idle, [1], range(6)))  # fires at 5
    assert await desk.until(19.9) == [1, 0]
    assert await desk.until(20) == [1, 1]
    await desk.judge(rounds(hashing, [1], range(21, 26)))
    assert await desk.until(60) == [2, 2]


async def test_who_comes_next_is_told_nothing_when_somebody_acknowledged(desk: Desk) -> None:
    await desk.set_contact("sms", after_min=15)
    await desk.judge(rounds(idle, [1], range(6)))
    await desk.until(6)
    await desk.farm.actions().acknowledge(desk.farm.account, desk.farm.site, "machine_not_hashing", M1, now=at(7))
    assert await desk.until(24 * 60) == [1, 0]
    assert await desk.dispatcher.next_due() is None


async def test_who_comes_next_is_told_nothing_of_what_is_over_in_time(desk: Desk) -> None:
    await desk.set_contact("sms", after_min=15)
    await desk.judge(rounds(idle, [1], range(6)) + rounds(hashing, [1], range(6, 11)))
    assert await desk.until(24 * 60) == [0, 0]


# Failing.


async def test_when_all_who_would_be_told_have_failed_others_are(desk: Desk) -> None:
    desk.mail.failures.append(NeverDeliverable("550 5.1.1", is_contact_bad=True))
    await desk.judge([hot(1, minute) for minute in range(4)])
    assert await desk.until(60) == [0, 2]  # that the address is gone, and the warning that a text is not for
    assert sorted("Chip" in message.text or "hottest" in message.text for message in desk.text.messages) == [
        False,
        True,
    ]
    async with desk.farm.database.read() as session:
        contact = await session.get_one(Contact, await desk.set_contact("email"))
    assert (contact.failed_at, contact.failure) == (at(3.5), "550 5.1.1")


async def test_one_of_two_that_fails_is_not_replaced_by_who_wanted_less(desk: Desk) -> None:
    await desk.add("email", "second@example.com")
    desk.mail.failures.append(NeverDeliverable("550 5.1.1", is_contact_bad=True))
    await desk.judge([hot(1, minute) for minute in range(4)])
    await desk.until(60)
    assert all("Chip" not in message.text for message in desk.text.messages)
    assert len([message for message in desk.mail.messages if "Chip" in message.subject]) == 1


# Caps.


async def test_after_the_cap_one_last_text_says_so_and_the_rest_waits_a_day(desk: Desk) -> None:
    desk.dispatcher = desk.farm.dispatcher({Channel.SMS: desk.text})
    desk.dispatcher._claims._settings = Notify(sms_per_day=2)
    for number in range(1, 6):
        start = number * 20
        await desk.judge(rounds(idle, [number], range(start, start + 6)))
        await desk.until(start + 19)
    assert [message.subject.split(" - ")[0] for message in desk.text.messages] == [
        "CRITICAL",
        "CRITICAL",
        "No more texts today",
    ]
    assert "the limit of your account is reached" in desk.text.messages[2].text
    first_at = 25.5
    assert await desk.until(first_at + 24 * 60 - 1) == [0, 3]
    assert (await desk.until(first_at + 24 * 60 + 1))[1] == 4
    assert desk.text.messages[3].text.startswith("CRITICAL North: 3 machines not hashing")


async def test_the_cap_is_the_accounts_and_counts_what_is_under_way(desk: Desk) -> None:
    for number in range(6):
        await desk.add("sms", f"+1202555020{number}")
    desk.dispatcher = desk.farm.dispatcher({Channel.SMS: desk.text})
    desk.dispatcher._claims._settings = Notify(sms_per_day=3)
    await desk.judge(rounds(idle, [1], range(6)))
    await desk.dispatcher.dispatch(now=at(6))
    assert len([message for message in desk.text.messages if message.subject.startswith("CRITICAL")]) == 3
    assert len(desk.text.messages) == 4
