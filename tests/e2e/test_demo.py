"""`make demo` does what it promises, and says so in its last line."""

from __future__ import annotations

import asyncio
import json
import sys

import pytest


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_the_demo_warns_mails_texts_resolves_and_leaks_nothing() -> None:
    demo = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.demo", "--once", "--seconds", "120", "--machines", "20", "--interval", "1.5",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await demo.communicate()
    assert demo.returncode == 0, err.decode()
    summary = json.loads(out.decode().splitlines()[-1])
    assert summary["machines"] == 20
    assert summary["readings"] >= 20 * 6
    assert summary["warnings_fired"] >= 4
    assert summary["warnings_resolved"] >= 4
    assert summary["emails"] >= 2
    assert summary["sms"] >= 2
    assert summary["identifiers_leaked"] == 0
