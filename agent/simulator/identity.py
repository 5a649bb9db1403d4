"""The names that a simulated machine carries: made up, unique, the same for the same seed.

All of them are identifiers of an operator that does not exist. None may leave the site, so whoever
searches for leaks gets every one of them (`Machine.identifiers`).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


def tag(seed: int, kind: str, length: int) -> str:
    """`length` lower-case letters and digits (at most 25) that depend on the seed and on what they name."""
    digest = hashlib.blake2b(f"{seed}/{kind}".encode(), digest_size=16).digest()
    number = int.from_bytes(digest)
    return "".join(_ALPHABET[number >> 5 * place & 31] for place in range(length))


def mac(seed: int) -> str:
    """A locally administered MAC address, upper-case with colons: no maker owns it."""
    digest = hashlib.blake2b(f"{seed}/mac".encode(), digest_size=5).digest()
    return ":".join(f"{octet:02X}" for octet in b"\x02" + digest)


@dataclass(frozen=True, slots=True)
class Identity:
    """What names one machine on its site."""

    seed: int
    address: str
    mac: str  # upper-case, colons
    serial: str
    host: str
    worker: str

    @classmethod
    def of(cls, seed: int, address: str) -> Identity:
        """The identity that this seed gives; only the address is the caller's."""
        return cls(
            seed=seed,
            address=address,
            mac=mac(seed),
            serial=f"SN{tag(seed, 'serial', 15).upper()}",
            host=f"rig-{tag(seed, 'host', 10)}",
            worker=f"w{tag(seed, 'worker', 10)}",
        )

    @property
    def mac_bare(self) -> str:
        """The MAC address without separators, lower-case."""
        return self.mac.replace(":", "").lower()

    @property
    def device_id(self) -> str:
        """What a control board calls itself (Avalon's DNA, Antminer's miner_id): 16 hexadecimal digits."""
        return hashlib.blake2b(f"{self.seed}/device".encode(), digest_size=8).hexdigest()

    @property
    def ssid(self) -> str:
        """The wireless network that it is in, where it is in one."""
        return f"net-{tag(self.seed, 'ssid', 10)}"

    @property
    def psu_serial(self) -> str:
        return f"PS{tag(self.seed, 'psu', 14).upper()}"

    def board_serial(self, index: int) -> str:
        """The serial number on one hash board."""
        return f"HB{tag(self.seed, f'board {index}', 16).upper()}"

    def chip_data(self, index: int = 0) -> str:
        """What the chips of one board say of their lot."""
        return f"CD{tag(self.seed, f'lot {index}', 6).upper()}-{tag(self.seed, f'die {index}', 8).upper()}"
