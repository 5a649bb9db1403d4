"""The main job, end to end: a machine breaks, the night shift is told by mail and text, and nobody's name leaves."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.e2e.waiting import until
from tests.loopback import take
from tests.world.program import call
from tests.world.world import World

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

SCRIPT = """
fault = [
    { fault = "zero_hashrate", machines = "1" },
    { fault = "fan_stopped", machines = "2" },
    { fault = "overheating", machines = "3" },
    { fault = "unreachable", machines = "4" },
]
"""
RULES_BROKEN = {"machine_not_hashing", "fan_stopped", "chip_hot", "machine_offline"}


async def test_a_broken_machine_is_warned_about_mailed_and_texted_and_no_name_leaves(here: World) -> None:
    addresses = take(16)  # of fewer, four that break are a third: then the site itself is degraded
    await here.start_farm("--mix", "whatsminer:10,avalon:6", "--base", addresses[0])
    await here.enrol()
    await here.start_agent()

    async def hashing() -> int:
        return sum(machine["state"] == "hashing" for machine in (await here.get("/v1/machines"))["machines"])

    await until(hashing, lambda count: count == len(addresses))
    here.suffer(SCRIPT)

    async def warnings() -> list[dict[str, Any]]:
        listed: list[dict[str, Any]] = (await here.get("/v1/warnings", state="all"))["warnings"]
        return listed

    await until(warnings, lambda found: {one["rule"] for one in found} >= RULES_BROKEN, deadline_s=60)
    here.suffer()
    over = await until(warnings, lambda found: all(one.get("resolved_at") for one in found), deadline_s=60)

    async def told() -> tuple[str, str]:
        mails = "\n".join(f"{mail['subject']}\n{mail.get_body(('plain',)).get_content()}" for mail in here.mail.mails)  # type: ignore[union-attr]
        return mails, "\n".join(here.sms.texts)

    mails, texts = await until(told, lambda words: words[0].count("Resolved - ") >= 1 and "Resolved " in words[1])
    for warning in over:
        assert warning["machine"] in mails
        if warning["severity"] == "critical":
            assert warning["rule"].replace("_", " ") in texts.lower()  # a text names machines while they fit
    assert "North hall" in mails

    # Only the site itself can say who is who.
    pseudonym = over[0]["machine"]
    revealed = await call("agent", "reveal", pseudonym, "--config", str(here.agent_config))
    assert any(machine["address"] in revealed for machine in here.machines)

    status = json.loads(await call("agent", "status", "--json", "--config", str(here.agent_config)))
    assert status["machines"]["known"] == 16

    await here.stop()
    assert here.identifiers
    assert here.leaks() == []
