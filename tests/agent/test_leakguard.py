"""Nothing of the site leaves in any text, whatever its disguise."""

from __future__ import annotations

import base64
import string
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agent.keyring import Keyring
from agent.pools import PublicPools
from agent.pseudonym import pseudonymize
from agent.reading import Facts, Live, RawBoard, RawPool, RawReading
from agent.wire import Reading, State, encode
from tests.agent.raw import FACTS, NOON, POOL, raw

KEY = Keyring(bytes(range(32)))
POOLS = PublicPools()

any_text = st.text(max_size=80) | st.text(st.characters(codec=None), max_size=20)
MAC, IP, SERIAL, HOST = FACTS.mac or "", FACTS.address, FACTS.serial or "", FACTS.hostname or ""
BARE = MAC.replace(":", "")


def base64_of(text: str, shift: int = 0) -> str:
    return base64.b64encode(b"x" * shift + text.encode()).decode()


def sent(reading: RawReading, pools: PublicPools = POOLS) -> Reading:
    return pseudonymize(reading, KEY, pools)


class TestLeakGuard:
    @pytest.mark.parametrize(
        "hostile",
        [
            MAC, MAC.lower(), MAC.replace(":", "-"), MAC.replace(":", " "), BARE, BARE.lower(), "v1-" + BARE[6:],
            BARE[::-1],
            f"{BARE[:4]}.{BARE[4:8]}.{BARE[8:]}", str(int(BARE, 16)), MAC.encode().hex(), BARE.encode().hex().upper(),
            base64_of(MAC), base64_of(MAC, 1), base64_of(MAC, 2), base64_of(BARE.lower()),
            base64.b64encode(bytes.fromhex(BARE)).decode(), base64.b32encode(MAC.encode()).decode(),
            IP, IP.replace(".", "-"), IP.replace(".", "_"), "192168017042", "1921681742", "C0A8112A", "c0.a8.11.2a",
            str(int.from_bytes(bytes(map(int, IP.split("."))), "big")), IP.encode().hex(), base64_of(IP),
            "%3192.168.17.42", "fw (192 168 17 42)", "1 9 2.1 6 8.1 7.4 2",
            SERIAL, SERIAL.lower(), f"S19 {SERIAL[:5]}-{SERIAL[5:]}", base64_of(SERIAL), SERIAL.encode().hex(),
            HOST, HOST.upper(), HOST.replace("-", "_"), base64_of(HOST),
            "acme.hall3x42", "ACME", "S19 hall3x42", "hall3x42", base64_of("hall3x42"), b"hall3x42".hex(),
            "acme-mining", "AcmeMining edition", "pool.acme-mining.example",
        ],
    )  # fmt: skip
    @pytest.mark.parametrize("field", ["model", "firmware", "make", "power_mode"])
    def test_a_name_of_the_site_in_any_text_costs_the_text(self, field: str, hostile: str) -> None:
        for text in (hostile, f"S19 {hostile} v2"):
            changes: dict[str, Any] = {field: text}
            assert getattr(sent(raw(**changes)), field) is None, text

    @pytest.mark.parametrize("code", [BARE, BARE.lower(), "hall3x42", "192.168.17.42", MAC.replace(":", "-"), SERIAL])
    def test_a_name_of_the_site_in_a_fault_code_costs_the_code_but_not_the_fault(self, code: str) -> None:
        reading = sent(raw(fault_codes=(f"antminer:{code}", "antminer:5"), hashrate_ths=0.0))
        assert reading.fault_codes == ("antminer:5",)
        assert reading.state is State.FAULT

    @pytest.mark.parametrize("live", [None, Live(uptime_s=5.0, pools=None)])
    def test_a_reading_that_does_not_tell_its_pools_is_searched_for_the_last_ones(self, live: Live | None) -> None:
        hostile = raw(live=live, firmware="v2 hall3x42", model="S19 Acme-Mining")
        assert sent(hostile).firmware == "v2 hall3x42"  # who would know?
        reading = pseudonymize(hostile, KEY, POOLS, (POOL,))
        assert (reading.firmware, reading.model, reading.pools) == (None, None, None)

    def test_the_words_of_a_host_name_are_names_too(self) -> None:
        assert sent(raw(hostname="rig7.acme-farm.lan", firmware="2.0-AcmeFarm")).firmware is None

    @pytest.mark.parametrize(
        "foreign",
        ["02:00:5e:99:88:77", "10.1.2.3", "fw 172.16.9.9", "joe@acme.example", "http://x.example",
         "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq", "1BoatSLRHtKNngkdXEeobR76b53LETtpyT"],
    )  # fmt: skip
    def test_what_looks_like_somebody_elses_name_is_missing_too(self, foreign: str) -> None:
        assert sent(raw(firmware=foreign)).firmware is None

    @pytest.mark.parametrize(
        "changes",
        [
            {"hostname": "Antminer"}, {"hostname": "miner"}, {"hostname": ""}, {"serial": "1"},
            {"serial": None, "mac": None},
            {"pools": (RawPool(url="x.example", user="acme.001"),)},
            {"pools": (RawPool(url="x.example", user="s19pro.2022"),)},
            {"pools": (RawPool(url="stratum.antpool.com", user="antminer.s19"),)},
        ],
    )  # fmt: skip
    def test_stock_names_and_numbers_do_not_cost_a_machine_its_model(self, changes: dict[str, Any]) -> None:
        reading = sent(raw(**changes))
        assert (reading.make, reading.model, reading.firmware) == ("Antminer", "S19 Pro", "20221226")

    def test_a_name_of_the_machine_in_a_public_pools_host_makes_it_a_private_one(self) -> None:
        pools = PublicPools(public=["acme.example"])
        hosts = ("192-168-17-42.acme.example", "hall3-rack7-u12.acme.example", "eu.acme.example")
        made = sent(raw(pools=tuple(RawPool(url=host) for host in hosts)), pools).pools
        assert made is not None
        assert [pool.host[:4] for pool in made] == ["pol-", "pol-", "eu.a"]

    @given(
        st.builds(
            Facts, address=any_text, driver=any_text, make=any_text, model=any_text, firmware=any_text,
            mac=any_text, serial=any_text, hostname=any_text, expected_ths=st.floats(),
        ),
        st.none()
        | st.builds(
            Live, is_meant_to_mine=st.booleans() | st.none(), hashrate_ths=st.floats(), uptime_s=st.floats(),
            power_w=st.floats() | st.integers(), inlet_temp_c=st.floats(),
            fans_rpm=st.none() | st.tuples(st.integers(), st.integers()),
            boards=st.none() | st.tuples(st.builds(RawBoard, index=st.integers(), hashrate_ths=st.floats())),
            shares_accepted=st.integers(), power_mode=any_text, fault_codes=st.none() | st.tuples(any_text),
            pools=st.none() | st.tuples(st.builds(RawPool, url=any_text, user=any_text), st.builds(RawPool)),
        ),
    )  # fmt: skip
    @example(Facts(address="\ud800", driver="d", model="\ud800%ff"), None)
    def test_nothing_that_a_machine_says_raises(self, facts: Facts, live: Live | None) -> None:
        encode(sent(RawReading(time=NOON, facts=facts, live=live)))

    @given(
        st.text(string.ascii_lowercase + string.digits, min_size=5, max_size=20),
        st.sampled_from(["raw", "upper", "hex", "base64", "dashed", "reversed"]),
        st.text(string.ascii_letters, max_size=6),
    )
    def test_a_worker_is_in_no_text_that_leaves(self, tail: str, disguise: str, before: str) -> None:
        worker = f"q{tail}"  # no vendor's word begins so
        disguised = {
            "raw": worker, "upper": worker.upper(), "hex": worker.encode().hex(), "base64": base64_of(worker),
            "dashed": "-".join(worker), "reversed": worker[::-1],
        }[disguise]  # fmt: skip
        pools = (RawPool(url="stratum.antpool.com", user=f"acct.{worker}"),)
        assert sent(raw(firmware=f"{before} {disguised}", pools=pools)).firmware is None
