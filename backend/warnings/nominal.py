"""What models are made for, and how bad a vendor's fault codes are: `nominal.toml`, read once."""

from __future__ import annotations

import tomllib
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

from backend.warnings.severity import Severity

_KINDS: Final = 10_000
"""Models and codes that are remembered: there are hundreds, and what an agent makes up does not fill the memory."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Model(_Strict):
    match: str
    j_per_th: Annotated[float, Field(gt=0)]


class _Fault(_Strict):
    match: tuple[str, ...]
    severity: Severity


class _Data(_Strict):
    model: tuple[_Model, ...]
    fault: tuple[_Fault, ...]


_DATA: Final = _Data.model_validate(tomllib.loads(Path(__file__).with_name("nominal.toml").read_text(encoding="utf-8")))


@lru_cache(_KINDS)
def efficiency_of(make: str | None, model: str | None) -> float | None:
    """J/TH by the data sheet; None for a model that is not in the list."""
    name = f"{make or ''} {model or ''}".strip().lower()
    return next((each.j_per_th for each in _DATA.model if fnmatchcase(name, each.match)), None)


@lru_cache(_KINDS)
def fault_severity(code: str) -> int:
    """1 info, 2 warning, 3 critical; 0 for a code that is not in the list: nobody knows what it means."""
    found = (each.severity for each in _DATA.fault if any(fnmatchcase(code, pattern) for pattern in each.match))
    return next((severity.rank + 1 for severity in found), 0)
