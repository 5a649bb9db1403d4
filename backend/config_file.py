"""The settings' file: TOML in which a typo stops the start, and is named with its line.

Secrets are never in it: each comes from a file that only the service can read (`…_file`) or from the environment.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from backend.config import BackendSettings, Misconfigured, reason

_REASONS: Final = {
    "extra_forbidden": "there is no such setting",
    "model_type": "this is a table: write its name in [brackets], and its settings below",
}
"""Where pydantic's words would not help: error type → what to say."""

_SECRETS: Final = {
    ("registry", "url"): "ITSMINER_REGISTRY_URL",
    ("smtp", "password"): "ITSMINER_SMTP_PASSWORD",
    ("sms", "token"): "ITSMINER_SMS_TOKEN",
    ("sms", "signature_secret"): "ITSMINER_SMS_SIGNATURE_SECRET",
    ("seal", "keys"): "ITSMINER_SEAL_KEYS",
    ("store", "master_key"): "ITSMINER_MASTER_KEY",
    ("store", "token"): "ITSMINER_INFLUX_TOKEN",
}
"""Setting → environment variable; the file that may hold it instead is the setting's name + `_file`."""


_MADE_PATHS: Final = {
    "seal": ("keys_file", "accounts_dir"),
    "privacy": ("anchor_file", "erased_file", "exports_dir"),
}
"""Section → paths of what is read or made when it is needed."""


def load(path: Path, environ: Mapping[str, str] = os.environ) -> BackendSettings:
    """Read the settings and the secrets that they name. Relative paths are relative to the file.

    Raises `Misconfigured`, naming file, line and setting; never a value that could be a secret.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured(f"{path}: cannot be read ({reason(error)})") from error
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise Misconfigured(f"{path}: {error}") from error
    for section, names in _MADE_PATHS.items():
        for name in names:
            if isinstance(table := data.get(section), dict) and isinstance(table.get(name), str):
                table[name] = path.parent / Path(table[name]).expanduser()
    for (section, name), variable in _SECRETS.items():
        _fill(data, section, name, environ.get(variable), path)
    data_dir = data.get("data_dir")
    if isinstance(data_dir, str):
        data["data_dir"] = path.parent / Path(data_dir).expanduser()
    try:
        return BackendSettings.model_validate(data)
    except ValidationError as error:
        raise Misconfigured("\n".join(_complaints(error, path, text))) from error


def _fill(data: dict[str, Any], section: str, name: str, from_environment: str | None, path: Path) -> None:
    """Put a secret in its place, from the environment or from the file that the settings name."""
    table = data.setdefault(section, {})
    if not isinstance(table, dict):
        return  # the model says what is wrong with it
    if name in table and name != "url":
        raise Misconfigured(
            f"{path}: {section}.{name} is a secret and does not belong here: put it into a file and name that in "
            f"{section}.{name}_file, or into the environment as {_SECRETS[section, name]}"
        )
    file = table.get(f"{name}_file")
    if from_environment is not None:
        table[name] = from_environment
    elif isinstance(file, str):
        try:
            table[name] = (path.parent / Path(file).expanduser()).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise Misconfigured(f"{path}: {section}.{name}_file cannot be read ({reason(error)})") from error


def _complaints(error: ValidationError, path: Path, text: str) -> list[str]:
    """One line a fault: where, which setting, what is wrong with it."""
    lines = []
    for fault in error.errors(include_url=False, include_input=False):
        names = [str(part) for part in fault["loc"]]
        why = _REASONS.get(fault["type"], fault["msg"])
        line = _line_of(text, names)
        lines.append(f"{path}{f':{line}' if line else ''}: {'.'.join(names)}: {why.removeprefix('Value error, ')}")
    return lines


def _line_of(text: str, names: list[str]) -> int | None:
    """The line where a setting (or at least its table) stands; None when it does not stand there."""
    table: list[str] = []
    found = None
    for number, line in enumerate(text.splitlines(), start=1):
        if header := re.match(r"\s*\[+\s*([^\]]+?)\s*\]", line):
            table = [part.strip().strip("\"'") for part in header[1].split(".")]
            if names[: len(table)] == table:
                found = number
        elif (key := re.match(r"\s*[\"']?([\w-]+)[\"']?\s*=", line)) and names[: len(table) + 1] == [*table, key[1]]:
            return number
    return found
