"""What a machine is known by: its MAC, else its serial, else its address."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.identity import canonical_mac, canonical_serial, identity
from agent.keyring import Keyring, Kind
from agent.reading import Facts
from tests.agent.raw import FACTS, raw

KEY = Keyring(bytes(range(32)))


class TestIdentity:
    def test_is_the_mac_else_the_serial_else_the_address(self) -> None:
        facts = Facts(address="10.0.0.1", driver="d", mac="02-00-5E-1C-A7-3F", serial="sn 17")
        assert identity(facts) == "02005e1ca73f"
        assert identity(Facts(address="10.0.0.1", driver="d", mac="00:00:00:00:00:00", serial="sn 17")) == "SN17"
        assert identity(Facts(address="10.0.0.1", driver="d", serial="N/A")) == "10.0.0.1"

    def test_survives_a_new_address_and_new_firmware(self) -> None:
        moved = raw(address="192.168.17.99", firmware="20991231", hostname=None)
        assert identity(moved.facts) == identity(raw().facts)

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
