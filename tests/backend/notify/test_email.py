"""E-mail over real SMTP: what arrives, and what each answer of a server means."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from pydantic import SecretStr

from backend.config import Smtp
from backend.notify.email import Email
from backend.notify.protocol import Image, Message, NeverDeliverable, NotConfigured, NotifierError, TryLater
from tests.backend.notify.servers import Authority, MailServer, mail_server

MESSAGE = Message(
    id="msg_1",
    to="op@example.com",
    topic="sit_north",
    subject="CRITICAL - Nørd 北: Machine not hashing: mnr-0000000000000001",
    text="Nørd 北: 91.6 °C\n.\n..dots\n" + "long " * 300 + "\n",
    html="<p>Nørd 北: 91.6 °C" + "long " * 300 + "</p>",
    created_at=datetime(2026, 1, 1, 12, tzinfo=UTC),
)


def plain(server: MailServer, **settings: object) -> Email:
    return Email(
        Smtp.model_validate(
            {"host": "127.0.0.1", "port": server.port, "tls": "none", "sender": "farm@example.com"} | settings
        )
    )


async def failure(email: Email) -> NotifierError:
    with pytest.raises(NotifierError) as caught:
        await email.send(MESSAGE)
    assert "op@" not in str(caught.value)
    return caught.value


async def test_a_mail_arrives_in_text_and_html_with_its_headers() -> None:
    async with mail_server() as server:
        await plain(server).send(MESSAGE)
    (mail,) = server.mails
    assert {name: mail[name] for name in ("From", "To", "Subject", "Message-ID", "Auto-Submitted", "List-Id")} == {
        "From": "farm@example.com",
        "To": "op@example.com",
        "Subject": MESSAGE.subject,
        "Message-ID": "<msg_1@example.com>",
        "Auto-Submitted": "auto-generated",
        "List-Id": "<sit-north.warnings.example.com>",
    }
    assert mail["Date"].datetime == MESSAGE.created_at
    assert mail.get_content_type() == "multipart/alternative"
    text, html = mail.iter_parts()
    assert text.get_content().replace("\r\n", "\n") == MESSAGE.text
    assert MESSAGE.html
    assert html.get_content().strip() == MESSAGE.html
    assert all(byte < 128 for byte in server.raw[0])  # any server can take it
    assert max(map(len, server.raw[0].splitlines())) <= 998


@pytest.mark.parametrize("name", ["ItsMiner", '矿场 "North", Inc.', "x" * 200])
async def test_a_phone_shows_whose_mail_it_is(name: str) -> None:
    async with mail_server() as server:
        settings = Smtp(host="127.0.0.1", port=server.port, tls="none", sender="farm@example.com")
        await Email(settings, name=name).send(MESSAGE)
    [sender] = server.mails[0]["From"].addresses
    assert (sender.display_name, sender.addr_spec) == (name, "farm@example.com")
    assert max(map(len, server.raw[0].splitlines())) <= 998


async def test_a_picture_travels_inside_the_mail_beside_the_html_that_shows_it() -> None:
    image = Image("chart.msg_1@itsminer", b"\x89PNG\r\n\x1a\n...", "a chart")
    async with mail_server() as server:
        await plain(server).send(replace(MESSAGE, html='<img src="cid:chart.msg_1@itsminer">', image=image))
    (mail,) = server.mails
    text, related = mail.iter_parts()
    assert (text.get_content_type(), related.get_content_type()) == ("text/plain", "multipart/related")
    html, picture = related.iter_parts()
    assert "cid:chart.msg_1@itsminer" in html.get_content()
    assert (picture["Content-ID"], picture.get_content_disposition()) == ("<chart.msg_1@itsminer>", "inline")
    assert picture.get_content() == image.png


async def test_a_digest_carries_the_one_click_header() -> None:
    async with mail_server() as server:
        await plain(server).send(replace(MESSAGE, unsubscribe_url="https://farm.example.com/v1/digest/stop?token=x"))
        await plain(server).send(MESSAGE)
    digest, warning = server.mails
    assert digest["List-Unsubscribe"] == "<https://farm.example.com/v1/digest/stop?token=x>"
    assert digest["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert warning["List-Unsubscribe"] is None


async def test_the_same_message_has_the_same_id_whenever_it_is_sent() -> None:
    async with mail_server() as server:
        await plain(server).send(MESSAGE)
        await plain(server).send(MESSAGE)
    assert [mail["Message-ID"] for mail in server.mails] == ["<msg_1@example.com>"] * 2


def test_no_line_of_a_message_becomes_a_header() -> None:
    email = Email(Smtp(host="127.0.0.1", tls="none", sender="farm@example.com"))
    evil = Message(
        id="msg_1",
        to="op@example.com",
        topic="sit",
        subject="x\r\nBcc: all@example.com",
        text="",
        html=None,
        created_at=MESSAGE.created_at,
    )
    with pytest.raises(ValueError, match=r"newline|linefeed"):
        email.compose(evil)


@pytest.mark.parametrize(
    ("reply", "is_bad"),
    [
        ("550 5.1.1 <op@example.com>: unknown", True),
        ("550 no such user here", True),
        ("551 user not local", True),
        ("553 5.1.3 bad address syntax", True),
        ("550 5.2.1 mailbox disabled", True),
        ("556 5.1.10 domain takes no mail", True),
        # Ours to mend, and none of the contact's: it would condemn every contact of the service.
        ("550 5.7.1 relaying denied", False),
        ("550 relay not permitted", False),
        ("554 5.7.1 client host blocked", False),
        ("552 5.2.2 mailbox full", False),
        ("530 5.7.0 authentication required", False),
        ("450 4.2.1 greylisted", False),
        ("421 4.3.2 shutting down", False),
    ],
)
async def test_a_refused_recipient_is_a_bad_contact_only_when_the_address_is(reply: str, is_bad: bool) -> None:
    async with mail_server() as server:
        server.replies["RCPT"] = reply
        error = await failure(plain(server))
    if is_bad:
        assert isinstance(error, NeverDeliverable)
        assert error.is_contact_bad
    else:
        assert isinstance(error, TryLater)
        assert not error.may_have_arrived


@pytest.mark.parametrize("reply", ["550 5.1.8 sender unknown", "451 4.1.8 cannot resolve the sender's domain"])
async def test_a_refused_sender_is_ours_to_mend(reply: str) -> None:
    async with mail_server() as server:
        server.replies["MAIL"] = reply
        assert isinstance(await failure(plain(server)), TryLater)


async def test_a_wrong_password_is_ours_to_mend() -> None:
    async with mail_server(login=True) as server:
        right = plain(server, username="farm", password=SecretStr("correct"))
        await right.send(MESSAGE)
        wrong = await failure(plain(server, username="farm", password=SecretStr("guessed")))
    assert isinstance(wrong, TryLater)
    assert "535" in str(wrong)
    assert "guessed" not in str(wrong)
    assert ("farm", "correct") in server.logins
    assert len(server.mails) == 1


async def test_a_server_that_accepts_and_never_speaks_has_taken_nothing() -> None:
    connected: list[asyncio.StreamWriter] = []

    async def mute(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connected.append(writer)

    async with await asyncio.start_server(mute, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        email = Email(Smtp(host="127.0.0.1", port=port, tls="none", sender="farm@example.com"), opening_s=0.2)
        error = await failure(email)
        for writer in connected:
            writer.close()
    assert isinstance(error, TryLater)
    assert not error.may_have_arrived
    assert "0.2 s" in str(error)


@pytest.mark.parametrize("garbage", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\xff\xfe\x00garbage\n", b"220"])
async def test_a_server_that_is_no_mail_server_is_no_connection(garbage: bytes) -> None:
    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(garbage)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(babble, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        error = await failure(
            Email(Smtp(host="127.0.0.1", port=port, tls="none", sender="farm@example.com"), opening_s=2)
        )
    assert isinstance(error, TryLater)
    assert not error.may_have_arrived


# TLS.


@pytest.mark.parametrize("tls", ["starttls", "tls"])
async def test_mail_goes_over_tls(certificate: Authority, tls: str) -> None:
    async with mail_server(certificate("127.0.0.1"), wrapped=tls == "tls") as server:
        await plain(server, tls=tls).send(MESSAGE)
    assert len(server.mails) == 1


@pytest.mark.parametrize("tls", ["starttls", "tls"])
async def test_a_certificate_of_somebody_else_is_not_believed(certificate: Authority, tls: str) -> None:
    async with mail_server(certificate("mail.example.com"), wrapped=tls == "tls") as server:
        error = await failure(plain(server, tls=tls))
    assert isinstance(error, TryLater)
    assert server.mails == []


async def test_without_starttls_on_offer_nothing_is_sent_in_the_clear() -> None:
    async with mail_server(login=True) as server:
        email = plain(server, tls="starttls", username="farm", password=SecretStr("correct"))
        assert isinstance(await failure(email), TryLater)
    assert (server.mails, server.logins) == ([], [])


def test_mail_in_the_clear_is_for_this_machine_only() -> None:
    with pytest.raises(NotConfigured, match="starttls"):
        Email(Smtp(host="mail.example.com", tls="none", sender="farm@example.com"))
    Email(Smtp(host="localhost", tls="none", sender="farm@example.com"))
    Email(Smtp(host="::1", tls="none", sender="farm@example.com"))
    with pytest.raises(NotConfigured, match="host"):
        Email(Smtp())
