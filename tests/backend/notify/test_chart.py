"""The chart in a mail: drawn here, inside the mail, and never a reason for a mail not to leave."""

from __future__ import annotations

import io
from collections.abc import Sequence
from datetime import timedelta

import pytest
from PIL import Image as Pillow

from backend.ids import AccountId
from backend.notify import dispatcher
from backend.notify.agenda import Agenda
from backend.notify.chart import HEIGHT, WIDTH, drawn
from backend.notify.claim import Claim
from backend.notify.pictures import Pictures
from backend.notify.protocol import Image
from backend.notify.routing import Channel
from backend.registry.account_tables import Member
from backend.registry.site_tables import Site
from backend.registry.warning_tables import Warning
from backend.store.protocol import Series, SeriesQuery
from tests.backend.farm import CATALOGUE, M1, Farm, idle, rounds
from tests.backend.notify.scripted import Scripted
from tests.backend.notify.test_render import HOT
from tests.backend.readings import NOW, at

Points = tuple[tuple[object, float], ...]
BLUE, RED, PINK = (29, 95, 196), (217, 45, 32), (253, 236, 234)


class Answers:
    """A store that answers with these points, and remembers what it was asked."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.asked: list[SeriesQuery] = []

    async def series(self, _account: AccountId, query: SeriesQuery) -> Sequence[Series]:
        self.asked.append(query)
        points = tuple(
            (query.end - timedelta(minutes=2 * number), 90.0 + number) for number in range(self.count, 0, -1)
        )
        return [Series(machine=None, points=points)] if points else []


def claim(warning: Warning) -> Claim:
    site = Site(id="sit_north", account_id="acc", name="North")
    return Claim(
        id="msg_1", attempt=1, created_at=NOW, channel=Channel.EMAIL, to="op@example.com", member=Member(), site=site,
        agenda=Agenda(new=[warning]),
    )  # fmt: skip


def near(picture: Pillow.Image, colour: tuple[int, int, int], box: tuple[int, int, int, int]) -> int:
    """How many pixels of a part have about this colour."""
    part = picture.convert("RGB").crop(box)
    data = part.tobytes()
    return sum(
        all(abs(data[start + channel] - colour[channel]) < 12 for channel in range(3))
        for start in range(0, len(data), 3)
    )


def test_a_chart_has_its_line_its_limit_the_bad_time_and_a_gap_where_there_is_no_data() -> None:
    points = [(at(2 * number), 80.0 + number / 20) for number in range(181) if not 60 <= number < 120]
    png = drawn(points, start=at(0), end=at(360), limit=85.0, since=at(300))
    picture = Pillow.open(io.BytesIO(png))
    assert (picture.format, picture.size) == ("PNG", (WIDTH, HEIGHT))
    assert len(png) < 30_000
    plot = WIDTH - 128
    first, gap, last = ((104 + plot * part // 9, 20, 104 + plot * (part + 1) // 9, HEIGHT - 60) for part in (1, 4, 7))
    assert near(picture, BLUE, first) > 200
    assert near(picture, BLUE, gap) == 0
    assert near(picture, BLUE, last) > 200
    assert near(picture, RED, gap) > 100
    assert near(picture, PINK, (WIDTH - 150, 20, WIDTH - 30, HEIGHT - 60)) > 10_000
    assert near(picture, PINK, first) == 0


@pytest.mark.parametrize("value", [0.0, 0.000001, 5.0, 123_456.0])
def test_a_line_that_is_flat_is_drawn_too(value: float) -> None:
    points = [(at(number), value) for number in range(10)]
    assert drawn(points, start=at(0), end=at(10), limit=None, since=at(20)).startswith(b"\x89PNG")


async def test_the_picture_shows_what_the_worst_warning_is_about() -> None:
    store = Answers(60)
    image = await Pictures(store, CATALOGUE).of(claim(HOT), now=at(10))  # type: ignore[arg-type]  # a part of a store
    assert image is not None
    assert image.says == f"Hottest chip of {HOT.machine}, last 6 h (°C)"
    assert image.png.startswith(b"\x89PNG")
    [asked] = store.asked
    assert (asked.metric, asked.machines, asked.across) == ("chip_temp_c", (HOT.machine,), None)


async def test_too_little_to_see_is_no_picture() -> None:
    assert await Pictures(Answers(3), CATALOGUE).of(claim(HOT), now=at(10)) is None  # type: ignore[arg-type]


async def test_a_picture_that_fails_or_takes_too_long_leaves_the_words(
    north: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatcher, "PICTURE_S", 0.01)

    class Broken:
        calls = 0

        async def of(self, _claim: Claim, *, now: object) -> Image | None:
            self.calls += 1
            raise ZeroDivisionError

    await north.judge(north.engine(), rounds(idle, [1], range(6)))
    mail, broken = Scripted(), Broken()
    await north.dispatcher({Channel.EMAIL: mail}, pictures=broken).dispatch(now=at(6))
    assert (broken.calls, len(mail.messages), mail.messages[0].image) == (1, 1, None)
    assert M1 in mail.messages[0].text
