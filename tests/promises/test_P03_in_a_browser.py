"""P03, P05, P23, P44 as people meet them: from nothing to the live page in a real browser, by mail and text."""

# ruff: noqa: N802 (several promises in one module: each test carries its id)

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from backend.accounts import totp
from tests.promises.service import PASSWORD, Service, until
from tests.world import browser
from tests.world.browser import Page

pytestmark = [pytest.mark.slow, pytest.mark.skipif(browser.PROGRAM is None, reason=browser.MISSING)]

EMAIL = "night.shift@farm.example"
PICTURES = os.environ.get("ITSMINER_PICTURES")  # a folder: for people to look at the pages


@pytest.fixture
async def page(tmp_path: Path) -> AsyncIterator[Page]:
    async with browser.browser(tmp_path / "browser") as opened:
        yield opened
        assert opened.complaints == []  # of its policy, or of a script that failed


async def look(page: Page, name: str) -> None:
    """Wide, on a phone, in the dark."""
    if PICTURES:
        folder = Path(PICTURES)
        for suffix, width, dark in (("", 1280, False), ("-phone", 390, False), ("-dark", 1280, True)):
            await page.look(folder / f"{name}{suffix}.png", width=width, dark=dark)


async def sign_up(here: Service, page: Page) -> str:
    """Until the account is active, at the page that logs in; the phone's number."""
    number = here.a_number()
    await page.open(f"{here.url}/register")
    await look(page, "register")
    await page.fill(email=EMAIL, phone=number, password=PASSWORD, birth="1990-01-31")
    await page.press("Register")
    await page.at("/verify")
    await look(page, "verify")
    await page.fill(code=await here.code_by_text(number))
    await page.press("Verify the phone")
    await page.says("Still to do: email.")
    await page.open(f"{here.url}/confirm#email={await here.token_by_mail(EMAIL, 'email')}")
    await page.press("Confirm")
    await page.says("You can log in now.")
    await look(page, "confirm")
    await page.run("document.getElementById('next').click()")
    await page.at("/login")
    return number


async def log_in(page: Page, password: str = PASSWORD) -> None:
    await page.fill(email=EMAIL, password=password)
    await page.press("Log in")


async def test_P03_somebody_registers_verifies_logs_in_and_sees_the_live_page(here: Service, page: Page) -> None:
    await sign_up(here, page)
    await look(page, "login")
    await log_in(page, "not the password")
    await page.says("the address, the password or the code is not right")
    await log_in(page)
    await page.at("/")
    await page.says("No machine has reported yet")
    await look(page, "farm")
    assert await page.run("document.cookie") == ""
    await page.press("Log out")
    await page.says("Your farm, live")
    await page.open(f"{here.url}/account")
    await page.at("/login")


async def test_P03_an_owner_adds_a_site_invites_and_makes_tokens_by_clicking(here: Service, page: Page) -> None:
    await sign_up(here, page)
    await log_in(page)
    await page.at("/")
    await page.open(f"{here.url}/manage")
    await page.fill(site_name="North")
    await page.press("Add the site")
    await page.press("Make an enrolment code for North")
    code = await page.until("(document.querySelector('[data-text=code]') || {}).textContent")
    enrolled = await here.post("/v1/enroll", {"code": code, "agent": "1.0", "contract": 1})
    assert enrolled.status == 201
    await page.fill(token_label="wall", token_scope="read")
    await page.press("Make the token")
    secret = await page.until("(document.querySelector('#tokens ~ form [data-text=secret]') || {}).textContent")
    assert (await here.get("/v1/sites", secret)).status == 200
    await page.fill(invite_email="day.shift@farm.example", invite_role="operator")
    await page.press("Invite")
    await page.says("The invitation is on its way")
    assert await here.token_by_mail("day.shift@farm.example", "invitation")
    await look(page, "manage")


async def test_P23_a_second_factor_is_set_up_asked_for_and_sessions_are_ended_by_clicking(
    here: Service, page: Page
) -> None:
    await sign_up(here, page)
    elsewhere = (await here.post("/v1/login", {"email": EMAIL, "password": PASSWORD})).json["token"]
    await log_in(page)
    await page.at("/")
    await page.open(f"{here.url}/account")
    await page.until("document.querySelector('#sessions') !== null")
    await look(page, "account")
    await page.until("document.querySelector('[data-post=\"/v1/sessions/end\"] button') !== null")
    await page.run("document.querySelector('[data-post=\"/v1/sessions/end\"] button').click()")
    await page.until("document.querySelector('[data-post=\"/v1/sessions/end\"]') === null")
    assert (await here.get("/v1/me", elsewhere)).status == 401
    await page.press("Set up an authenticator app")
    secret = str(await page.until("document.querySelector('[data-text=secret]').textContent"))
    await page.fill(confirm_code=totp.code(secret, totp.step(here.now)))
    await page.press("Switch the second factor on")
    await page.says("It is on")
    await page.press("Log out")
    await page.at("/login")
    here.offset += timedelta(seconds=60)
    await log_in(page)
    await page.fill(code=totp.code(secret, totp.step(here.now)))
    await page.press("Log in")
    await page.at("/")


async def test_P23_a_forgotten_password_is_set_anew_by_clicking(here: Service, page: Page) -> None:
    await sign_up(here, page)
    await page.open(f"{here.url}/forgot")
    await page.fill(email=EMAIL)
    await look(page, "forgot")
    await page.press("Send the link")
    await page.says("a link is on its way")
    await page.open(f"{here.url}/confirm#password={await here.token_by_mail(EMAIL, 'password')}")
    await page.fill(password="another horse battery")
    await page.press("Confirm")
    await page.says("Your password is set")
    await page.open(f"{here.url}/login")
    await log_in(page, "another horse battery")
    await page.at("/")


async def test_P05_a_page_says_itself_how_long_it_was_open(here: Service, page: Page) -> None:
    await page.open(f"{here.url}/register")
    await page.open(f"{here.url}/login")

    def spent() -> list[int]:
        return [row[0] for row in here.query("SELECT spent_s FROM visits WHERE page = '/register' AND spent_s >= 0")]

    assert await until(spent) != []


async def test_P44_each_page_names_the_contact_and_labels_its_fields(here: Service, page: Page) -> None:
    for path in ("/", "/register", "/verify", "/login", "/forgot", "/confirm"):
        await page.open(here.url + path)
        assert "help@service.example" in await page.text()
        unlabelled = (
            "[...document.querySelectorAll('input:not([type=hidden]), select')].filter((f) => !f.labels.length)"
        )
        assert await page.run(f"{unlabelled}.length") == 0
        wide = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
        await page.command(
            "Emulation.setDeviceMetricsOverride", width=390, height=800, deviceScaleFactor=1, mobile=True
        )
        assert await page.run(wide) is False
        assert re.search(r"\S", await page.text())
