"""The insides of pages, and the language of a page, over HTTP from a real registry and store."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from babel.messages.extract import extract
from babel.messages.pofile import read_po

from agent.wire import State
from backend.console import frames, rendering, vocabulary
from backend.notify.tongue import LANGUAGES, OF_PAGES, known
from backend.privacy.purposes import REGISTER
from backend.registry import sites
from backend.warnings.catalogue import Catalogue
from tests.backend.console.farms import NOW, latest, machine
from tests.backend.console.served import Served, Tenant, fetched
from tests.backend.console.test_rendering import Page

VALUE = re.compile(r"\{\w+\}")
FOLDER = Path(rendering.__file__).parent


async def shown(backend: Served, tenant: Tenant, path: str, **headers: str) -> str:
    status, _, text = await fetched(f"{backend.url}/console/{path}", tenant.token, **headers)
    assert status == 200, text
    return text.replace("\u202f", " ")


async def test_yesterdays_cost_is_on_its_page_with_its_unit_and_zone(backend: Served) -> None:
    tenant = await backend.tenant()
    async with backend.database.begin() as session:
        await sites.change(session, tenant.account, tenant.site, {"tariff_per_kwh": 0.5, "currency": "USD"})
    midnight_s = NOW.hour * 3_600
    ages = [midnight_s + 60 + 240 * n for n in range(31)]  # two hours of yesterday evening
    await backend.store_readings(tenant, [latest(1, age_s=age).reading for age in ages])
    text = await shown(backend, tenant, "costs")
    assert "6.00 kWh" in text
    assert "3.00 USD" in text
    assert "2025-12-31, UTC; 0.5 USD/kWh" in text
    assert "/costs?day=2025-12-30" in text


async def test_a_machines_page_tells_its_reading_its_day_and_its_warnings(backend: Served) -> None:
    tenant = await backend.tenant()
    async with backend.database.begin() as session:
        await sites.change(session, tenant.account, tenant.site, {"lan_url": "http://192.168.1.5:8700"})
    await backend.store_readings(tenant, [latest(1, age_s=240 * n).reading for n in range(60)])
    await backend.fire(tenant, machine(1))
    text = await shown(backend, tenant, f"machine?machine={machine(1)}")
    for words in ("Antminer S19 Pro", "100 TH/s", "91 % of expected", "Chip too hot", "70 °C", "Hottest chip"):
        assert words in text, words
    assert f"http://192.168.1.5:8700/m/{machine(1)}" in text
    assert text.count("<svg") >= 3
    status, _, _ = await fetched(f"{backend.url}/console/machine?machine={machine(2)}", tenant.token)
    assert status == 404


async def test_a_machine_that_is_away_has_no_figures_of_now(backend: Served) -> None:
    tenant = await backend.tenant()
    await backend.store_readings(tenant, [latest(1, State.UNREACHABLE).reading])
    text = await shown(backend, tenant, f"machine?machine={machine(1)}")
    assert "unreachable" in text
    assert "TH/s" not in text


async def test_who_may_only_read_is_offered_nothing_to_change(backend: Served) -> None:
    tenant = await backend.tenant()
    await backend.store_readings(tenant, [latest(1).reading])
    for path in ("costs", "rules", "silences", "declared", f"machine?machine={machine(1)}"):
        assert "data-post" not in await shown(backend, tenant, path), path


async def test_the_rules_page_says_each_rule_with_numbers_units_and_order(backend: Served) -> None:
    text = Page(await shown(backend, await backend.tenant(), "rules")).text
    assert "≥ 90 °C for 3 min" in " ".join(text.split())
    assert "catalogue → catalogue, by model" in text
    assert all(rule.title in text for rule in Catalogue.load())


async def test_pages_say_their_language_and_caches_are_told_what_it_hangs_on(backend: Served) -> None:
    tenant = await backend.tenant()
    _, headers, text = await fetched(f"{backend.url}/login", **{"Accept-Language": "zh-CN"})
    assert '<html lang="zh-CN">' in text
    assert "登录" in text
    assert "Accept-Language" in headers["Vary"]
    assert "Set-Cookie" not in headers
    assert "规则" in await shown(backend, tenant, "rules", **{"Accept-Language": "zh"})
    _, _, text = await fetched(f"{backend.url}/login")
    assert '<html lang="en">' in text


# --- the catalogues ---


def of_pages() -> set[str]:
    """What templates and code of the pages say; what comes from tables is in `of_tables`."""
    found: set[str] = set()
    for file in FOLDER.glob("templates/**/*.html"):
        with file.open("rb") as source:
            for _line, text, _comments, _context in extract("jinja2.ext:babel_extract", source, keywords={"t": None}):
                found.add(text if isinstance(text, str) else text[0])
    for file in FOLDER.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
                name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                if name == "say" and isinstance(node.args[0].value, str):
                    found.add(node.args[0].value)
    return {text for text in found | of_tables() if re.search(r"[a-z]", text, re.IGNORECASE)}


def of_tables() -> set[str]:
    purposes = (purpose.means for purpose in REGISTER.values())
    names = {*vocabulary.NAMES, *vocabulary.NAMES_OF_CLASSES.values()}
    return {*vocabulary.SCRIPTS, *names, *(part.title for part in frames.PARTS), *purposes}


@pytest.mark.parametrize("language", [language for language in known() if language != "en"])
def test_each_language_says_what_the_pages_say_with_the_same_values(language: str) -> None:
    with (OF_PAGES / f"{language}.po").open("rb") as pages, (LANGUAGES / f"{language}.po").open("rb") as messages:
        own = {message.id: message for message in read_po(pages) if message.id}
        others = {message.id for message in read_po(messages) if message.id}
    missing = of_pages() - own.keys() - others
    assert len(missing) <= len(of_pages()) / 20, f"translate these: {sorted(missing)}"
    assert own.keys() - of_pages() == set(), "nobody says these any more"
    assert own.keys() & others == set(), "messages say these already"
    for text, message in own.items():
        assert message.string, text
        assert sorted(set(VALUE.findall(message.string))) == sorted(set(VALUE.findall(text))), text


def test_scripts_say_nothing_that_no_catalogue_has() -> None:
    scripts = "".join(file.read_text(encoding="utf-8") for file in (FOLDER / "static").glob("*.js"))
    for text in vocabulary.SCRIPTS:
        assert f'"{text}"' in scripts, text
    assert set(re.findall(r'\bt\("([^"]+)"\)', scripts)) <= set(vocabulary.SCRIPTS)
