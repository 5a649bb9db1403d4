"""P03, P05, P23, P44 as people meet them: from nothing to the live page in a real browser, by mail and text."""

# ruff: noqa: N802 (several promises in one module: each test carries its id)

from __future__ import annotations

import json
import os
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

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


async def test_P09_P13_P30_an_owner_sets_tariff_rules_contacts_silences_machines_and_windows_by_clicking(
    here: Service, page: Page
) -> None:
    await sign_up(here, page)
    await log_in(page)
    await page.at("/")
    session = str(await page.run("sessionStorage.getItem('itsminer-token')"))
    site = (await here.post("/v1/sites", {"name": "North"}, session)).json["site"]

    async def changed(path: str) -> Any:
        return (await here.get(path, session)).json

    async def enter(**values: str) -> None:
        """Type into fields whose ids have `_`, and send their form; `__` for `-`."""
        for name, value in values.items():
            at = f"document.getElementById({json.dumps(name.replace('__', '-'))})"
            await page.until(f"{at} !== null")
            await page.run(f"{at}.value = {json.dumps(value)}")
        await page.run(f"{at}.form.requestSubmit()")

    await page.open(f"{here.url}/manage")
    await enter(**{f"tariff__{site}": "0.07", f"currency__{site}": "USD", f"zone__{site}": "Asia/Shanghai"})
    await page.until(f"document.getElementById('zone-{site}').defaultValue === 'Asia/Shanghai'")
    [told] = (await changed("/v1/sites"))["sites"]
    assert (told["tariff_per_kwh"], told["currency"], told["time_zone"]) == (0.07, "USD", "Asia/Shanghai")

    await page.open(f"{here.url}/rules")
    await enter(chip_hot__warning="85")
    await page.says("chip_hot everywhere")
    [change] = (await changed("/v1/rules"))["changes"]
    assert change["numbers"]["warning"] == 85

    await page.open(f"{here.url}/silences")
    await page.fill(rule="chip_hot", reason="new fans")
    await page.press("Silence it")
    await page.says("UTC: new fans")
    [silence] = (await changed("/v1/silences"))["silences"]
    assert (silence["rule"], silence["reason"]) == ("chip_hot", "new fans")
    await page.press("End it now")
    await page.says("Nothing is silent")

    await page.open(f"{here.url}/contacts")
    await page.fill(channel="email", address="day.shift@farm.example")
    await page.press("Add")
    await page.says("not verified")
    own = next(one for one in (await changed("/v1/contacts"))["contacts"] if one["is_own"] and one["channel"] == "sms")
    at = own["contact_id"]
    await enter(**{f"from__{at}": "22:00", f"to__{at}": "06:00", f"after__{at}": "15"})
    await page.says("quiet 22:00 to 06:00 UTC")
    [own] = [one for one in (await changed("/v1/contacts"))["contacts"] if one["contact_id"] == at]
    assert (own["quiet_from"], own["after_min"]) == ("22:00", 15)

    await page.open(f"{here.url}/declared")
    await page.fill(d0_site=site, d0_quantity="20", d0_brand="Antminer", d0_model="S21")
    await page.press("Save")
    await page.says("declared 20, seen 0")
    [declared] = (await changed("/v1/declared"))["declared"]
    assert (declared["quantity"], declared["model"], declared["site"]) == (20, "S21", site)
    await page.fill(d0_quantity="")
    await page.press("Save")
    await page.says("Nothing is declared yet")

    await page.open(f"{here.url}/privacy")
    await enter(days__telemetry_raw="30")
    await page.until("document.getElementById('days-telemetry_raw').defaultValue === '30'")
    await page.says("POST /v1/retention")  # who saw and changed what
    kept = {one["data_class"]: one["window_days"] for one in (await changed("/v1/retention"))["classes"]}
    assert kept["telemetry_raw"] == 30
