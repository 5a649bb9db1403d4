"""Batches that come at once are stored in few commits, and none is forgotten."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from threading import Event

import pytest

from agent.wire import MAX_READINGS
from backend.ids import AccountId
from backend.store.grouping import MOST_READINGS, Grouping
from backend.store.hot import Incoming
from tests.backend.readings import NOW, batch, reading

A = AccountId("acc_a")
B = AccountId("acc_b")


class Commits:
    """Whoever stores: each commit may go on when it is let."""

    def __init__(self) -> None:
        self.sizes: list[tuple[AccountId, int]] = []
        self.begun = Event()
        self.may_go_on = Event()

    def store(self, account: AccountId, incoming: Sequence[Incoming]) -> list[bool]:
        self.sizes.append((account, len(incoming)))
        self.begun.set()
        assert self.may_go_on.wait(10)
        if any(one.batch.site == "broken" for one in incoming):
            raise OSError("the disk is full")
        return [True] * len(incoming)


@pytest.fixture
def commits() -> Commits:
    return Commits()


@pytest.fixture
def grouping(commits: Commits) -> Iterator[Grouping]:
    with ThreadPoolExecutor(4) as threads:
        grouping = Grouping(threads, commits.store)
        yield grouping
        commits.may_go_on.set()
        grouping.close()


def incoming(readings: int = 1, site: str = "sit_a") -> Incoming:
    return Incoming(batch([reading(number) for number in range(readings)], site=site), NOW)


def test_batches_that_come_during_a_commit_are_stored_in_the_next_one(grouping: Grouping, commits: Commits) -> None:
    stored = [grouping.add(A, incoming())]
    assert commits.begun.wait(10)
    stored += [grouping.add(A, incoming()) for _ in range(5)]
    commits.may_go_on.set()
    assert [one.result(10) for one in stored] == [True] * 6
    assert commits.sizes == [(A, 1), (A, 5)]


def test_a_commit_stays_bounded(grouping: Grouping, commits: Commits) -> None:
    stored = [grouping.add(A, incoming())]
    assert commits.begun.wait(10)
    large = incoming(MAX_READINGS)
    fit = MOST_READINGS // MAX_READINGS
    stored += [grouping.add(A, large) for _ in range(fit + 2)]
    commits.may_go_on.set()
    wait(stored, 30)
    assert commits.sizes == [(A, 1), (A, fit), (A, 2)]


def test_an_account_does_not_wait_for_another(grouping: Grouping, commits: Commits) -> None:
    grouping.add(A, incoming())
    assert commits.begun.wait(10)
    commits.begun.clear()
    grouping.add(B, incoming())
    assert commits.begun.wait(10)
    assert sorted(commits.sizes) == [(A, 1), (B, 1)]


def test_a_commit_that_fails_says_so_to_its_batches_only(grouping: Grouping, commits: Commits) -> None:
    commits.may_go_on.set()
    with pytest.raises(OSError, match="disk is full"):
        grouping.add(A, incoming(site="broken")).result(10)
    assert grouping.add(A, incoming()).result(10)


def test_closing_stores_what_waits(commits: Commits) -> None:
    with ThreadPoolExecutor(4) as threads:
        grouping = Grouping(threads, commits.store)
        stored = [grouping.add(A, incoming())]
        assert commits.begun.wait(10)
        stored += [grouping.add(A, incoming()) for _ in range(3)]
        grouping.close()
        commits.may_go_on.set()
    assert [one.result(0) for one in stored] == [True] * 4
