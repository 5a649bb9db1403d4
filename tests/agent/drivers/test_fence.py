"""The site's networks, as the libraries' clients are told of them."""

from __future__ import annotations

import os

import pytest

from agent.drivers import fence


@pytest.mark.parametrize(
    ("addresses", "networks"),
    [
        (["192.168.1.7"], "192.168.1.7/32"),
        ([f"192.168.1.{host}" for host in range(10, 20)], "192.168.1.10/31,192.168.1.12/30,192.168.1.16/30"),
        ([f"10.{net}.7.{host}" for net in (1, 9) for host in range(1, 255, 2)], "10.1.7.0/24,10.9.7.0/24"),
        ([], "127.0.0.0/8,10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,169.254.0.0/16,100.64.0.0/10"),
    ],
)
def test_the_fence_is_around_the_addresses_and_of_many_around_their_networks(
    addresses: list[str], networks: str
) -> None:
    fence.around(addresses)
    assert os.environ["NO_PROXY"] == os.environ["no_proxy"] == networks


@pytest.mark.parametrize("name", ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"])
def test_a_proxy_of_the_environment_is_replaced_by_one_that_nobody_can_be(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "http://proxy.example.com:3128")
    fence.around(["192.0.2.1"])
    assert os.environ[name] == os.environ[name.lower()] == "http://127.0.0.1:0"
