"""Run the promises' tests and print the table; the last line is JSON: `{"kept": n, "total": 43}`."""

from __future__ import annotations

import contextlib
import io
import json
import re
import sys
import tomllib
from collections import defaultdict
from pathlib import Path

import pytest

_HERE = Path(__file__).parent
_ID = re.compile(r"test_(P\d\d)_")  # of the module, or of the test where one module holds several


class Outcomes:
    """What became of each promise's tests: a pytest plug-in."""

    def __init__(self) -> None:
        self.of: defaultdict[str, list[str]] = defaultdict(list)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Remember the outcome of a test, or of a set-up that stopped it."""
        found = _ID.findall(report.nodeid)
        if not found or not (report.when == "call" or report.outcome != "passed"):
            return
        waits = getattr(report, "wasxfail", "")
        reason = waits or (report.longrepr[2] if isinstance(report.longrepr, tuple) else "")
        self.of[found[-1]].append("kept" if report.outcome == "passed" else f"{report.outcome} {reason}".strip())

    def verdict(self, promise: str) -> str:
        """`kept`, or why not: a promise is kept when it has tests and all of them pass."""
        outcomes = self.of[promise]
        if not outcomes:
            return "not kept: no test"
        troubles = [outcome for outcome in outcomes if outcome != "kept"]
        if not troubles:
            return "kept"
        return f"not kept: {troubles[0].replace('skipped', 'waits:', 1) if 'skipped' in troubles[0] else troubles[0]}"


def main() -> int:
    """Exit code 1 when a promise that does not wait is broken."""
    promises: dict[str, str] = tomllib.loads((_HERE / "promises.toml").read_text(encoding="utf-8"))
    outcomes = Outcomes()
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        code = pytest.main([str(_HERE), "-q", "-p", "no:cacheprovider", *sys.argv[1:]], plugins=[outcomes])
    if code not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        print(said.getvalue())
        return int(code)
    if code == pytest.ExitCode.TESTS_FAILED:
        print(said.getvalue(), file=sys.stderr)
    verdicts = {promise: outcomes.verdict(promise) for promise in promises}
    width = max(map(len, promises.values()))
    for promise, line in promises.items():
        print(f"{promise}  {line:<{width}}  {verdicts[promise]}")
    print(json.dumps({"kept": sum(verdict == "kept" for verdict in verdicts.values()), "total": len(promises)}))
    return int(code)


if __name__ == "__main__":
    sys.exit(main())
