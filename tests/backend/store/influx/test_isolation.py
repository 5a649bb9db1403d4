"""No question and no delete can be made without an account, and no name can break out of its place."""

from __future__ import annotations

import inspect
import re
from dataclasses import replace
from datetime import timedelta
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.wire import MachineId
from backend.ids import AccountId, SiteId
from backend.store.influx import names
from backend.store.influx.client import Client
from backend.store.influx.engine import InfluxStore
from backend.store.influx.queries import Across, Column, Delete, Select, Tags
from backend.store.protocol import Aggregate, Everything, Hold, Part, SeriesQuery
from tests.backend.readings import NOW, SITE, batch, full_reading, machine, reading
from tests.backend.store.influx.conftest import Clock
from tests.fakes.influx_v2 import InfluxV2

A = AccountId("acc_a")
B = AccountId("acc_b")

HOSTILE = [
    "' OR '1'='1",
    "x' OR account = 'acc_b",
    "\\' OR 1=1 --",
    '" OR "account"="acc_b',
    "x'; DROP DATABASE itsminer_accounts; --",
    "a,account=acc_b",
    "a account=acc_b",
    "a=b",
    "a\nmachine,account=acc_b,machine=m,site=s power_w=1i",
    "a\\",
    "'",
    "%27",
    "{}",
    "\0",
    "é\u2028😀",
    "*",
    "/.*/",
]


def select(account: str, **changes: Any) -> Select:
    asked: dict[str, Any] = {"measurement": "machine", "columns": (Column("power_w"),), "start_us": 0, "end_us": 9}
    return Select(account=AccountId(account), **(asked | changes))


def conditions(text: str) -> list[str]:
    """The parts of the (inner) WHERE that all have to hold; fails where the text is not what it seems."""
    where = text.rpartition('FROM "machine" WHERE ')[2].split(")", 1)[0] if "FROM (" in text else text
    where = where.rpartition(" WHERE ")[2] if " WHERE " in where else where
    return re.split(r" AND (?![^(]*\))", where.split(" GROUP BY ")[0])


@pytest.mark.parametrize("account", ["", "*", "acc_a' OR 'a'='a", 'acc"', "acc a", "ACC", "a" * 65, "acc\n"])
def test_nothing_can_be_asked_or_deleted_without_a_true_account(account: str) -> None:
    with pytest.raises(ValueError, match="no account id"):
        select(account)
    with pytest.raises(ValueError, match="no account id"):
        Delete(account=AccountId(account))


def test_an_account_cannot_be_left_out() -> None:
    for question in (Select, Delete):
        assert inspect.signature(question).parameters["account"].default is inspect.Parameter.empty
    with pytest.raises(TypeError):
        Delete()  # type: ignore[call-arg]  # that is the point
    with pytest.raises(TypeError):
        Select(measurement="machine", columns=(Column("power_w"),), start_us=0, end_us=9)  # type: ignore[call-arg]


def test_the_client_takes_no_text_but_lines() -> None:
    taken = {
        name: str(parameter.annotation)
        for method in (Client.select, Client.delete)
        for name, parameter in inspect.signature(method).parameters.items()
    }
    assert taken == {
        "self": "<class 'inspect._empty'>",
        "bucket": "str",
        "questions": "Question",
        "most_bytes": "int",
        "delete": "Delete",
    }


@given(st.text(min_size=1))
def test_a_name_as_a_tag_has_no_character_that_means_anything_and_comes_back(text: str) -> None:
    value = names.tag(text)
    assert re.fullmatch(r"[A-Za-z0-9_.~%-]+", value)
    assert names.name(value) == text


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_stays_inside_its_quotes(name: str) -> None:
    tags = Tags.where(site=SiteId(name), machines=[MachineId(name), MachineId("mnr-1")])
    question = select("acc_a", tags=tags, step_us=60_000_000, by=("machine",))
    for text in (question.text(), Across(inner=question, function="sum").text()):
        assert text.count("'") == 8
        assert "\"account\" = 'acc_a'" in text
        assert not re.search(r"acc_b'|DROP|--|;|\n", re.sub(r"'[A-Za-z0-9_.~%-]*'", "''", text))
    predicate = Delete(account=A, tags=(("site", name), ("machine", name))).predicate()
    assert re.fullmatch(r'account="acc_a" AND site="[A-Za-z0-9_.~%-]+" AND machine="[A-Za-z0-9_.~%-]+"', predicate)


@pytest.mark.parametrize("word", ['power_w" FROM', "power w", "", "*", "power_w)", "Power", "1"])
def test_a_field_is_a_word(word: str) -> None:
    for column in (Column(word), Column(word, "mean")):
        with pytest.raises(ValueError, match="name of a field"):
            select("acc_a", columns=(column,)).text()
    with pytest.raises(ValueError, match="name of a field"):
        select("acc_a", fields=((word, "x"),)).text()


@pytest.mark.parametrize("changes", [{"measurement": "x"}, {"by": ("account",)}, {"columns": (Column("a", "x"),)}])  # type: ignore[arg-type]
def test_other_words_are_ours(changes: Any) -> None:
    with pytest.raises(ValueError, match="no '"):
        select("acc_a", **changes).text()


def test_the_account_is_a_condition_that_always_holds_whatever_else_is_asked() -> None:
    tags = Tags.where(site=SITE, machines=[machine(1), machine(2)])
    question = select("acc_a", tags=tags, fields=(("id", "f"),), step_us=60_000_000, by=("machine",), newest=1)
    for text in (question.text(), Across(inner=question, function="sum").text()):
        assert conditions(text)[0].endswith("\"account\" = 'acc_a'")


async def everything(store: InfluxStore, account: AccountId, name: str) -> None:
    """Ask all that can be asked, with a name where one can be given."""
    site, found = SiteId(name), (MachineId(name), machine(1))
    five = timedelta(minutes=5)
    when: dict[str, Any] = {"start": NOW, "end": NOW + five, "step": five}
    await store.latest(account)
    await store.latest(account, site=site, since=NOW)
    for across in get_args(Aggregate):
        query = SeriesQuery(metric="power_w", site=site, machines=found, across=across, **when)
        await store.series(account, query)
        await store.series(account, replace(query, across=None, aggregate=across))
    await store.fleet(account, metrics=["power_w"], site=site, **when)
    await store.energy(account, site=site, **when)
    await store.oldest(account)
    await store.windows(account)
    await store.set_window(account, "telemetry_raw", timedelta(days=90))
    await store.sweep(account, now=NOW, holds={"telemetry_raw": Hold(), "telemetry_rollup": Hold()})
    await store.erase(account, Part(site=site, machine=MachineId(name), start=NOW, end=NOW + five))
    async for part in store.export(account):
        async for _ in part.chunks:
            pass


async def test_every_question_and_every_delete_carries_the_account(
    store: InfluxStore, front: InfluxV2, clock: Clock
) -> None:
    for account in (A, B):
        await store.write(account, batch([full_reading(1), reading(2)]), now=NOW)
    clock.advance(timedelta(hours=2))
    await store.tend(now=clock.now)
    front.asked.clear()
    for name in HOSTILE[:6]:
        await everything(store, A, name)
    await store.erase(A, Everything())
    asked = [one for text in front.questions() for one in text.split(";")]
    assert len(asked) > 100
    assert {one.count('"account"') for one in asked} == {1}
    assert {re.search(r"\"account\" = '([^']*)'", one)[1] for one in asked} == {"acc_a"}  # type: ignore[index]
    deleted = front.predicates()
    assert len(deleted) > 20
    whose = [[condition for condition in one.split(" AND ") if condition.startswith("account=")] for one in deleted]
    assert {tuple(found) for found in whose} == {('account="acc_a"',), ('account="~engine"',)}
    assert [one for one in deleted if "~engine" in one] == [
        '_measurement="known" AND account="~engine" AND member="acc_a"'
    ]
    assert [one.reading for one in await store.latest(B)] == [full_reading(1), reading(2)]


async def test_what_the_engine_asks_for_itself_is_of_no_account(
    store: InfluxStore, front: InfluxV2, clock: Clock
) -> None:
    await store.write(A, batch([full_reading(1)]), now=NOW)
    clock.advance(timedelta(hours=2))
    front.asked.clear()
    await store.tend(now=clock.now)
    own = [text for text in front.questions() if "~engine" in text]
    assert all('FROM "known"' in text for text in own)
    assert all("'acc_a'" in text for text in front.questions() if text not in own)
    for call in (store.latest, store.oldest, store.windows, store.usage):
        with pytest.raises(ValueError, match="no account id"):
            await call(names.ENGINE)


async def test_a_site_of_any_name_keeps_its_readings_to_its_account(store: InfluxStore) -> None:
    for number, name in enumerate(HOSTILE):
        hostile = batch([full_reading(number)]).model_copy(update={"site": name})
        await store.write(A, hostile, now=NOW)
    store._newest.forget(A)
    assert [one.site for one in await store.latest(A)] == HOSTILE
    assert await store.latest(A, site=SITE) == []
    five = timedelta(minutes=5)
    for number, name in enumerate(HOSTILE):
        query = SeriesQuery(metric="power_w", start=NOW, end=NOW + five, step=five, site=SiteId(name))
        [mine] = await store.series(A, query)
        assert (mine.machine, mine.points) == (machine(number), ((NOW, 3214.5),))
    assert await store.latest(B) == []
