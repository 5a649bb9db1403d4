"""Who is one address, and how often it may try."""

from __future__ import annotations

from datetime import timedelta

import pytest
from aiohttp.test_utils import make_mocked_request

from backend.api.rates import Rate, address
from tests.backend.readings import NOW

SECOND = timedelta(seconds=1)


def test_tries_are_counted_in_a_window_that_moves() -> None:
    rate = Rate(2, 10 * SECOND)
    waits = [rate.wait_s("a", NOW + seconds * SECOND) for seconds in (0, 4, 5, 10, 11)]
    assert waits == [0.0, 0.0, 5.0, 0.0, 3.0]
    assert rate.wait_s("b", NOW) == 0.0


def test_memory_is_bounded_whoever_comes() -> None:
    rate = Rate(1, SECOND)
    for number in range(10_001):
        assert rate.wait_s(f"{number}", NOW) == 0.0
    assert rate.wait_s("1", NOW) > 0, "a recent one is remembered"
    assert rate.wait_s("0", NOW) == 0.0, "the longest unseen is forgotten"


@pytest.mark.parametrize(
    ("peer", "forwarded", "sender"),
    [
        ("192.0.2.1", None, "192.0.2.1"),
        ("192.0.2.1", "198.51.100.1", "192.0.2.1"),
        ("10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "203.0.113.9, 198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "198.51.100.1, 10.0.0.7", "198.51.100.1"),
        ("10.0.0.1", "nonsense", "10.0.0.1"),
        ("10.0.0.1", None, "10.0.0.1"),
        ("2001:db8:1:2:3::4", None, "2001:db8:1:2::/64"),
        ("", None, "unknown"),
    ],
)
def test_only_our_own_proxies_are_believed(peer: str, forwarded: str | None, sender: str) -> None:
    headers = {"X-Forwarded-For": forwarded} if forwarded else {}
    request = make_mocked_request("GET", "/", headers=headers).clone(remote=peer)
    assert address(request, ("10.0.0.0/8",)) == sender
