"""Who is told what, and when: grouping, routing, silences, reminders, and that what is over is told to nobody."""

from __future__ import annotations

import pytest
from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError

from backend.registry import members
from backend.registry.account_tables import Member
from backend.registry.notify_tables import OutboxMessage, Telling
from tests.backend.farm import M1, M2, gone, hashing, idle, rounds
from tests.backend.notify.desk import Desk, hot
from tests.backend.readings import at

# Routing.


async def test_critical_goes_by_mail_and_text_after_the_group_wait(desk: Desk) -> None:
    await desk.judge(rounds(idle, [1], range(6)))
    assert await desk.until(5.49) == [0, 0]
    assert await desk.until(5.5) == [1, 1]
    assert (desk.mail.messages[0].to, desk.text.messages[0].to) == ("op@example.com", "+12025550123")
    assert await desk.until(60) == [1, 1]


async def test_a_warning_goes_by_mail_only(desk: Desk) -> None:
    await desk.judge([hot(1, minute) for minute in range(4)])
    assert await desk.until(60) == [1, 0]


@pytest.mark.parametrize(
    ("change", "left"),
    [
        ({"email_verified_at": None}, [0, 1]),
        ({"phone_verified_at": None}, [1, 0]),
        ({"email_failed_at": at(0)}, [0, 1]),
        ({"phone_failed_at": at(0)}, [1, 0]),
        ({"phone": None}, [1, 0]),
    ],
)
@pytest.mark.parametrize("is_late", [False, True], ids=["before it is written", "before it is sent"])
async def test_nothing_goes_to_a_contact_that_is_not_verified_or_has_failed(
    desk: Desk, change: dict[str, object], left: list[int], is_late: bool
) -> None:
    async def apply() -> None:
        async with desk.farm.database.begin() as session:
            await session.execute(update(Member).values(**change))

    if not is_late:
        await apply()
    await desk.judge(rounds(idle, [1], range(6)))
    if is_late:
        await apply()
    assert await desk.until(60) == left


async def test_each_member_of_the_account_is_told_and_nobody_else(desk: Desk) -> None:
    async with desk.farm.database.begin() as session:
        await members.add(session, desk.farm.account, email="two@example.com", verified=True, now=at(0))
        await members.add(session, desk.farm.account, email="three@example.com", now=at(0))
    await desk.judge(rounds(idle, [1], range(6)))
    await desk.until(60)
    assert sorted(message.to for message in desk.mail.messages) == ["op@example.com", "two@example.com"]


# Grouping.


async def test_what_fires_within_the_group_wait_is_one_message(desk: Desk) -> None:
    await desk.judge(rounds(idle, [1, 2], range(6)))
    await desk.judge(rounds(idle, [3], [0.3, 1.3, 2.3, 3.3, 4.3, 5.3]), at(5.3))
    assert await desk.until(60) == [1, 1]
    assert "3 machines not hashing" in desk.mail.messages[0].subject


async def test_updates_come_at_most_every_five_minutes(desk: Desk) -> None:
    await desk.judge(rounds(idle, [1], range(6)))
    assert await desk.until(6) == [1, 1]  # at 5:30
    for number in range(2, 5):  # another one each minute, fired at 6, 7, 8
        await desk.judge(rounds(idle, [number], [number - 1 + minute for minute in range(6)]))
    assert await desk.until(10.4) == [1, 1]
    assert await desk.until(10.5) == [2, 2]
    assert "3 machines not hashing" in desk.mail.messages[1].subject


async def test_the_database_itself_refuses_two_unsent_messages_about_one_site_to_one_contact(desk: Desk) -> None:
    await desk.judge(rounds(idle, [1], range(6)))
    row = (await desk.farm.outbox())[0]
    columns = {column.key: getattr(row, column.key) for column in OutboxMessage.__table__.columns}
    with pytest.raises(IntegrityError):
        async with desk.farm.database.begin() as session:
            session.add(OutboxMessage(**(columns | {"id": "msg_other"})))


async def test_a_hundred_machines_are_one_message_with_a_bounded_list(desk: Desk) -> None:
    await desk.judge(rounds(gone, range(100), range(6)))
    assert await desk.until(60) == [1, 0]
    (mail,) = desk.mail.messages
    assert "100 machines offline" in mail.subject
    assert mail.text.count("mnr-") == 40
    assert "and 60 more" in mail.text


# What is over.


async def test_what_is_over_before_it_was_told_is_told_to_nobody(desk: Desk) -> None:
    desk.engine = desk.farm.engine({"machine_not_hashing": {"clear_for_s": 10}})
    await desk.judge(rounds(idle, [1], range(6)))
    await desk.judge(rounds(hashing, [1], [5.2, 5.4]))
    assert [warning.resolved_at for warning in await desk.farm.warnings()] == [at(5.4)]
    assert await desk.until(60) == [0, 0]
    assert await desk.farm.outbox() == []


async def test_what_is_over_is_told_to_those_who_were_told_and_only_once(desk: Desk) -> None:
    await desk.judge(rounds(idle, [1], range(6)))
    await desk.until(6)
    async with desk.farm.database.begin() as session:
        await members.add(session, desk.farm.account, email="new@example.com", verified=True, now=at(6))
    await desk.judge(rounds(hashing, [1], range(6, 11)))
    assert await desk.until(24 * 60) == [2, 2]
    assert {message.to for message in desk.mail.messages} == {"op@example.com"}
    assert desk.mail.messages[1].subject == f"Resolved - North: Machine not hashing: {M1}"
    assert desk.text.messages[1].text.startswith(f"Resolved North: Machine not hashing: {M1}.")


async def test_one_message_says_what_is_new_and_what_is_over(desk: Desk) -> None:
    await desk.judge(rounds(idle, [1], range(6)))
    await desk.until(6)
    await desk.judge(rounds(hashing, [1], range(6, 10)) + rounds(idle, [2], range(4, 10)))
    assert await desk.until(60) == [2, 2]
    assert desk.mail.messages[1].subject.startswith(
        f"CRITICAL - North: Machine not hashing: {M2}, since 12:04 UTC; resolved: Machine"
    )


async def test_a_text_says_that_it_is_over_even_if_it_had_eased_to_a_warning(desk: Desk) -> None:
    await desk.judge([hot(1, minute, 101) for minute in range(4)])
    assert await desk.until(4) == [1, 1]
    await desk.judge([hot(1, minute, 93) for minute in range(4, 11)])
    assert [warning.severity for warning in await desk.farm.warnings()] == ["warning"]
    assert await desk.until(11) == [1, 1]  # that it eased is no news
    await desk.judge([hot(1, minute, 70) for minute in range(11, 17)])
    assert await desk.until(60) == [2, 2]


async def test_a_warning_that_gets_critical_is_told_again(desk: Desk) -> None:
    await desk.judge([hot(1, minute) for minute in range(4)])
    assert await desk.until(4) == [1, 0]
    await desk.judge([hot(1, minute, 101) for minute in range(4, 6)])
    assert await desk.until(5.5) == [1, 1]  # nobody was texted yet; a mail went out two minutes ago
    assert await desk.until(60) == [2, 1]
    assert desk.mail.subjects[1].startswith("CRITICAL")


async def test_a_backlog_notifies_nobody_of_what_it_says_is_over(desk: Desk) -> None:
    now = at(120)
    for start in range(0, 100, 5):  # twenty batches, over more than the group wait
        kind = idle if 20 <= start < 80 else hashing
        await desk.judge(rounds(kind, [1], range(start, start + 5)), now, sent_at=now)
        now += at(0.1) - at(0)
        await desk.until((now - at(0)).total_seconds() / 60)
    assert [warning.resolved_at is not None for warning in await desk.farm.warnings()] == [True]
    assert await desk.until(24 * 60) == [0, 0]


async def test_a_backlog_tells_what_still_is_so_when_it_has_caught_up(desk: Desk) -> None:
    await desk.judge(rounds(idle, [1], range(10)), at(120), sent_at=at(120))
    assert await desk.until(122) == [0, 0]
    await desk.judge(rounds(idle, [1], range(100, 122)), at(122), sent_at=at(122))
    assert await desk.until(124) == [1, 1]


async def test_a_site_that_is_always_late_is_late_and_not_mute(desk: Desk) -> None:
    for minute in range(30):
        await desk.judge([idle(time=at(minute))], at(minute + 60), sent_at=at(minute + 60))
    assert await desk.until(60 + 14) == [0, 0]
    assert await desk.until(60 + 17) == [1, 1]


# Reminders.


async def test_what_stays_critical_is_said_again_every_four_hours(desk: Desk) -> None:
    await desk.judge(rounds(idle, [1], range(6)))
    assert await desk.until(5.5 + 239) == [1, 1]
    assert await desk.until(5.5 + 240) == [2, 2]
    assert desk.mail.subjects[1] == f"Still CRITICAL - North: Machine not hashing: {M1}, since 12:00 UTC"
    assert await desk.until(5.5 + 480) == [3, 3]


async def test_an_update_puts_the_reminder_off_and_names_what_stands(desk: Desk) -> None:
    await desk.judge(rounds(idle, [1], range(6)))
    await desk.until(6)
    await desk.judge([hot(2, minute) for minute in range(117, 121)])
    assert await desk.until(240) == [2, 1]
    assert "STILL CRITICAL: Machine not hashing" in desk.mail.messages[1].text
    assert await desk.until(250) == [2, 2]  # the texts' own four hours
    assert await desk.until(120.5 + 240) == [3, 2]


async def test_acknowledged_it_is_not_said_again_but_that_it_is_over(desk: Desk) -> None:
    await desk.judge(rounds(idle, [1], range(6)))
    await desk.until(6)
    await desk.farm.actions().acknowledge(desk.farm.account, desk.farm.site, "machine_not_hashing", M1, now=at(7))
    assert await desk.until(24 * 60) == [1, 1]
    await desk.judge(rounds(hashing, [1], range(1440, 1445)))
    assert await desk.until(1446) == [2, 2]


# Holding back.


async def test_a_silenced_warning_is_told_when_the_silence_ends_and_it_still_is_so(desk: Desk) -> None:
    await desk.farm.actions().silence(desk.farm.account, desk.farm.site, machine=M1, starts_at=at(0), ends_at=at(30))
    await desk.judge(rounds(idle, [1, 2], range(6)))
    assert await desk.until(29) == [1, 1]
    assert M1 not in desk.mail.messages[0].text
    assert await desk.until(30.5) == [2, 2]
    assert M1 in desk.mail.messages[1].text


@pytest.mark.parametrize("rule", ["machine_not_hashing", None])
async def test_a_silenced_warning_that_ends_before_the_silence_is_told_to_nobody(desk: Desk, rule: str | None) -> None:
    await desk.farm.actions().silence(desk.farm.account, None, rule=rule, starts_at=at(0), ends_at=at(30))
    await desk.judge(rounds(idle, [1], range(6)) + rounds(hashing, [1], range(6, 12)))
    assert await desk.until(24 * 60) == [0, 0]


async def test_a_silence_of_another_rule_silences_nothing(desk: Desk) -> None:
    await desk.farm.actions().silence(desk.farm.account, None, rule="chip_hot", starts_at=at(0), ends_at=at(30))
    await desk.judge(rounds(idle, [1], range(6)))
    assert await desk.until(6) == [1, 1]


async def test_a_silent_agent_holds_back_that_its_machines_are_offline(desk: Desk) -> None:
    await desk.judge(rounds(gone, [1], range(6)) + rounds(hashing, [2], range(6)))  # fires at 5
    for minute in range(5, 11):
        await desk.engine.tick(now=at(minute))
        if minute == 5:
            async with desk.farm.database.begin() as session:  # the mail server is away until 10:00
                await session.execute(update(OutboxMessage).values(due_at=at(10)))
    assert await desk.until(11) == [1, 1]
    assert desk.mail.subjects == ["CRITICAL - North: Site silent, since 12:05 UTC"]
    await desk.judge([gone(1, at(20)), hashing(2, at(20))])
    assert await desk.until(60) == [2, 2]
    assert desk.mail.subjects[1] == f"Warning - North: Machine offline: {M1}, since 12:00 UTC; resolved: Site silent"
    assert desk.text.subjects[1] == "Resolved - North: Site silent"


async def test_a_paused_site_tells_only_that_it_is_over(desk: Desk) -> None:
    await desk.judge(rounds(idle, [1], range(6)))
    await desk.until(6)
    await desk.judge([hot(2, minute) for minute in range(6, 10)])
    await desk.farm.set_site(paused_at=at(10))
    await desk.engine.tick(now=at(10))
    assert await desk.until(24 * 60) == [2, 2]
    assert desk.mail.subjects[1] == f"Resolved - North: Machine not hashing: {M1}"
    assert "not watched any more: it was paused" in desk.mail.messages[1].text


async def test_who_was_told_what_is_on_record(desk: Desk) -> None:
    await desk.judge(rounds(idle, [1], range(6)))
    await desk.until(6)
    await desk.judge(rounds(hashing, [1], range(6, 11)))
    await desk.until(60)
    sent = {(row.channel, row.sent_at): row.id for row in await desk.farm.outbox()}
    (warning,) = await desk.farm.warnings()
    async with desk.farm.database.read() as session:
        found = (await session.scalars(select(Telling).where(Telling.warning_id == warning.id))).all()
    assert {telling.channel for telling in found} == {"email", "sms"}
    for telling in found:
        assert (telling.severity, telling.member_id) == ("critical", desk.farm.member)
        said = (sent[telling.channel, at(5.5)], sent[telling.channel, at(10.5)])
        assert (telling.message_id, telling.over_message_id) == said
