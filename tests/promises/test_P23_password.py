"""P23: argon2id; sessions end and can be listed and ended; tries are limited; a second factor can be required."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from backend.accounts import totp
from backend.config import Accounts
from tests.promises.conftest import Logged
from tests.promises.service import PASSWORD, Person, Service, service, until


async def try_login(here: Service, email: str, password: str, code: str | None = None) -> int:
    sent = {"email": email, "password": password} | ({"code": code} if code else {})
    return (await here.post("/v1/login", sent)).status


async def test_of_a_password_only_an_argon2id_hash_is_stored(here: Service) -> None:
    await here.register("a@farm.example")
    [(kept,)] = here.query("SELECT password_hash FROM logins")
    assert kept.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert PASSWORD not in here.dump()


async def test_a_password_that_is_easy_is_refused(here: Service) -> None:
    for password in ("short", "aaaaaaaaaaaaaaaa", "night.shift at home", "P@ssw0rd2024", "1qaz2wsx3edc4rfv", "a" * 256):
        answer = await here.post("/v1/register", here.application("night.shift@farm.example", password=password))
        assert answer.status == 422
        assert password not in answer.raw.decode()
    told = (await here.post("/v1/register", here.application("a@farm.example", password="password1234"))).json["detail"]
    assert "first that are tried" in told
    assert "Add another word or two" in told  # what to change


async def test_a_session_ends_when_unused_when_old_and_when_told_to(here: Service) -> None:
    owner = await here.register("a@farm.example")
    other = await here.log_in(owner.email, owner.password)
    listed = (await here.get("/v1/sessions", owner.token)).json["sessions"]
    assert [one["is_this"] for one in listed] == [False, True]
    ended = await here.post("/v1/sessions/end", {"session": listed[0]["session"]}, owner.token)
    assert (ended.status, (await here.get("/v1/me", other.token)).status) == (204, 401)
    for _ in range(7):
        here.offset += timedelta(hours=3)  # used meanwhile: 4 h without use would end it
        assert (await here.get("/v1/me", owner.token)).status == 200
    here.offset += timedelta(hours=3, seconds=1)
    assert (await here.get("/v1/me", owner.token)).status == 401  # a day old
    idle = await here.log_in(owner.email, owner.password)
    here.offset += timedelta(hours=4, seconds=1)
    assert (await here.get("/v1/me", idle.token)).status == 401
    out = await here.log_in(owner.email, owner.password)
    assert (await here.post("/v1/logout", token=out.token)).status == 204
    assert (await here.get("/v1/me", out.token)).status == 401


async def test_after_some_failures_an_address_waits_be_it_known_or_not(here: Service) -> None:
    owner = await here.register("a@farm.example")
    for email in (owner.email, "nobody@farm.example"):
        tries = [await try_login(here, email, "wrong password!") for _ in range(6)]
        assert tries == [401] * 5 + [429]
    assert await try_login(here, owner.email, PASSWORD) == 429  # right, and not looked at
    here.offset += timedelta(minutes=1, seconds=1)
    assert await try_login(here, owner.email, PASSWORD) == 201


async def test_tries_at_the_same_moment_are_no_way_around_the_wait(here: Service) -> None:
    owner = await here.register("a@farm.example")
    tries = await asyncio.gather(*(try_login(here, owner.email, f"wrong password {n}") for n in range(20)))
    assert sorted(tries) == [401] * 5 + [429] * 15


async def test_tries_from_one_address_are_limited_whatever_they_try(tmp_path: Path) -> None:
    async with service(tmp_path, accounts=Accounts(logins_per_min=8)) as here:
        tries = [await try_login(here, f"n{number}@farm.example", "wrong password!") for number in range(9)]
    assert tries == [401] * 8 + [429]


async def test_an_answer_says_the_same_of_known_and_unknown_addresses(here: Service) -> None:
    owner = await here.register("a@farm.example")
    answers = [
        await here.post("/v1/login", {"email": email, "password": "wrong password!"})
        for email in (owner.email, "nobody@farm.example", "no address")
    ]
    assert len({(answer.status, answer.raw) for answer in answers}) == 1
    asked = [await here.post("/v1/password/forgot", {"email": each}) for each in (owner.email, "nobody@farm.example")]
    assert [(answer.status, answer.raw) for answer in asked] == [(202, b"")] * 2


async def test_a_second_factor_is_asked_for_and_a_code_is_good_once(here: Service) -> None:
    owner = await here.register("a@farm.example")
    await here.second_factor(owner)
    assert owner.totp is not None
    assert await try_login(here, owner.email, PASSWORD) == 401
    assert await try_login(here, owner.email, PASSWORD, owner.confirmed) == 401  # it was used
    here.offset += timedelta(seconds=60)
    code = totp.code(owner.totp, totp.step(here.now))
    tries = await asyncio.gather(*(try_login(here, owner.email, PASSWORD, code) for _ in range(2)))
    assert sorted(tries) == [201, 401]
    assert owner.totp not in here.dump()


async def test_a_recovery_code_opens_a_log_in_once_when_the_phone_is_lost(here: Service) -> None:
    owner = await here.register("a@farm.example")
    await here.second_factor(owner)
    first, second, *_ = owner.recovery
    assert len(set(owner.recovery)) == 10
    assert not [code for code in owner.recovery if code in here.dump()]
    tries = await asyncio.gather(*(try_login(here, owner.email, PASSWORD, first) for _ in range(2)))
    assert sorted(tries) == [201, 401]
    assert (await here.get("/v1/me", owner.token)).json["recovery_codes"] == 9
    typed = second.lower().replace("-", " ")
    renewed = await here.post("/v1/second-factor/codes", {"password": PASSWORD, "code": typed}, owner.token)
    assert renewed.status == 201
    assert await try_login(here, owner.email, PASSWORD, owner.recovery[2]) == 401  # the former ones ended
    dropped = {"password": PASSWORD, "code": renewed.json["recovery_codes"][0]}
    assert (await here.post("/v1/second-factor/drop", dropped, owner.token)).status == 204
    assert here.query("SELECT count(*) FROM recovery_codes") == [(0,)]


async def test_a_stolen_session_and_password_are_no_way_to_guess_the_code(here: Service) -> None:
    owner = await here.register("a@farm.example")
    await here.second_factor(owner)
    for path in ("/v1/second-factor/drop", "/v1/second-factor/codes"):
        guesses = [{"password": PASSWORD, "code": f"{number:06}"} for number in range(6)]
        tries = [(await here.post(path, guess, owner.token)).status for guess in guesses]
        assert tries == [403] * 5 + [429]
        here.offset += timedelta(hours=1, seconds=1)
        await here.post("/v1/password", {"password": PASSWORD, "new_password": PASSWORD}, owner.token)  # forgives
    assert (await here.get("/v1/me", owner.token)).json["has_second_factor"]


async def test_nobodys_recovery_code_opens_another_ones_log_in(here: Service) -> None:
    owner, other = await here.register("a@farm.example"), await here.register("b@mine.example")
    await here.second_factor(owner)
    await here.second_factor(other)
    assert await try_login(here, other.email, PASSWORD, owner.recovery[0]) == 401
    assert await try_login(here, owner.email, PASSWORD, owner.recovery[0]) == 201


async def test_a_log_in_from_elsewhere_is_told_by_mail_and_no_address_is_kept(here: Service) -> None:
    owner = await here.register("a@farm.example", language="zh")
    firefox = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"}
    form = {"email": owner.email, "password": PASSWORD}
    subject = "新的登录"

    def told() -> list[str]:
        return [str(mail.get_content()) for mail in here.mails.mails if subject in str(mail["Subject"])]

    assert (await here.post("/v1/login", form)).status == 201  # as when it registered
    for _ in range(2):  # the second time it is known
        assert (await here.ask("POST", "/v1/login", json=form, headers=firefox)).status == 201
    [mail] = await until(told)
    assert "Firefox" in mail
    await until(lambda: here.query("SELECT count(*) FROM outbox WHERE sent_at IS NULL") == [(0,)])
    assert len(told()) == 1
    assert "127.0.0" not in here.dump()


async def test_what_is_changed_of_a_log_in_is_told_by_mail_to_the_address_it_had(here: Service) -> None:
    owner = await here.register("a@farm.example")
    await here.second_factor(owner)
    changed = {"password": PASSWORD, "new_password": f"{PASSWORD}, changed"}
    assert (await here.post("/v1/password", changed, owner.token)).status == 204
    dropped = {"password": changed["new_password"], "code": owner.recovery[0]}
    assert (await here.post("/v1/second-factor/drop", dropped, owner.token)).status == 204
    moved = {"field": "email", "value": "new@farm.example"}
    assert (await here.post("/v1/corrections", moved, owner.token)).status < 300
    told = ("second factor is on", "password was changed", "second factor is off", "another address")

    def heard() -> set[str]:
        mails = [mail for mail in here.mails.mails if str(mail["To"]) == owner.email]
        return {each for each in told for mail in mails if each in str(mail["Subject"])}

    await until(lambda: heard() == set(told))


async def test_one_can_log_out_everywhere_at_once(here: Service) -> None:
    owner = await here.register("a@farm.example")
    this, *others = [await here.log_in(owner.email, owner.password) for _ in range(3)]
    assert (await here.post("/v1/sessions/end-all", {"this_too": False}, this.token)).status == 204
    assert [(await here.get("/v1/me", each.token)).status for each in (this, owner, *others)] == [200, 401, 401, 401]
    assert (await here.post("/v1/sessions/end-all", {"this_too": True}, this.token)).status == 204
    assert (await here.get("/v1/me", this.token)).status == 401


async def test_an_account_can_require_a_second_factor_of_everybody(here: Service) -> None:
    owner = await here.register("a@farm.example")
    viewer = await here.join(owner, "b@farm.example", "viewer")
    required = {"is_required": True}
    assert (await here.post("/v1/account/second-factor", required, owner.token)).status == 403  # not without one
    await here.second_factor(owner)
    assert (await here.post("/v1/account/second-factor", required, owner.token)).status == 204
    assert await sees(here, owner, viewer) == [200, 403]
    await here.second_factor(viewer)
    assert await sees(here, owner, viewer) == [200, 200]


async def sees(here: Service, *people: Person) -> list[int]:
    return [(await here.get("/v1/sites", person.token)).status for person in people]


async def test_a_forgotten_password_is_set_by_mail_once_and_ends_all_sessions(here: Service) -> None:
    owner = await here.register("a@farm.example")
    await here.post("/v1/password/forgot", {"email": owner.email})
    token = await here.token_by_mail(owner.email, "password")
    new = {"token": token, "password": "another horse battery"}
    assert (await here.post("/v1/password/reset", new | {"password": "short"})).status == 422
    assert (await here.post("/v1/password/reset", new)).status == 204
    assert (await here.post("/v1/password/reset", new)).status == 403
    assert (await here.get("/v1/me", owner.token)).status == 401
    assert await try_login(here, owner.email, PASSWORD) == 401
    assert await try_login(here, owner.email, "another horse battery") == 201


async def test_no_secret_of_a_log_in_is_in_a_log_or_in_an_address(
    logged: Logged, here: Service, caplog: pytest.LogCaptureFixture
) -> None:
    hidden = await all_secrets_are_used(here)
    ours = [each.getMessage() for each in caplog.records if each.name != "mail.log"]  # the test's mail server
    told = f"{logged} {ours}"
    assert "message.sent" in told
    assert [each for each in hidden if each in told] == []


async def all_secrets_are_used(here: Service) -> list[str]:
    owner = await here.register("a@farm.example")
    await here.second_factor(owner)
    await here.post("/v1/login", {"email": owner.email, "password": "a wrong one indeed"})
    await here.post("/v1/password/forgot", {"email": owner.email})
    link = await here.token_by_mail(owner.email, "password")
    await here.post("/v1/password/reset", {"token": link + "x", "password": "another horse battery"})
    await here.get("/v1/me", owner.token + "x")
    secret = (await here.post("/v1/tokens", {"label": "t"}, owner.token)).json["secret"]
    assert owner.totp is not None
    return [owner.email, owner.phone, PASSWORD, "a wrong one", owner.token, owner.totp, link, secret, "horse"]
