"""Reading an archive that anybody may have made: sizes, names and counts are bounded before anything is used."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Self
from zipfile import BadZipFile, ZipFile, ZipInfo

import pyarrow as pa
import pyarrow.parquet as parquet
from pydantic import AwareDatetime, BaseModel, Field, ValidationError

from backend.privacy.archive import FORMAT, VERSION
from backend.store.protocol import DataClass

_MOST_FILES: Final = 20_000  # a reading file a day: fifty years
_MOST_BYTES: Final = 500_000_000_000
_MOST_A_FILE: Final = 20_000_000_000
_MOST_RATIO: Final = 200  # JSON of our own shrinks to a tenth; a bomb to a thousandth
_SMALL: Final = 1_000_000  # below this the ratio does not matter
_LONGEST_LINE: Final = 8_000_000  # a support bundle has a million characters
_MOST_IN_GROUP: Final = 4_000_000_000
_NAME: Final = re.compile(
    r"manifest\.json|description\.json|registry/[a-z_]{1,40}\.jsonl|readings/(readings|totals)-\d{4}-\d\d-\d\d\.parquet"
    r"|hourly/hourly-\d{4}-\d\d-\d\d\.csv"
)
_ROWS_AT_ONCE: Final = 1_000


class BadArchive(Exception):
    """It is no archive of ours, or not one to be trusted; the message says why."""


class Manifest(BaseModel):
    """What an archive says of itself."""

    format: str
    version: int
    export: str = Field(pattern=r"^exp_[0-9a-z]{16}$")
    account: str = Field(pattern=r"^acc_[0-9a-z]{16}$")
    made_at: AwareDatetime
    windows_days: Mapping[DataClass, float]


class Archive:
    """An archive that was looked through; a context manager. Raises `BadArchive`."""

    def __init__(self, file: Path) -> None:
        try:
            self._zip = ZipFile(file)
        except (BadZipFile, OSError, NotImplementedError) as error:
            raise BadArchive(f"no ZIP that can be read ({type(error).__name__})") from error
        try:
            self._entries = _checked(self._zip.infolist())
            self.manifest = self._manifest()
        except BaseException:
            self._zip.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._zip.close()

    def rows(self, table: str) -> Iterator[dict[str, Any]]:
        """The rows of a table of the registry, one at a time; none when there is no such file."""
        name = f"registry/{table}.jsonl"
        if name not in self._entries:
            return
        try:
            with self._zip.open(self._entries[name]) as lines:
                while line := lines.readline(_LONGEST_LINE):
                    row = json.loads(line)
                    if not isinstance(row, dict):
                        raise BadArchive(f"{name}: a line is no object")
                    yield row
        except (BadZipFile, ValueError, RecursionError, OSError) as error:
            raise BadArchive(f"{name} cannot be read ({type(error).__name__})") from error

    def readings(self, sites: Mapping[str, str]) -> Iterator[tuple[str, bytes]]:
        """Parts of the readings' files as a store imports them, with the sites' ids replaced. A thousand rows a part,
        always the same ones, so that to import them twice is to import them once."""
        for name in sorted(self._entries):
            if name.startswith("readings/"):
                yield from self._parts(name, sites)

    def _parts(self, name: str, sites: Mapping[str, str]) -> Iterator[tuple[str, bytes]]:
        try:
            with self._zip.open(self._entries[name]) as packed, parquet.ParquetFile(packed) as file:
                for group in range(file.metadata.num_row_groups):
                    if file.metadata.row_group(group).total_byte_size > _MOST_IN_GROUP:
                        raise BadArchive(f"{name}: a part of it is too large")
                for number, batch in enumerate(file.iter_batches(batch_size=_ROWS_AT_ONCE)):
                    yield f"{name}#{number}", _with_sites(batch, sites)
        except (pa.ArrowException, BadZipFile, KeyError, OSError, ValueError) as error:
            raise BadArchive(f"{name} is no file of an export ({type(error).__name__})") from error

    def _manifest(self) -> Manifest:
        try:
            entry = self._entries["manifest.json"]
            if entry.file_size > _LONGEST_LINE:
                raise BadArchive("manifest.json is too large")
            found = Manifest.model_validate_json(self._zip.read(entry))
        except (KeyError, BadZipFile, ValidationError) as error:
            raise BadArchive(f"this is no export: manifest.json is not one ({type(error).__name__})") from error
        if (found.format, found.version) != (FORMAT, VERSION):
            raise BadArchive(f"this is {found.format} {found.version}; this program reads {FORMAT} {VERSION}")
        return found


def _checked(entries: list[ZipInfo]) -> dict[str, ZipInfo]:
    if len(entries) > _MOST_FILES:
        raise BadArchive(f"more than {_MOST_FILES} files")
    if sum(entry.file_size for entry in entries) > _MOST_BYTES:
        raise BadArchive(f"more than {_MOST_BYTES // 10**9} GB unpacked")
    found: dict[str, ZipInfo] = {}
    for entry in entries:
        if not _NAME.fullmatch(entry.filename):
            raise BadArchive("there are files in it that no export has")
        if entry.filename in found:
            raise BadArchive(f"{entry.filename} is in it twice")
        if entry.flag_bits & 0x1:
            raise BadArchive(f"{entry.filename} is encrypted")
        is_bomb = entry.file_size > _SMALL and entry.file_size > _MOST_RATIO * max(entry.compress_size, 1)
        if entry.file_size > _MOST_A_FILE or is_bomb:
            raise BadArchive(f"{entry.filename} is too large when unpacked")
        found[entry.filename] = entry
    return found


def _with_sites(batch: pa.RecordBatch, sites: Mapping[str, str]) -> bytes:
    """A small Parquet file. Raises `KeyError` for a site that is not the account's."""
    table = pa.Table.from_batches([batch])
    column = pa.array([sites[str(site)] for site in table.column("site").to_pylist()], pa.string())
    content = pa.BufferOutputStream()
    parquet.write_table(table.set_column(table.column_names.index("site"), "site", column), content, compression="zstd")
    made: bytes = content.getvalue().to_pybytes()
    return made
