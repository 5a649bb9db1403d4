"""Which buckets there are, and which of them an account's data is in."""

from __future__ import annotations

from datetime import timedelta

import pytest

from backend.store.influx import tiers
from backend.store.influx.tiers import Decision
from tests.backend.readings import NOW

DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("days", "tier"), [(0, 7), (1, 7), (7, 7), (7.01, 30), (30, 30), (60, 90), (91, 180), (200, 365), (366, 730)]
)
def test_a_window_goes_to_the_smallest_tier_that_holds_it(days: float, tier: int) -> None:
    assert tiers.tier_days(days * DAY) == tier


@pytest.mark.parametrize("days", [-1, 730.5])
def test_a_window_that_no_tier_holds_is_refused(days: float) -> None:
    with pytest.raises(ValueError, match="a window is"):
        tiers.tier_days(days * DAY)


def test_there_are_about_twenty_buckets_and_each_keeps_longer_than_its_tier() -> None:
    rules = tiers.rules("itsminer")
    assert len(rules) == 18 + 3 + 2, "tiers by grain; held, which are hardly used; ids of batches and accounts"
    for grain in ("raw", "5m", "1h"):
        for days in tiers.TIERS_DAYS:
            keeps = rules[f"itsminer_{grain}_{days}d"]
            assert keeps is not None
            assert days * DAY < keeps <= (days + 2) * DAY
    assert rules["itsminer_accounts"] is None


def test_a_file_of_the_server_is_of_no_more_than_a_thirteenth_of_what_its_bucket_keeps() -> None:
    for keep in tiers.rules("itsminer").values():
        assert keep is None or DAY <= tiers.shard(keep) <= max(keep / 13, DAY)
    assert tiers.shard(timedelta(days=92)) == tiers.shard(None) == 7 * DAY


def test_a_batch_is_known_longer_than_an_agent_may_come_with_it() -> None:
    assert tiers.BATCHES_DAYS > 30


def test_one_decision_is_one_tier() -> None:
    kept = tiers.kept([Decision(NOW - 100 * DAY, 20 * DAY)], NOW)
    assert (kept.window, kept.tiers_days, kept.tier_days) == (20 * DAY, (30,), 30)


def test_another_window_in_the_same_tier_is_the_same_bucket() -> None:
    kept = tiers.kept([Decision(NOW - 2 * DAY, 20 * DAY), Decision(NOW - DAY, 10 * DAY)], NOW)
    assert (kept.window, kept.tiers_days) == (10 * DAY, (30,))


def test_after_a_change_of_tier_the_new_bucket_is_written_and_both_are_read_until_the_old_one_is_past() -> None:
    decisions = [Decision(NOW - 100 * DAY, 30 * DAY), Decision(NOW, 7 * DAY)]
    assert tiers.kept(decisions, NOW).tiers_days == (7, 30)
    assert tiers.kept(decisions, NOW + 30 * DAY).tiers_days == (7, 30)
    assert tiers.kept(decisions, NOW + 33 * DAY).tiers_days == (7,)


def test_a_tier_that_is_left_and_come_back_to_is_read_once() -> None:
    decisions = [Decision(NOW - 3 * DAY, 30 * DAY), Decision(NOW - 2 * DAY, 7 * DAY), Decision(NOW, 30 * DAY)]
    assert tiers.kept(decisions, NOW).tiers_days == (30, 7)
