"""Pseudonyms and what may leave: stable, per key, per kind, and nothing of the site in any disguise."""

from __future__ import annotations

import base64
import math
import re
import stat
import string
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agent.errors import Misconfigured
from agent.identity import canonical_mac, canonical_serial, identity
from agent.keyring import Keyring, Kind
from agent.pools import PublicPools
from agent.pseudonym import pseudonymize
from agent.reading import Facts, Live, RawBoard, RawPool, RawReading
from agent.wire import Reading, State, decode, encode
from tests.agent.raw import FACTS, LIVE, NOON, POOL, batch, raw
from tests.soak.pseudonyms import collisions

KEY = Keyring(bytes(range(32)))
POOLS = PublicPools()
KINDS = st.sampled_from(list(Kind))
PATTERN = re.compile(r"(mnr|wrk|act|pol)-[0-9a-hjkmnp-tv-z]{16}")

any_text = st.text(max_size=80) | st.text(st.characters(codec=None), max_size=20)


def sent(reading: RawReading, pools: PublicPools = POOLS) -> Reading:
    return pseudonymize(reading, KEY, pools)


class TestPseudonym:
    @settings(deadline=None)
    @given(KINDS, any_text)
    def test_is_stable_and_fits_the_contract(self, kind: Kind, value: str) -> None:
        made = Keyring(bytes(range(32))).pseudonym(kind, value)
        assert PATTERN.fullmatch(made)
        assert made.startswith(kind)
        assert made == KEY.pseudonym(kind, value)

    @settings(deadline=None)
    @given(any_text)
    def test_differs_by_key_and_by_kind(self, value: str) -> None:
        other = Keyring(bytes(32))
        made = {key.pseudonym(kind, value)[4:] for key in (KEY, other) for kind in Kind}
        assert len(made) == 2 * len(Kind)

    @settings(deadline=None, max_examples=50)
    @given(st.sets(st.binary(min_size=6, max_size=6), min_size=2, max_size=200), st.binary(min_size=32, max_size=32))
    def test_differs_by_machine_under_every_key(self, macs: set[bytes], key: bytes) -> None:
        keyring = Keyring(key)
        names = {mac.hex() for mac in macs} - {"0" * 12, "f" * 12}
        assert len({keyring.pseudonym(Kind.MACHINE, name) for name in names}) == len(names)

    def test_of_fifty_thousand_machines_no_two_share_one(self) -> None:
        """Ten million: `make bench BENCH=pseudonyms`."""
        assert collisions(50_000) == 0

    @settings(deadline=None)
    @given(st.binary(min_size=6, max_size=6), st.binary(min_size=32, max_size=32))
    def test_outlives_a_restart_and_shows_nothing_of_the_machine(self, mac: bytes, key: bytes) -> None:
        made = Keyring(key).pseudonym(Kind.MACHINE, mac.hex())
        assert made == Keyring(bytes.fromhex(key.hex())).pseudonym(Kind.MACHINE, mac.hex())
        assert mac.hex() not in made

    def test_is_a_known_function_of_key_kind_and_value(self) -> None:
        """Computed apart from our code (HMAC by openssl, base32 by hand): a change would rename every machine."""
        assert KEY.pseudonym(Kind.MACHINE, "02:00:5e:1c:a7:3f") == "mnr-hcxq689ra65zc7z3"

    @settings(deadline=None)
    @given(st.binary(min_size=6, max_size=6).filter(lambda mac: mac not in (bytes(6), b"\xff" * 6)))
    def test_of_a_mac_is_the_same_in_every_notation(self, mac: bytes) -> None:
        pairs = [f"{byte:02x}" for byte in mac]
        digits = "".join(pairs)
        notations = [":".join(pairs), "-".join(pairs).upper(), digits, digits.upper(), " ".join(pairs), f"0x{digits}"]
        notations += [f"{digits[:4]}.{digits[4:8]}.{digits[8:]}", ":".join(f"{byte:x}" for byte in mac)]
        assert len({KEY.pseudonym(Kind.MACHINE, notation) for notation in notations}) == 1

    @pytest.mark.parametrize(
        ("kind", "one", "other"),
        [
            (Kind.POOL, "stratum+tcp://pool.acme.example:3333", "POOL.acme.example."),
            (Kind.POOL, "stratum+ssl://acme.rig1:x@pool.acme.example:443/path#v2", "pool.acme.example"),
            (Kind.POOL, "stratum+tcp://[2001:DB8:0::1]:3333", "2001:db8::1"),
            (Kind.POOL, "//10.0.0.7:3333", "::ffff:10.0.0.7"),
            (Kind.POOL, "stratum+tcp://bergbau-münchen.example", "xn--bergbau-mnchen-osb.example"),
            (Kind.MACHINE, "fe80::1%eth0", "FE80:0::1"),
            (Kind.MACHINE, " jyzzdeabcjg0042 ", "JYZZDEABCJG0042"),
            (Kind.ACCOUNT, "BC1QAR0SRRR7XFKVY5L643LYDNW9RE59GTZZWF5MDQ", "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq"),
            (Kind.ACCOUNT, "Joe@Example.com", "joe@example.com"),
            (Kind.WORKER, " rig1 ", "rig1"),
        ],
    )
    def test_is_the_same_for_each_way_to_write_a_value(self, kind: Kind, one: str, other: str) -> None:
        assert KEY.pseudonym(kind, one) == KEY.pseudonym(kind, other)

    def test_keeps_base58_wallets_of_different_case_apart(self) -> None:
        wallets = ("1BoatSLRHtKNngkdXEeobR76b53LETtpyT", "1BoatSLRHtKNngkdXEeobR76b53LETtpyt")
        assert len({KEY.pseudonym(Kind.ACCOUNT, wallet) for wallet in wallets}) == 2

    def test_of_the_key_itself_is_an_epoch_and_another_keys_is_another(self) -> None:
        """Computed apart from our code, as above."""
        assert KEY.epoch == "epo-0hmtqv8vsfkcyfff"
        assert Keyring(KEY._key).epoch == KEY.epoch != Keyring.throwaway().epoch
        assert decode(encode(batch().model_copy(update={"epoch": KEY.epoch}))).epoch == KEY.epoch

    def test_refuses_a_kind_that_the_contract_does_not_have(self) -> None:
        with pytest.raises(ValueError, match="srv"):
            KEY.pseudonym("srv", "x")


class TestKeyFile:
    def test_is_made_for_its_owner_alone_and_reads_back(self, tmp_path: Path) -> None:
        made = Keyring.create(tmp_path / "site.key")
        assert stat.S_IMODE((tmp_path / "site.key").stat().st_mode) == 0o600
        assert Keyring.load(tmp_path / "site.key").pseudonym("mnr", "x") == made.pseudonym("mnr", "x")
        assert [path.name for path in tmp_path.iterdir()] == ["site.key"]

    def test_is_never_overwritten(self, tmp_path: Path) -> None:
        Keyring.create(tmp_path / "site.key")
        before = (tmp_path / "site.key").read_bytes()
        with pytest.raises(Misconfigured, match="not overwritten"):
            Keyring.create(tmp_path / "site.key")
        assert (tmp_path / "site.key").read_bytes() == before

    @pytest.mark.parametrize(
        ("content", "mode", "says"),
        [
            (b"ab" * 32, 0o640, "chmod 600"),
            (b"ab" * 31, 0o600, "no site key"),
            (b"\xff" * 64, 0o600, "cannot read"),
            (b"", 0o600, "no site key"),
        ],
    )
    def test_that_cannot_be_trusted_is_refused(self, tmp_path: Path, content: bytes, mode: int, says: str) -> None:
        path = tmp_path / "site.key"
        path.write_bytes(content)
        path.chmod(mode)
        with pytest.raises(Misconfigured, match=says) as error:
            Keyring.load(path)
        assert "abab" not in str(error.value)

    def test_that_is_not_there_names_the_command_that_makes_it(self, tmp_path: Path) -> None:
        with pytest.raises(Misconfigured, match="itsminer-agent enroll"):
            Keyring.load(tmp_path / "site.key")

    def test_shows_in_no_repr(self) -> None:
        assert "0001" not in repr(KEY)
        assert repr(KEY) == "Keyring(…)"

    def test_throwaway_keys_differ(self) -> None:
        assert Keyring.throwaway().pseudonym("mnr", "x") != Keyring.throwaway().pseudonym("mnr", "x")

    def test_of_another_length_is_refused(self) -> None:
        with pytest.raises(Misconfigured, match="32 bytes"):
            Keyring(b"short")


class TestIdentity:
    def test_is_the_mac_else_the_serial_else_the_address(self) -> None:
        facts = Facts(address="10.0.0.1", driver="d", mac="02-00-5E-1C-A7-3F", serial="sn 17")
        assert identity(facts) == "02005e1ca73f"
        assert identity(Facts(address="10.0.0.1", driver="d", mac="00:00:00:00:00:00", serial="sn 17")) == "SN17"
        assert identity(Facts(address="10.0.0.1", driver="d", serial="N/A")) == "10.0.0.1"

    def test_survives_a_new_address_and_new_firmware(self) -> None:
        moved = raw(address="192.168.17.99", firmware="20991231", hostname=None)
        assert sent(moved).machine == sent(raw()).machine

    @pytest.mark.parametrize(
        "mac", [None, "", "02:00:5e", "ff:ff:ff:ff:ff:ff", "gg:00:5e:1c:a7:3f", "1:2:3:4:5:67890a"]
    )
    def test_takes_no_mac_that_is_none(self, mac: str | None) -> None:
        assert canonical_mac(mac) is None

    @pytest.mark.parametrize("serial", [None, "", "unknown", "0000000", "To be filled by O.E.M.", "FFFFFFFF", "--"])
    def test_takes_no_placeholder_for_a_serial(self, serial: str | None) -> None:
        assert canonical_serial(serial) is None

    def test_of_a_machine_whose_mac_another_one_has_is_its_own_and_always_the_same(self) -> None:
        first = replace(FACTS, serial="SN1")
        twins = [
            replace(FACTS, serial="SN2", shares_mac=True),
            replace(FACTS, serial="SN3", shares_mac=True, address="192.168.17.44"),
            replace(FACTS, serial=None, shares_mac=True, address="192.168.17.45"),
            replace(FACTS, serial=None, shares_mac=True, address="192.168.17.46"),
        ]
        assert len({KEY.pseudonym(Kind.MACHINE, identity(facts)) for facts in (first, *twins)}) == 5
        moved = replace(twins[0], address="192.168.17.99", mac=FACTS.mac and FACTS.mac.lower())
        assert identity(moved) == identity(twins[0])


class TestState:
    @pytest.mark.parametrize(
        ("changes", "state"),
        [
            ({}, State.HASHING),
            ({"hashrate_ths": 0.0, "is_meant_to_mine": False}, State.PAUSED),
            ({"hashrate_ths": 0.0, "is_meant_to_mine": False, "fault_codes": ("antminer:1",)}, State.PAUSED),
            ({"hashrate_ths": 5.0, "is_meant_to_mine": False}, State.HASHING),
            ({"hashrate_ths": 5.0, "fault_codes": ("antminer:1",)}, State.HASHING),
            ({"hashrate_ths": 0.0, "fault_codes": ("antminer:1",)}, State.FAULT),
            ({"hashrate_ths": 0.0}, State.IDLE),
            ({"hashrate_ths": 0.0, "is_meant_to_mine": None}, State.IDLE),
            ({"hashrate_ths": None}, State.HASHING),  # its boards hash
            ({"hashrate_ths": None, "boards": (RawBoard(index=0, hashrate_ths=0.0),)}, State.IDLE),
            ({"hashrate_ths": None, "boards": None}, State.HASHING),  # only its word: nothing says that it does not
            ({"hashrate_ths": None, "boards": None, "is_meant_to_mine": None}, State.IDLE),
            ({"hashrate_ths": None, "boards": None, "is_meant_to_mine": False}, State.PAUSED),
            ({"hashrate_ths": math.nan, "boards": None, "fault_codes": ("antminer:1",)}, State.FAULT),
        ],
    )
    def test_follows_from_what_the_machine_says(self, changes: dict[str, Any], state: State) -> None:
        assert sent(raw(**changes)).state is state

    def test_of_a_machine_without_answer_is_unreachable_and_nothing_is_zero(self) -> None:
        reading = sent(raw(live=None))
        assert reading.state is State.UNREACHABLE
        assert reading.model_dump(exclude_none=True).keys() == {
            "time", "machine", "make", "model", "firmware", "driver", "read_ms", "state", "expected_ths",
        }  # fmt: skip


class TestValues:
    def test_pass_through_with_their_units(self) -> None:
        reading = sent(raw())
        assert (reading.hashrate_ths, reading.power_w, reading.expected_ths) == (110.0, 3300.0, 110.0)
        assert reading.fans_rpm == (6000, 5880)
        assert reading.boards is not None
        assert reading.boards[0].chips_working == 114
        assert (reading.make, reading.model, reading.firmware) == ("Antminer", "S19 Pro", "20221226")
        assert (reading.time, reading.read_ms, reading.driver) == (NOON, 12.5, "pyasic-rs 0.8.6")

    @pytest.mark.parametrize("absurd", [math.nan, math.inf, -1.0, 1e300, "110", True, None])
    def test_that_are_absurd_are_missing(self, absurd: Any) -> None:
        fields = ("hashrate_ths", "power_w", "uptime_s", "shares_accepted", "shares_rejected", "last_share_age_s")
        reading = sent(raw(live=LIVE, boards=(RawBoard(index=0, hashrate_ths=absurd, chips_working=absurd),),
                           **dict.fromkeys(fields, absurd)))  # fmt: skip
        assert all(getattr(reading, field) is None for field in fields)
        assert reading.boards is not None
        assert reading.boards[0].model_dump(exclude_none=True) == {"index": 0}

    def test_below_zero_are_fine_for_the_cold(self) -> None:
        assert sent(raw(inlet_temp_c=-20.5)).inlet_temp_c == -20.5

    def test_zero_is_a_value(self) -> None:
        reading = sent(raw(hashrate_ths=0.0, fans_rpm=(0, 0), power_w=0.0))
        assert (reading.hashrate_ths, reading.fans_rpm, reading.power_w) == (0.0, (0, 0), 0.0)

    def test_efficiency_needs_power_and_hashrate(self) -> None:
        assert sent(raw()).efficiency_j_per_th == 30.0
        assert sent(raw(hashrate_ths=0.0)).efficiency_j_per_th is None
        assert sent(raw(power_w=0.0)).efficiency_j_per_th is None
        assert sent(raw(power_w=None)).efficiency_j_per_th is None
        assert sent(raw(hashrate_ths=1e-6, power_w=1e6)).efficiency_j_per_th is None

    def test_expected_hashrate_is_the_live_one_where_there_is_one(self) -> None:
        assert sent(raw(expected_ths=95.0)).expected_ths == 95.0

    def test_too_many_of_anything_are_cut(self) -> None:
        pools = tuple(RawPool(url=f"p{n}.acme.example") for n in range(40))
        reading = sent(
            raw(
                fans_rpm=tuple(range(100, 150)),
                boards=tuple(RawBoard(index=n) for n in range(-3, 90)),
                pools=pools,
                fault_codes=tuple(f"antminer:{n}" for n in range(200)),
            )
        )
        sizes = [len(getattr(reading, name) or ()) for name in ("fans_rpm", "boards", "pools", "fault_codes")]
        assert sizes == [16, 64, 16, 64]

    def test_of_two_boards_with_one_index_the_first_counts(self) -> None:
        boards = (RawBoard(index=1, hashrate_ths=1.0), RawBoard(index=1, hashrate_ths=2.0))
        made = sent(raw(boards=boards)).boards
        assert made is not None
        assert [board.hashrate_ths for board in made] == [1.0]

    def test_fault_codes_are_codes_and_no_prose(self) -> None:
        codes = (
            "whatsminer:110",
            "whatsminer:110",
            "Fan error on board 3",
            "antminer:the fan has failed",
            "x:" + "9" * 40,
        )
        assert sent(raw(fault_codes=codes)).fault_codes == ("whatsminer:110",)

    @pytest.mark.parametrize(
        ("given_text", "name"),
        [
            ("S19j Pro+ Hyd.", "S19j Pro+ Hyd."),
            ("  M50S++ (VK20)  ", "M50S++ (VK20)"),
            ("Tue Dec 06 10:11:12 CST 2022", "Tue Dec 06 10.11.12 CST 2022"),
            ("Ünïcode ⚡ Miner", "Unicode Miner"),
            ("<script>alert</script>", "script alert /script"),
            ("\x00\n\t", None),
            ("…", None),
            ("x" * 65, None),
            ("", None),
        ],
    )
    def test_text_is_a_plain_name_or_missing(self, given_text: str, name: str | None) -> None:
        assert sent(raw(model=given_text)).model == name


MAC, IP, SERIAL, HOST = FACTS.mac or "", FACTS.address, FACTS.serial or "", FACTS.hostname or ""
BARE = MAC.replace(":", "")


def base64_of(text: str, shift: int = 0) -> str:
    return base64.b64encode(b"x" * shift + text.encode()).decode()


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

    @settings(max_examples=200, deadline=None)
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

    @settings(max_examples=200, deadline=None)
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


class TestPools:
    def test_are_public_names_or_pseudonyms_and_accounts_and_workers_always_pseudonyms(self) -> None:
        pools = (
            RawPool(url="stratum+tcp://btc.F2Pool.com.:1314", user="acme.hall3x42", alive=True, active=True),
            RawPool(url="stratum+tcp://10.0.0.5:3333", user="bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq.hall3x42"),
            POOL,
            RawPool(url="", user="acme.hall3x42"),
        )
        made = sent(raw(pools=pools)).pools
        assert made is not None
        assert [pool.host for pool in made] == [
            "btc.f2pool.com", KEY.pseudonym("pol", "10.0.0.5"), KEY.pseudonym("pol", "pool.acme-mining.example"),
        ]  # fmt: skip
        assert made[0].account == made[2].account == KEY.pseudonym("act", "acme")
        assert made[1].account == KEY.pseudonym("act", "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq")
        assert {pool.worker for pool in made} == {KEY.pseudonym("wrk", "hall3x42")}
        assert (made[0].alive, made[0].active) == (True, True)

    def test_without_a_worker_have_none(self) -> None:
        made = sent(raw(pools=(RawPool(url="ocean.xyz", user="acme"), RawPool(url="ocean.xyz")))).pools
        assert made is not None
        assert [(bool(pool.account), pool.worker) for pool in made] == [(True, None), (False, None)]

    def test_that_are_unknown_are_missing_and_that_are_none_are_an_empty_list(self) -> None:
        assert sent(raw(pools=None)).pools is None
        assert sent(raw(pools=())).pools == ()

    def test_are_compared_with_those_that_the_operator_expects(self) -> None:
        pools = PublicPools(expected=["acme@pool.acme-mining.example"])
        assert sent(raw(), pools).pool_expected is True
        assert sent(raw(pools=(RawPool(url="ocean.xyz", user="thief.x"),)), pools).pool_expected is False
        assert sent(raw()).pool_expected is None
