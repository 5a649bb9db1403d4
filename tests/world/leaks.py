"""Searches bytes for the identifiers of an operator, in the disguises in which they might hide.

Each identifier is looked for raw, lower-case, as hex, as base64 (at all three alignments) and without its
separators; in the bytes as they are, and inside zstd and gzip streams found in them. Time series are
encrypted and compressed in columns, so they are searched as the text of their rows as well.
"""

from __future__ import annotations

import base64
import io
import re
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import zstandard

from tests.world.stored import rows_as_text

_WINDOW = 6
_ZSTD = b"\x28\xb5\x2f\xfd"
_GZIP = b"\x1f\x8b\x08"


def disguises(identifier: str) -> dict[bytes, str]:
    """Needle → which disguise it is. All lower-case but base64, whose case carries meaning."""
    raw = identifier.encode()
    bare = re.sub(r"[^0-9A-Za-z]", "", identifier).lower()
    found = {identifier.lower().encode(): "raw", raw.hex().encode(): "hex", raw.lower().hex().encode(): "hex"}
    if len(bare) >= _WINDOW:
        found.setdefault(bare.encode(), "without separators")
    for pad in range(3):
        coded = base64.b64encode(b"\0" * pad + raw)
        # Characters that depend on the neighbours are cut off.
        inner = coded[(pad * 8 + 5) // 6 :].rstrip(b"=")[: (len(raw) * 8) // 6 - 1]
        if len(inner) >= 2 * _WINDOW:
            found[inner] = "base64"
    return found


class Searcher:
    """All needles at once: windows of six bytes are looked up in a sorted table, hits are confirmed."""

    def __init__(self, identifiers: Iterable[str]) -> None:
        self._of: dict[bytes, list[tuple[bytes, str, str]]] = {}
        for identifier in set(identifiers):
            if len(identifier) < _WINDOW:
                raise ValueError(f"an identifier of {len(identifier)} characters is too short to search for")
            for needle, disguise in disguises(identifier).items():
                self._of.setdefault(needle[:_WINDOW], []).append((needle, identifier, disguise))
        keys = np.frombuffer(b"".join(key.ljust(8, b"\0") for key in self._of), dtype="<u8")
        self._keys = np.sort(keys)

    def search(self, data: bytes) -> Iterator[tuple[str, str]]:
        """(identifier, disguise) of each that occurs in the bytes, each pair once."""
        seen: set[tuple[str, str]] = set()
        for version in {data, data.lower()}:
            for start in self._candidates(version):
                for needle, identifier, disguise in self._of[version[start : start + _WINDOW]]:
                    if (
                        version.startswith(needle, start)
                        and not _inside_a_number(version, start, needle)
                        and (identifier, disguise) not in seen
                    ):
                        seen.add((identifier, disguise))
                        yield identifier, disguise

    def _candidates(self, data: bytes) -> Iterator[int]:
        for base in range(0, len(data), 1 << 20):
            chunk = np.frombuffer(data[base : base + (1 << 20) + _WINDOW - 1], dtype=np.uint8).astype(np.uint64)
            if len(chunk) < _WINDOW:
                return
            count = len(chunk) - _WINDOW + 1
            windows = np.zeros(count, dtype=np.uint64)
            for place in range(_WINDOW):
                windows |= chunk[place : place + count] << np.uint64(8 * place)
            where = np.searchsorted(self._keys, windows)
            where[where == len(self._keys)] = 0
            yield from (base + int(i) for i in np.flatnonzero(self._keys[where] == windows))


def _inside_a_number(data: bytes, start: int, needle: bytes) -> bool:
    """An address without its dots is digits: a longer number that holds them is no leak."""
    if not needle.isdigit():
        return False
    return data[max(start - 1, 0) : start].isdigit() or data[start + len(needle) :][:1].isdigit()


def unpacked(data: bytes) -> Iterator[bytes]:
    """The bytes, and what is inside each zstd and gzip stream found in them."""
    yield data
    for match in re.finditer(re.escape(_ZSTD), data):
        try:
            stream = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(data[match.start() :]))
            yield stream.read(1 << 26)
        except zstandard.ZstdError:
            continue
    for match in re.finditer(re.escape(_GZIP), data):
        try:
            yield zlib.decompressobj(31).decompress(data[match.start() :], 1 << 26)
        except zlib.error:
            continue


def contents(path: Path) -> Iterator[bytes]:
    """A file's bytes; of an account's time series also the rows as text."""
    yield path.read_bytes()
    if path.name == "hot.duckdb":
        yield from rows_as_text(path)


def leaks(identifiers: Iterable[str], places: Iterable[Path], sent: dict[str, bytes]) -> list[str]:
    """One line for each identifier found: in files below `places` and in bytes that were `sent`."""
    searcher = Searcher(identifiers)
    found: list[str] = []

    def look(name: str, data: bytes) -> None:
        for version in unpacked(data):
            found.extend(f"{name}: {identifier!r} ({how})" for identifier, how in searcher.search(version))

    for place in places:
        for path in sorted(p for p in (place.rglob("*") if place.is_dir() else [place]) if p.is_file()):
            for data in contents(path):
                look(path.name, data)
    for name, data in sent.items():
        look(name, data)
    return sorted(set(found))
