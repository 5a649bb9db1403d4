"""A site's key and the pseudonyms made with it: stable, per key, per kind; the key is for its owner alone."""

from __future__ import annotations

import re
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import Misconfigured
from agent.keyring import Keyring, Kind
from agent.wire import decode, encode
from tests.agent.raw import batch
from tests.soak.pseudonyms import collisions

KEY = Keyring(bytes(range(32)))
KINDS = st.sampled_from(list(Kind))
PATTERN = re.compile(r"(mnr|wrk|act|pol)-[0-9a-hjkmnp-tv-z]{16}")

any_text = st.text(max_size=80) | st.text(st.characters(codec=None), max_size=20)


class TestPseudonym:
    @given(KINDS, any_text)
    def test_is_stable_and_fits_the_contract(self, kind: Kind, value: str) -> None:
        made = Keyring(bytes(range(32))).pseudonym(kind, value)
        assert PATTERN.fullmatch(made)
        assert made.startswith(kind)
        assert made == KEY.pseudonym(kind, value)

    @given(any_text)
    def test_differs_by_key_and_by_kind(self, value: str) -> None:
        other = Keyring(bytes(32))
        made = {key.pseudonym(kind, value)[4:] for key in (KEY, other) for kind in Kind}
        assert len(made) == 2 * len(Kind)

    @given(st.sets(st.binary(min_size=6, max_size=6), min_size=2, max_size=200), st.binary(min_size=32, max_size=32))
    def test_differs_by_machine_under_every_key(self, macs: set[bytes], key: bytes) -> None:
        keyring = Keyring(key)
        names = {mac.hex() for mac in macs} - {"0" * 12, "f" * 12}
        assert len({keyring.pseudonym(Kind.MACHINE, name) for name in names}) == len(names)

    def test_of_fifty_thousand_machines_no_two_share_one(self) -> None:
        """Ten million: `make bench BENCH=pseudonyms`."""
        assert collisions(50_000) == 0

    @given(st.binary(min_size=6, max_size=6), st.binary(min_size=32, max_size=32))
    def test_outlives_a_restart_and_shows_nothing_of_the_machine(self, mac: bytes, key: bytes) -> None:
        made = Keyring(key).pseudonym(Kind.MACHINE, mac.hex())
        assert made == Keyring(bytes.fromhex(key.hex())).pseudonym(Kind.MACHINE, mac.hex())
        assert mac.hex() not in made

    def test_is_a_known_function_of_key_kind_and_value(self) -> None:
        """Computed apart from our code (HMAC by openssl, base32 by hand): a change would rename every machine."""
        assert KEY.pseudonym(Kind.MACHINE, "02:00:5e:1c:a7:3f") == "mnr-hcxq689ra65zc7z3"

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
