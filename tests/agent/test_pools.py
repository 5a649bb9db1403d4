"""Pool hosts, users and the catalogue of public pools."""

from __future__ import annotations

import pytest

from agent.pools import PUBLIC, PublicPools, canonical_host, split_user, url_user
from agent.reading import RawPool
from agent.wire import Pool

WALLET = "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq"


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("antpool.com", "antpool.com"),
        ("stratum.antpool.com", "stratum.antpool.com"),
        ("btc-eu2.f2pool.com", "btc-eu2.f2pool.com"),
        ("us-east-1.stratum.braiins.com", "us-east-1.stratum.braiins.com"),
        ("btc.global.luxor.tech", "btc.global.luxor.tech"),
        ("acme-corp.antpool.com", "antpool.com"),
        ("us-1-acme.antpool.com", "antpool.com"),
        ("192-168-1-5.antpool.com", "antpool.com"),
        ("evilantpool.com", None),
        ("antpool.com.acme.example", None),
        ("antpool", None),
        ("10.0.0.1", None),
        ("2001:db8::1", None),
        ("a." * 60 + "antpool.com", None),
        ("", None),
    ],
)
def test_a_public_pool_is_named_without_what_may_be_a_customers_name(host: str, name: str | None) -> None:
    assert PublicPools().name(host) == name


def test_each_catalogued_name_fits_the_contract() -> None:
    for host in PUBLIC:
        assert Pool(host=host).host == host == canonical_host(host)


def test_the_operator_adds_hosts_with_their_sub_domains() -> None:
    pools = PublicPools(public=["stratum+tcp://Pool.Acme.example:3333"])
    assert pools.name("pool.acme.example") == "pool.acme.example"
    assert pools.name("eu.pool.acme.example") == "eu.pool.acme.example"
    assert pools.name("acme.example") is None
    assert PublicPools().name("pool.acme.example") is None


def test_an_operator_cannot_make_an_address_public_by_mistake() -> None:
    assert PublicPools(public=["10.0.0.1"]).name("10.0.0.1") is None


@pytest.mark.parametrize(
    ("user", "account", "worker"),
    [
        ("acme.rig1", "acme", "rig1"),
        ("acme.hall3.rig1", "acme", "hall3.rig1"),
        ("acme", "acme", None),
        ("acme.", "acme", None),
        (".rig1", None, "rig1"),
        (f"{WALLET}.rig1", WALLET, "rig1"),
        (f"{WALLET.upper()}.rig1", WALLET, "rig1"),
        (WALLET, WALLET, None),
        ("kaspa:qr0abc.rig1", "kaspa:qr0abc", "rig1"),
        ("joe@example.com", "joe@example.com", None),
        ("Joe@Example.com.rig1", "joe@example.com", "rig1"),
        ("joe.doe@example.com.rig.1", "joe.doe@example.com", "rig.1"),
        ("joe@example.co.uk", "joe@example.co.uk", None),
        ("joe@example.co.uk.rig1", "joe@example.co.uk", "rig1"),
        ("joe@mail.example.com.rig1", "joe@mail.example.com", "rig1"),
        ("joe@farm", "joe@farm", None),
        ("@rig", "@rig", None),
        ("", None, None),
        ("*", None, None),
        ("  ", None, None),
    ],
)
def test_a_pool_user_is_an_account_and_a_worker(user: str, account: str | None, worker: str | None) -> None:
    assert split_user(user) == (account, worker)


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("stratum+tcp://pool.acme.example:3333", "pool.acme.example"),
        (
            "stratum2+tcp://pool.acme.example:34254/9bCoFxTszKCuffyywH5uS5o6WcU4vsjTH2axxc7wE86y2HhvULU",
            "pool.acme.example",
        ),
        ("pool.acme.example:3333/acme.rig1", "pool.acme.example"),
        ("a:b@pool.acme.example", "pool.acme.example"),
        ("[2001:db8::1]:3333", "2001:db8::1"),
        ("stratum+tcp://[fe80::1%25eth0]:3333", "fe80::1"),
        ("", None),
        ("stratum+tcp://", None),
        ("*", None),
        ("N/A", None),
    ],
)
def test_a_pool_url_has_a_host(url: str, host: str | None) -> None:
    assert canonical_host(url) == host


def test_a_user_in_the_url_is_found_where_there_is_no_other() -> None:
    assert url_user("stratum+tcp://acme.rig1:x@pool.acme.example:3333") == "acme.rig1"
    assert url_user("stratum+tcp://pool.acme.example:3333/a@b") is None


@pytest.mark.parametrize(
    ("expected", "url", "user", "verdict"),
    [
        ("f2pool.com", "stratum+tcp://btc.f2pool.com:3333", "acme.1", True),
        ("f2pool.com", "stratum+tcp://btc.f2pool.com.thief.example:3333", "acme.1", False),
        ("acme@f2pool.com", "btc.f2pool.com", "acme.1", True),
        ("acme@f2pool.com", "btc.f2pool.com", "thief.1", False),
        ("acme@f2pool.com", "btc.f2pool.com", None, False),
        ("joe@example.com@f2pool.com", "btc.f2pool.com", "Joe@example.com.1", True),
        ("10.0.0.5", "10.0.0.5:3333", "x.1", True),
        ("f2pool.com", "", "acme.1", None),
    ],
)
def test_a_pool_is_expected_by_host_and_by_account(
    expected: str, url: str, user: str | None, verdict: bool | None
) -> None:
    assert PublicPools(expected=[expected]).as_expected([RawPool(url=url, user=user)]) is verdict


def test_one_strange_pool_among_the_configured_is_enough() -> None:
    pools = [RawPool(url="btc.f2pool.com", active=True), RawPool(url="thief.example", active=False)]
    assert PublicPools(expected=["f2pool.com"]).as_expected(pools) is False
