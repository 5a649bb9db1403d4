"""Each language says all that code, templates and the catalogue of rules say in English, with the same values."""

from __future__ import annotations

import ast
import re
from datetime import timedelta
from pathlib import Path

import pytest
from babel.messages.extract import extract
from babel.messages.pofile import read_po

import backend
from backend.notify import notices, tongue
from backend.notify.pictures import TITLES
from backend.notify.render import LABELS
from backend.notify.tongue import LANGUAGES, Tongue, known
from backend.notify.words import _ENDINGS
from backend.warnings.catalogue import Catalogue
from tests.backend.readings import at

ROOT = Path(backend.__file__).parent
OTHERS = [language for language in known() if language != "en"]
_WORDS = {"boards", "h", "s", "times"}  # units that are words and no symbols
VALUE = re.compile(r"\{\w+\}")


def of_code() -> set[str]:
    """First arguments of `say(…)` that are written there."""
    found: set[str] = set()
    for file in (*ROOT.glob("notify/**/*.py"), *ROOT.glob("api/*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
                name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                if name == "say" and isinstance(node.args[0].value, str):
                    found.add(node.args[0].value)
    return found


def of_templates() -> set[str]:
    found: set[str] = set()
    for file in (ROOT / "notify" / "templates").iterdir():
        with file.open("rb") as source:
            for _line, text, _comments, _context in extract("jinja2.ext:babel_extract", source, keywords={"t": None}):
                found.add(text if isinstance(text, str) else text[0])
    return found


def of_tables() -> set[str]:
    rules = {text for rule in Catalogue.load() for text in (rule.title, rule.plural, rule.says, rule.first)}
    units = {rule.unit for rule in Catalogue.load() if rule.unit in _WORDS}
    said = (*notices.SUBJECTS.values(), *notices.WORDS.values(), *TITLES.values(), *LABELS.values())
    return {*rules, *units, *said, *_ENDINGS.values(), *tongue._MONTHS} - {None, "", " "}


def everything() -> set[str]:
    return {text for text in of_code() | of_templates() | of_tables() if re.search(r"[a-z]", text, re.IGNORECASE)}


@pytest.mark.parametrize("language", OTHERS)
def test_hardly_anything_is_left_in_english_and_nothing_is_said_that_nobody_says(language: str) -> None:
    with (LANGUAGES / f"{language}.po").open("rb") as file:
        words = {message.id: message for message in read_po(file) if message.id}
    missing = everything() - words.keys()  # a new text is English until somebody has translated it, but few may be
    assert len(missing) <= len(everything()) / 20, f"translate these: {missing}"
    punctuation = {text for text in words if not re.search(r"[a-z]", re.sub(r"\{\w+\}", "", text), re.IGNORECASE)}
    assert words.keys() - everything() - punctuation == set(), "nobody says these any more"
    for text, message in words.items():
        assert message.string, text
        assert not message.fuzzy, text
        assert sorted(set(VALUE.findall(message.string))) == sorted(set(VALUE.findall(text))), text


def test_times_and_durations_in_chinese_and_in_a_zone() -> None:
    words = Tongue.of("zh-CN", "Asia/Shanghai")
    assert (words.code, Tongue.of("xx").code) == ("zh-CN", "en")
    assert words.moment(at(0)) == "2026年1月1日 20:00 CST"
    assert [words.recent(at(0), at(minute)) for minute in (239, 240)] == ["20:00 CST", "1月1日 20:00 CST"]
    assert [words.lasting(timedelta(minutes=minutes)) for minutes in (0, 5, 60, 130, 1_440, 1_700)] == [
        "不到 1 分钟",
        "5 分钟",
        "1 小时",
        "2 小时 10 分钟",
        "1 天",
        "1 天 4 小时",
    ]


def test_a_language_that_there_is_none_of_is_english() -> None:
    assert Tongue.of("xx").say("Resolved") == "Resolved"
    assert Tongue.of("").say("{count} more", count=3) == "3 more"
    assert "zh" in known()


def test_a_page_speaks_the_first_language_that_its_reader_asks_for_and_there_is() -> None:
    asked = ("zh-CN,zh;q=0.9,en;q=0.8", "en-GB,zh;q=0.1", "fr, zh-TW;q=0.5", "", "../../etc/passwd", "*")
    assert [Tongue.asked_for(each).code for each in asked] == ["zh-CN", "en", "zh-TW", "en", "en", "en"]
