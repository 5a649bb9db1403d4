"""The page as HTML: what is on it, escaped, and nothing that its content policy would stop."""

from __future__ import annotations

import re
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path

import pytest

from agent.wire import State
from backend.console import rendering
from backend.console.overview import Alarm, farm
from backend.console.view import View
from backend.store.protocol import Latest
from tests.backend.console.farms import NAMES, NOW, alarm, latest, lines, machine

FOLDER = Path(rendering.__file__).parent
VOID = {"meta", "link", "input", "br"}


class Page(HTMLParser):
    """Reads a page; fails on tags that are closed wrongly."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str, css: str | None = None) -> list[dict[str, str | None]]:
        return [
            attrs
            for name, attrs in self.tags
            if name == tag and (css is None or css in (attrs.get("class") or "").split())
        ]


def rendered(
    machines: list[Latest], alarms: list[Alarm] | None = None, view: View | None = None, rows: int = rendering.ROWS
) -> Page:
    view = view or View()
    shown = farm(machines, alarms or [], NAMES, now=NOW)
    chosen = view.pick(shown.machines)
    return Page(
        rendering.farm(
            rendering.ENGLISH,
            shown,
            view,
            chosen[:rows],
            chosen=len(chosen),
            charts=lines(machines=range(len(machines) + 1)),
            backend_url="https://miners.example.com",
        )
    )


def framed() -> Page:
    return Page(rendering.frame(contact_name="Ops <&>", contact_email="ops@example.com", version="abc"))


def test_the_frame_names_the_contact_and_holds_no_data() -> None:
    page = framed()
    assert "Ops <&> · ops@example.com" in page.text
    assert {"href": "mailto:ops@example.com"} in page.all("a")
    assert "Ask us, who" in Page(rendering.frame(contact_name="us", contact_email=None, version="1")).text


def test_the_frame_asks_for_the_token_in_a_field_that_browsers_do_not_keep() -> None:
    (field,) = framed().all("input")
    assert field["type"] == "password"
    assert field["autocomplete"] == "off"


@pytest.mark.parametrize("page", [framed(), rendered([latest(1), latest(2, State.UNREACHABLE)], [alarm(1)])])
def test_nothing_is_inline_and_nothing_comes_from_anyone_else(page: Page) -> None:
    for tag, attrs in page.tags:
        assert tag != "style"
        assert tag != "script" or (attrs.get("src") or "").startswith("/static/")
        for name, value in attrs.items():
            assert not name.startswith("on")
            assert name != "style"
            if name in ("href", "src", "action", "data", "poster", "srcset"):
                assert re.match(r"(/(?!/)|#|mailto:)", value or ""), (tag, value)


@pytest.mark.parametrize("file", sorted((FOLDER / "static").glob("*.css")), ids=lambda file: file.name)
def test_styles_ask_nobody_else(file: Path) -> None:
    assert "@import" not in file.read_text()
    assert "url(" not in file.read_text()


@pytest.mark.parametrize("file", sorted((FOLDER / "static").glob("*.js")), ids=lambda file: file.name)
def test_scripts_ask_nobody_else_set_no_cookie_and_run_nothing_that_they_are_sent(file: Path) -> None:
    script = file.read_text()
    for word in (
        "cookie",
        "http:",
        "https:",
        "eval(",
        "innerHTML",
        "insertAdjacentHTML",
        "document.write",
        "Function(",
    ):
        assert word not in script
    asked = set(re.findall(r"fetch\((.*?),", script))
    assert asked <= {'"/console/farm" + view', '"/v1/logout"', '"/v1/visits/spent"', "path", *OF_FORMS}
    stored = set(re.findall(r"localStorage\.\w+\((\w+)", script))
    assert stored <= {"REGISTRATION"}  # a session's token stays in its tab


OF_FORMS = {"form.dataset.post", "inside.dataset.part + location.search", "form.dataset.get"}


def test_each_class_of_the_style_sheets_is_used() -> None:
    css = "".join(file.read_text() for file in (FOLDER / "static").glob("*.css"))
    css = re.sub(r"/\*.*?\*/", "", css, flags=re.DOTALL)
    css = re.sub(r"\{[^{}]*\}", "{}", css)
    used = " ".join(
        path.read_text()
        for path in [*FOLDER.rglob("templates/**/*.html"), *FOLDER.glob("*.py"), *FOLDER.glob("static/*.js")]
    )
    states = {"idle", "paused", "unreachable", "silent", "fault", "hashing", "critical", "warning", "info"}
    classes = {name for name in re.findall(r"\.([a-z][a-z-]+)", css) if not name.startswith("alarm-")}
    assert {name for name in classes - states if not re.search(rf"\b{name}\b", used)} == set()


def test_a_new_farm_says_how_to_begin() -> None:
    page = rendered([])
    assert "No machine has reported yet" in page.text
    assert "itsminer-agent enroll --backend https://miners.example.com CODE" in page.text
    assert page.all("table") == []


def test_a_machine_is_a_row_with_its_state_in_words() -> None:
    page = rendered([latest(1)])
    assert machine(1) in page.text
    assert "Antminer S19 Pro" in page.text
    (badge,) = page.all("span", "badge")
    assert badge["class"] == "badge hashing"
    text = page.text.replace("\u202f", " ")
    for figure in ("100 TH/s", "3.00 kW", "74 °C", "5,700 rpm", "1.0 %", "1 d 1 h"):
        assert figure in text


def test_an_unreachable_machine_shows_dashes_and_no_old_figures() -> None:
    page = rendered([latest(1, State.UNREACHABLE, hashrate_ths=77, power_w=77)])
    assert "77" not in page.text
    assert "–" in page.text


def test_a_warning_says_what_where_since_when_how_much_and_what_to_do_first() -> None:
    page = rendered(
        [latest(1)],
        [
            alarm(
                1, title="Chip too hot", value="103 °C", threshold="100 °C", advice="Ask `itsminer-agent status` & wait"
            )
        ],
    )
    for words in ("Chip too hot", "103 °C", "limit 100 °C", "critical"):
        assert words in page.text
    assert "Ask itsminer-agent status & wait" in page.text
    assert {"datetime": "2026-01-01T11:50:00+00:00", "data-show": "clock"} in page.all("time")
    assert len(page.all("td", "hot")) == 1


def test_a_hundred_offline_machines_are_one_warning_with_a_few_names() -> None:
    machines = [latest(n, State.UNREACHABLE) for n in range(100)]
    page = rendered(machines, [alarm(n, "machine_offline", "warning") for n in range(100)])
    assert len(page.all("li", "trouble")) == 1
    assert "and 92 more" in page.text


def test_warnings_that_are_over_are_told_with_their_length_and_count_for_nothing() -> None:
    ended = [
        alarm(1, title=f"Trouble {n}", since=NOW - timedelta(hours=2), ended=NOW - timedelta(minutes=n))
        for n in range(30)
    ]
    page = rendered([latest(1)], ended)
    assert "Ended in the last 24 hours: 30" in page.text
    assert page.text.index("Trouble 0 ") < page.text.index("Trouble 19 ")
    assert "Trouble 20" not in page.text
    assert "and older ones" in page.text
    assert "1 h 59 min" in page.text.replace("\u202f", " ")
    assert page.all("li", "trouble") == []
    (title,) = page.all("h1")
    assert title["data-summary"] == "1 of 1 machines hashing. Warnings: none."


def test_more_warnings_than_are_looked_up_are_not_counted_wrongly() -> None:
    page = rendered([latest(1)], [alarm(1, ended=NOW) for _ in range(100)])
    assert "Ended in the last 24 hours: 100+" in page.text


def test_a_large_farm_shows_its_worst_rows_and_says_how_many_more() -> None:
    page = rendered([latest(n) for n in range(150)], [alarm(149)])
    rows = [attrs for attrs in page.all("tr") if "hashing" in (attrs.get("class") or "")]
    assert len(rows) == 100
    assert "alarm-critical" in (rows[0]["class"] or "")
    assert "1 to 100 of 150" in page.text
    assert len(page.all("i", "cell")) == 150 + 1  # the map has every machine, and the filter its colour


def test_of_a_huge_farm_the_map_shows_the_worst(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rendering, "MAP", 50)
    page = rendered([latest(n) for n in range(150)], [alarm(149)])
    squares = page.all("i", "cell")[1:]
    assert len(squares) == 50
    assert "The worst 50 of 150 machines" in page.text
    assert any("alarm-critical" in (square["class"] or "") for square in squares)


def test_a_state_without_machines_says_so_and_leads_back() -> None:
    page = rendered([latest(1)], view=View(state="fault"))
    assert "No machine is like that now" in page.text
    assert any(attrs.get("aria-current") == "true" for attrs in page.all("a", "filter"))


def test_the_sorted_column_says_so_to_screen_readers() -> None:
    page = rendered([latest(1)], view=View(sort="chip", falling=True))
    assert [attrs["aria-sort"] for attrs in page.all("th") if "aria-sort" in attrs] == ["descending"]


def test_the_spoken_summary_has_no_figures_that_change_with_each_poll() -> None:
    (one,) = rendered([latest(1, hashrate_ths=99)], [alarm(1)]).all("h1")
    (other,) = rendered([latest(1, hashrate_ths=98)], [alarm(1)]).all("h1")
    assert one["data-summary"] == other["data-summary"] == "1 of 1 machines hashing. Warnings: 1 critical."
    assert one["data-title"] == "(1) 1/1 hashing"


def test_texts_are_escaped_and_only_backticks_become_code() -> None:
    assert str(rendering.commands("a `b <c>` <d>")) == "a <code>b &lt;c&gt;</code> &lt;d&gt;"
