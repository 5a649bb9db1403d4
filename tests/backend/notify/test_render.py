"""What people read: every channel's words, and that nothing in them calls home or breaks out."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest

from backend.config import Contact
from backend.notify import gsm
from backend.notify.agenda import Agenda
from backend.notify.claim import Claim
from backend.notify.links import Links
from backend.notify.protocol import Message
from backend.notify.render import Renderer
from backend.notify.routing import Channel
from backend.notify.texts import PARTS
from backend.notify.tongue import Tongue
from backend.registry.account_tables import Member
from backend.registry.sealing import Keys
from backend.registry.site_tables import Site
from backend.registry.warning_tables import Warning
from backend.warnings.catalogue import Catalogue
from tests.backend.readings import NOW, at, machine

CATALOGUE = Catalogue.load()
KEYS = Keys.fresh()
ACKNOWLEDGE = Links("https://farm.example.com", KEYS).acknowledge("msg_1")


def warning(rule: str, number: int = 1, severity: str = "critical", **fields: Any) -> Warning:
    known = CATALOGUE.get(rule)
    values: dict[str, Any] = {"model": "S19 Pro", "since": at(0), "started_at": at(5), "value": 0.0, "threshold": 0.0}
    name = machine(number) if known is None or known.scope == "machine" else ""
    return Warning(id=f"wrn_{number}", rule=rule, severity=severity, machine=name, **(values | fields))


def over(rule: str, number: int = 1, **fields: Any) -> Warning:
    ended: dict[str, Any] = {"resolved_at": at(125), "resolution": "recovered"}
    return warning(rule, number, **(ended | fields))


def render(
    agenda: Agenda, channel: Channel = Channel.EMAIL, site: str = "North", lan_url: str | None = None, **contact: Any
) -> Message:
    claim = Claim(
        id="msg_1",
        attempt=1,
        created_at=NOW,
        channel=channel,
        to="op@example.com",
        member=Member(),
        site=Site(id="sit_north", account_id="acc", name=site, lan_url=lan_url),
        agenda=agenda,
    )
    renderer = Renderer(
        CATALOGUE, Links("https://farm.example.com/", KEYS), Contact(**({"email": "help@example.com"} | contact))
    )
    return renderer.message(claim, now=at(10))


HOT = warning("chip_hot", 2, "warning", value=91.57, threshold=90.0)
EVERYTHING = Agenda(
    new=[warning("machine_not_hashing"), HOT],
    over=[over("machine_offline", 3, severity="warning")],
    standing=[warning("fan_stopped", 4)],
)


def test_a_mail_says_what_where_since_when_how_much_and_what_to_do_first() -> None:
    mail = render(Agenda(new=[HOT]), lan_url="http://10.0.0.5:8700/")
    assert mail.html
    for said in (mail.text, re.sub(r"<[^>]+>", " ", mail.html)):
        for part in (
            "North",
            machine(2),
            "S19 Pro",
            "its hottest chip is at 91.6 °C (limit 90 °C)",
            "since 1 Jan 2026, 12:00 UTC (10 min)",
            CATALOGUE["chip_hot"].first,
            "help@example.com",
        ):
            assert part in said
    for said in (mail.text, mail.html):
        assert "https://farm.example.com/" in said
        assert f"http://10.0.0.5:8700/m/{machine(2)}" in said


def test_the_text_of_a_mail_as_a_whole() -> None:
    assert render(EVERYTHING).text.splitlines() == [
        f"What to do first: {CATALOGUE['machine_not_hashing'].first}",
        "",
        f"CRITICAL: Machine not hashing, Chip too hot, since 12:00 UTC; resolved: Machine offline: {machine(3)}",
        "Site: North",
        "",
        "CRITICAL: Machine not hashing",
        f"- {machine(1)} (S19 Pro)",
        "  answers and is meant to mine, but its hashrate is 0 TH/s",
        "  since 1 Jan 2026, 12:00 UTC (10 min)",
        "",
        "WARNING: Chip too hot",
        f"- {machine(2)} (S19 Pro)",
        "  its hottest chip is at 91.6 °C (limit 90 °C)",
        "  since 1 Jan 2026, 12:00 UTC (10 min)",
        "",
        f"What to do first: {CATALOGUE['chip_hot'].first}",
        "",
        "RESOLVED: Machine offline",
        f"- {machine(3)} (S19 Pro)",
        "  from 1 Jan 2026, 12:00 UTC to 1 Jan 2026, 14:05 UTC (2 h 5 min)",
        "",
        "STILL CRITICAL: Fan stopped",
        f"- {machine(4)} (S19 Pro)",
        "  a fan stands still while it mines",
        "  since 1 Jan 2026, 12:00 UTC (10 min)",
        "",
        f"What to do first: {CATALOGUE['fan_stopped'].first}",
        "",
        f"I take care of it: {ACKNOWLEDGE}",
        "",
        "All machines, with charts: https://farm.example.com/",
        "",
        "-- ",
        "ItsMiner watches the machines of North for you. Times are UTC.",
        "You get this mail because your account has this address for its warnings.",
        "Questions or objections: ItsMiner <help@example.com>",
    ]


@pytest.mark.parametrize(
    ("agenda", "subject"),
    [
        (Agenda(new=[HOT]), f"Warning - North: Chip too hot: {machine(2)}, since 12:00 UTC"),
        (Agenda(new=[warning("agent_silent")]), "CRITICAL - North: Site silent, since 12:00 UTC"),
        (
            Agenda(new=[warning("machine_not_hashing", number) for number in range(3)] + [HOT]),
            "CRITICAL - North: 3 machines not hashing, Chip too hot, since 12:00 UTC",
        ),
        (
            Agenda(
                new=[
                    warning("machine_not_hashing"),
                    warning("fan_stopped"),
                    HOT,
                    warning("machine_offline", 5, "warning"),
                    warning("machine_offline", 6, "warning"),
                ]
            ),
            "CRITICAL - North: Machine not hashing, Fan stopped, Chip too hot, 2 more, since 12:00 UTC",
        ),
        (Agenda(over=[over("chip_hot", 2)]), f"Resolved - North: Chip too hot: {machine(2)}"),
        (
            Agenda(standing=[warning("fan_stopped")]),
            f"Still CRITICAL - North: Fan stopped: {machine(1)}, since 12:00 UTC",
        ),
        (
            Agenda(new=[warning("chip_warm", 2, "warning")]),
            f"Warning - North: Chip warm: {machine(2)}, since 12:00 UTC",
        ),
    ],
)
def test_a_subject_says_how_bad_where_and_what(agenda: Agenda, subject: str) -> None:
    assert render(agenda).subject == subject


@pytest.mark.parametrize(
    ("agenda", "line"),
    [
        (EVERYTHING, f"What to do first: {CATALOGUE['machine_not_hashing'].first}"),
        (Agenda(standing=[warning("fan_stopped", 4)]), f"What to do first: {CATALOGUE['fan_stopped'].first}"),
        (Agenda(over=[over("chip_hot", 2)]), "It is over: there is nothing to do."),
        # What is to be done is not about what the title says first: each card says its own.
        (Agenda(over=[over("chip_hot", 2)], standing=[warning("fan_stopped", 4)]), None),
    ],
)
def test_the_first_line_of_a_mail_says_what_to_do_and_is_not_said_twice(agenda: Agenda, line: str | None) -> None:
    mail = render(agenda)
    assert mail.html
    words = " ".join(re.sub(r"<style>.*</style>|<title>.*</title>|<[^>]+>", " ", mail.html).split())
    for said in (mail.text, words):
        if line is None:
            assert said.startswith("Resolved: Chip too hot")
        else:
            assert said.startswith(line)
            assert said.count(line.removeprefix("What to do first: ")) == 1


def test_a_mail_loads_nothing_and_rewrites_no_link() -> None:
    html = render(EVERYTHING, lan_url="http://10.0.0.5:8700").html
    assert html
    links = set(re.findall(r'(?:href|src|action|background|url)\s*[=(]\s*["\']?([^"\'\s>)]+)', html))
    assert links == {
        "https://farm.example.com/",
        ACKNOWLEDGE,
        "mailto:help@example.com",
        *(f"http://10.0.0.5:8700/m/{machine(number)}" for number in (1, 2, 4)),
    }
    assert not re.search(r"<(img|script|iframe|link|object|embed|form)\b", html, re.IGNORECASE)


def test_what_a_site_is_called_is_text_and_never_markup() -> None:
    mail = render(EVERYTHING, site='<script>alert("x")</script>', lan_url='http://10.0.0.5/"><img src=x>')
    assert mail.html
    assert "<script>" not in mail.html
    assert "<img" not in mail.html
    assert "&lt;script&gt;" in mail.html
    assert '<script>alert("x")</script>' in mail.text  # in plain text it is what it is


def test_without_a_contact_or_a_site_page_nothing_is_said_of_them() -> None:
    mail = render(EVERYTHING, email=None)
    assert mail.html
    assert "mailto:" not in mail.html
    assert "Questions" not in mail.text
    assert "at the site" not in mail.text + mail.html


def test_how_it_ended_is_said_when_it_did_not_just_recover() -> None:
    ended = over("fan_stopped", resolution="switched_off")
    assert "not watched any more: the rule was switched off" in render(Agenda(over=[ended])).text
    assert "not watched" not in render(Agenda(over=[over("fan_stopped")])).text


# SMS.


def sms(agenda: Agenda, **options: Any) -> str:
    return render(agenda, Channel.SMS, **options).text


def test_a_text_says_what_matters_and_where_to_look() -> None:
    text = sms(Agenda(new=[HOT]))
    assert text == (
        f"Warning North: {machine(2)} its hottest chip is at 91.6 C (limit 90 C). Since 12:00 UTC. "
        f"First: {CATALOGUE['chip_hot'].first} {ACKNOWLEDGE}"
    )
    assert gsm.parts(text) == 2


def test_a_text_about_a_site_names_it_once() -> None:
    assert sms(Agenda(new=[warning("agent_silent")])).startswith("CRITICAL North: nothing comes from its agent")


def of_all_rules(machines: int) -> Agenda:
    """Every rule fires at so many machines, and is over at as many."""
    return Agenda(
        new=[warning(rule.name, number) for rule in CATALOGUE for number in range(machines)],
        over=[over(rule.name, number) for rule in CATALOGUE for number in range(machines)],
    )


@pytest.mark.parametrize("site", ["North", "N" * 200, "北方矿场", "北" * 200, "😀" * 200, "€" * 200])
@pytest.mark.parametrize(
    "agenda",
    [
        EVERYTHING,
        Agenda(new=[HOT]),
        Agenda(new=[warning("agent_silent")]),
        Agenda(new=of_all_rules(50).new),
        of_all_rules(120),  # thousands: the counts take a digit more
        Agenda(over=[over("machine_offline", number) for number in range(3)]),
        Agenda(standing=[warning("fan_stopped")]),
    ],
)
def test_no_text_is_longer_than_two_parts_and_each_begins_with_how_bad_it_is(site: str, agenda: Agenda) -> None:
    text = sms(agenda, site=site)
    assert gsm.parts(text) <= PARTS
    assert text.startswith(("CRITICAL ", "Warning ", "Resolved ", "Still CRITICAL "))
    assert re.search("machine|chip|agent|fan|silent", text, re.IGNORECASE)
    assert not text.endswith(("\ud83d", " "))


def test_a_text_keeps_the_link_as_long_as_it_fits() -> None:
    assert "https://farm.example.com/" in sms(Agenda(new=[HOT]), site="北" * 20)


# Times.


def test_times_are_read_the_same_everywhere() -> None:
    assert Tongue().moment(at(0)) == "1 Jan 2026, 12:00 UTC"
    assert [Tongue().recent(at(0), at(minute)) for minute in (719, 720)] == ["12:00 UTC", "1 Jan, 12:00 UTC"]
    assert [
        Tongue().lasting(timedelta(seconds=seconds)) for seconds in (-5, 10, 60, 3_599, 3_600, 8_000, 86_400, 100_000)
    ] == [
        "less than 1 min",
        "less than 1 min",
        "1 min",
        "1 h",
        "1 h",
        "2 h 13 min",
        "1 d",
        "1 d 3 h",
    ]
