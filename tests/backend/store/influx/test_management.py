"""Buckets, rules and tokens."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from pydantic import SecretStr

from backend.ids import AccountId
from backend.store.errors import StoreMisconfigured, StoreUnavailable
from backend.store.influx import management, tiers
from backend.store.influx.engine import InfluxStore
from backend.store.influx.settings import InfluxSettings
from tests.backend.readings import NOW, batch, full_reading
from tests.fakes.influx_v2 import InfluxV2, Trouble

A = AccountId("acc_a")
BUCKETS = "/api/v2/buckets"


def made(front: InfluxV2) -> list[str]:
    """Methods of what was asked of buckets, but for looking."""
    return [asked.path for asked in front.asked if asked.path.startswith(BUCKETS) and asked.body]


def test_what_is_missing_is_made_and_doing_it_again_changes_nothing(settings: InfluxSettings, front: InfluxV2) -> None:
    own = settings.model_copy(update={"prefix": "fresh"})
    management.prepare(own)
    rules = {name: 0 if keep is None else keep // timedelta(seconds=1) for name, keep in tiers.rules("fresh").items()}
    assert {name: keeps for name, keeps in front.buckets.items() if name.startswith("fresh_")} == rules
    assert len(made(front)) == len(rules)
    management.prepare(own)
    assert len(made(front)) == len(rules)


def test_a_rule_that_somebody_changed_is_set_again(settings: InfluxSettings, front: InfluxV2) -> None:
    management.prepare(settings)
    bucket = next(one for one in front._buckets.values() if one["name"] == "itsminer_raw_7d")
    bucket["retentionRules"] = []
    management.prepare(settings)
    assert front.buckets["itsminer_raw_7d"] == 9 * 86_400


async def test_a_narrow_token_runs_the_store_and_can_do_nothing_else(settings: InfluxSettings) -> None:
    management.prepare(settings)
    narrow = settings.model_copy(update={"token": SecretStr(management.narrow_token(settings))})
    store = InfluxStore(narrow, lambda: NOW)
    assert await store.write(A, batch([full_reading()]), now=NOW)
    assert [one.reading for one in await store.latest(A)] == [full_reading()]
    await store.close()
    with pytest.raises(StoreMisconfigured, match="may create buckets"):
        management.prepare(narrow.model_copy(update={"prefix": "elsewhere"}))


def test_wrong_settings_are_told_as_such(settings: InfluxSettings) -> None:
    for changes in ({"token": SecretStr("wrong")}, {"org": "nobody", "prefix": "nobodys"}):
        with pytest.raises(StoreMisconfigured, match="check"):
            management.prepare(settings.model_copy(update=changes))


def test_a_server_that_cannot_now_is_no_fault_of_the_settings(settings: InfluxSettings, front: InfluxV2) -> None:
    front.troubles.append(Trouble(BUCKETS, 500))
    with pytest.raises(StoreUnavailable) as caught:
        management.prepare(settings)
    assert not isinstance(caught.value, StoreMisconfigured)


def test_a_server_that_is_not_there_is_unavailable(settings: InfluxSettings) -> None:
    with pytest.raises(StoreUnavailable, match="not reached"):
        management.prepare(settings.model_copy(update={"url": "http://127.0.0.1:9", "timeout_s": 1}))


async def test_a_store_starts_without_a_server_and_works_when_it_comes(
    settings: InfluxSettings, front: InfluxV2
) -> None:
    wrong = settings.model_copy(update={"url": "http://127.0.0.1:9", "timeout_s": 1})
    store = InfluxStore(wrong, lambda: NOW)
    with pytest.raises(StoreUnavailable):
        await store.write(A, batch([full_reading()]), now=NOW)
    with pytest.raises(StoreUnavailable):
        await store.check()
    store._settings = settings
    store._client._settings = settings
    assert await store.write(A, batch([full_reading()]), now=NOW)
    await store.close()


async def test_many_first_calls_prepare_once(store: InfluxStore, front: InfluxV2) -> None:
    await asyncio.gather(*(store.latest(A) for _ in range(5)))
    assert sum(asked.path == BUCKETS for asked in front.asked) <= 1
