"""The password of the on-site page: a salted scrypt hash in a file that only the agent reads."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from pathlib import Path
from typing import Final

from agent import durable
from agent.errors import Misconfigured

FEWEST_LETTERS: Final = 10
_N, _R, _P = 2**14, 8, 5  # 16 MB, a tenth of a second on a server: what OWASP asks of scrypt where memory is dear
_FORM: Final = re.compile(r"scrypt:(\d{1,8}):(\d{1,2}):(\d{1,2}):([0-9a-f]{32}):([0-9a-f]{64})")
_MOST_MEMORY: Final = 2**26


class Password:
    """The one password, as its file says now: a new one counts from the next request on."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def is_set(self) -> bool:
        """Whether there is one at all."""
        return self._path.exists()

    def stored(self) -> str:
        """The file's line, which changes with the password; empty when there is none. Raises `Misconfigured`."""
        try:
            return self._path.read_text("ascii").strip()
        except FileNotFoundError:
            return ""
        except (OSError, UnicodeDecodeError) as error:
            raise Misconfigured(f"cannot read {self._path}") from error

    def fits(self, guess: str) -> bool:
        """Whether this is the password; takes a while, on purpose. Raises `Misconfigured` when the file is no good."""
        line = self.stored()
        if not line:
            return False
        match = _FORM.fullmatch(line)
        if match is None:
            raise Misconfigured(f"{self._path} is damaged; run: itsminer-agent lan-password")
        n, r, p = (int(number) for number in match.groups()[:3])
        try:
            made = _hash(guess, bytes.fromhex(match[4]), n, r, p)
        except ValueError as error:
            raise Misconfigured(f"{self._path} is damaged; run: itsminer-agent lan-password") from error
        return hmac.compare_digest(made, bytes.fromhex(match[5]))

    def set(self, password: str) -> None:
        """Make it this one. Raises `Misconfigured` when it is too short to hold, `DiskTrouble`."""
        if len(password) < FEWEST_LETTERS:
            raise Misconfigured(f"the password is too short; {FEWEST_LETTERS} characters are the fewest")
        salt = secrets.token_bytes(16)
        line = f"scrypt:{_N}:{_R}:{_P}:{salt.hex()}:{_hash(password, salt, _N, _R, _P).hex()}\n"
        durable.write(self._path, line.encode())


def _hash(password: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, n=n, r=r, p=p, maxmem=_MOST_MEMORY, dklen=32)
