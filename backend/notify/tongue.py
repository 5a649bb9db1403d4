"""The languages that messages are written in, and how numbers and times are said in them.

English is in the code; another language is `languages/<code>.po`, which Babel compiles when it is first needed. What
has no translation stays English: a message at three in the morning is better in two languages than not there.
"""

from __future__ import annotations

import gettext
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from functools import cache
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

LANGUAGES: Final = Path(__file__).with_name("languages")
OF_PAGES: Final = Path(__file__).parents[1] / "console" / "languages"
"""What pages say beyond what messages say."""


def translations(language: str) -> gettext.NullTranslations:
    """Of a language, `zh` for `zh-CN` too; English for one that there is none of."""
    code = language.partition("-")[0].lower()
    return _compiled(code) if code in known() and code != "en" else gettext.NullTranslations()


@cache
def _compiled(code: str) -> gettext.NullTranslations:
    messages = _read(LANGUAGES / f"{code}.po")
    messages.add_fallback(_read(OF_PAGES / f"{code}.po"))
    return messages


def _read(file: Path) -> gettext.GNUTranslations:
    # Not at the top: a service whose members all read English never needs it.
    from babel.messages.mofile import write_mo
    from babel.messages.pofile import read_po

    with file.open("rb") as source:
        catalogue = read_po(source, locale=file.stem)
    compiled = io.BytesIO()
    write_mo(compiled, catalogue)
    compiled.seek(0)
    return gettext.GNUTranslations(compiled)


@cache
def known() -> Sequence[str]:
    """The languages that there are."""
    return ("en", *sorted(file.stem for file in LANGUAGES.glob("*.po")))


@dataclass(frozen=True, slots=True)
class Tongue:
    """One language, and the time zone that its times are in."""

    language: str = "en"
    zone: tzinfo = UTC
    _words: gettext.NullTranslations = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_words", translations(self.language))

    @classmethod
    def of(cls, language: str, zone: str = "UTC") -> Tongue:
        """By names."""
        return cls(language, ZoneInfo(zone) if zone != "UTC" else UTC)

    @classmethod
    def asked_for(cls, accepted: str) -> Tongue:
        """The first of an `Accept-Language` that there is; who prefers which by how much is not weighed."""
        languages = (each.partition(";")[0].strip() for each in accepted.split(","))
        return cls(next((each for each in languages if each.partition("-")[0].lower() in known()), "en"))

    @property
    def code(self) -> str:
        """What `lang` says in a page: the language that it really is in."""
        return self.language if isinstance(self._words, gettext.GNUTranslations) else "en"

    def say(self, text: str, **values: object) -> str:
        """A text in this language, with its `{values}`."""
        said = self._words.gettext(text) if text else ""
        return said.format(**values) if values else said

    def moment(self, time: datetime) -> str:
        """A time as people read it: "2 Jan 2026, 03:04 UTC"."""
        local = time.astimezone(self.zone)
        return self.say(
            "{day} {month} {year}, {clock} {zone}",
            day=local.day,
            month=self.say(_MONTHS[local.month - 1]),
            year=local.year,
            clock=f"{local:%H:%M}",
            zone=f"{local:%Z}",
        )

    def recent(self, time: datetime, now: datetime) -> str:
        """A time where there is little room, its day only if that is not today: "03:04 UTC", "2 Jan, 03:04 UTC"."""
        local = time.astimezone(self.zone)
        clock, zone = f"{local:%H:%M}", f"{local:%Z}"
        if local.date() == now.astimezone(self.zone).date():
            return f"{clock} {zone}"
        month = self.say(_MONTHS[local.month - 1])
        return self.say("{day} {month}, {clock} {zone}", day=local.day, month=month, clock=clock, zone=zone)

    def lasting(self, passed: timedelta) -> str:
        """A duration as people say it: "5 min", "2 h 10 min", "3 d 4 h"."""
        minutes = max(0, round(passed.total_seconds() / 60))
        if minutes < 60:
            return self.say("{minutes} min", minutes=minutes) if minutes else self.say("less than 1 min")
        hours, minutes = divmod(minutes, 60)
        if hours < 24:
            return (
                self.say("{hours} h {minutes} min", hours=hours, minutes=minutes)
                if minutes
                else self.say("{hours} h", hours=hours)
            )
        days, hours = divmod(hours, 24)
        return self.say("{days} d {hours} h", days=days, hours=hours) if hours else self.say("{days} d", days=days)

    def measured(self, value: float | None, unit: str | None) -> str:
        """A number with its unit: "91.6 °C"."""
        if value is None:
            return self.say("unknown")
        return f"{round(value, 1):,.10g} {self.say(unit or '')}".rstrip()

    def joined(self, parts: Sequence[str]) -> str:
        """Several things in a row."""
        return self.say(", ").join(parts)


# `strftime` would write the months of whatever locale the service runs in.
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
