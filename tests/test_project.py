"""What the project says of itself is true: layout, lock file, generated docs, help."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def tracked() -> list[Path]:
    """The files that git knows; skips outside a checkout."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [Path(line) for line in listed.stdout.splitlines()]


def test_the_top_level_folders_are_the_agreed_ones() -> None:
    folders = {path.parts[0] for path in tracked() if len(path.parts) > 1 and not path.parts[0].startswith(".")}
    assert folders == {"agent", "backend", "dashboards", "deploy", "docs", "tests"}


def test_the_lock_file_has_versions_and_hashes_and_no_host() -> None:
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    assert [line for line in lines if "://" in line or line.startswith("-")] == []
    pins = [line for line in lines if line and not line.startswith((" ", "#"))]
    assert len(pins) > 50
    for line in pins:
        assert re.match(r"[a-z0-9._-]+(\[[a-z,]+\])?==\S+ (; .* )?\\$", line), line
    assert sum("--hash=sha256:" in line for line in lines) >= len(pins)


def test_the_files_that_the_security_page_rests_on_are_there() -> None:
    named = set(re.findall(r"`((?:tests|backend|agent|deploy)/[\w./]+)`", (ROOT / "SECURITY.md").read_text()))
    assert len(named) > 40
    assert {name for name in named if not (ROOT / name).exists()} == set()


def test_the_generated_docs_are_what_the_code_says() -> None:
    checked = subprocess.run([sys.executable, "docs/generate.py", "--check"], cwd=ROOT, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr


def test_make_help_lists_every_target_that_people_call() -> None:
    told = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert {line.split()[0] for line in told.splitlines()} >= {"demo", "test", "check", "bench", "docs", "setup"}


def test_a_benchmark_that_is_not_there_is_refused_with_the_names_of_those_that_are() -> None:
    asked = subprocess.run([sys.executable, "-m", "tests.bench", "nonsense"], cwd=ROOT, capture_output=True, text=True)
    assert asked.returncode == 2
    assert "poll" in asked.stderr


def test_no_file_names_a_path_of_a_developers_machine_or_a_package_registry() -> None:
    told = re.compile(r"/(home|Users)/[a-z]+/|/work/|pypi\.org|pythonhosted|registry\.npmjs")
    found = []
    for path in tracked():
        if path.suffix in {".png", ".lock"} or path == Path("tests/test_project.py"):
            continue
        text = (ROOT / path).read_text(errors="replace")
        found += [f"{path}: {match[0]}" for match in told.finditer(text)]
    assert found == []
