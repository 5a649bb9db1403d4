"""A world a test: backend and account are up, farm and agent are the test's to start."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.world.world import World, world


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path, interval_s=2, rules=RULES) as made:
        yield made


RULES = """
[rules.machine_offline]
for_s = 4
clear_for_s = 2
[rules.machine_not_hashing]
for_s = 4
clear_for_s = 2
[rules.chip_hot]
for_s = 4
critical_for_s = 4
clear_for_s = 2
[rules.fan_stopped]
for_s = 4
clear_for_s = 2
[notify]
group_wait_s = 1
update_s = 2
"""
