"""Settings that change at run time, and those that wait."""

from __future__ import annotations

from agent.config import AgentSettings
from agent.reload import reloaded


def test_what_may_change_is_taken_and_what_may_not_is_named() -> None:
    now = AgentSettings()
    wanted = AgentSettings.model_validate(
        {
            "network": {"ranges": ["10.0.0.1"], "rescan_s": 60},
            "poll": {"interval_s": 30, "engine": "pyasic"},
            "log": {"level": "debug"},
            "state_dir": "/elsewhere",
        }
    )
    after = reloaded(now, wanted)
    assert after.changed == ["network.ranges", "network.rescan_s", "log.level"]
    assert after.waiting == ["state_dir", "poll.interval_s", "poll.engine"]
    assert (after.settings.network, after.settings.log) == (wanted.network, wanted.log)
    assert (after.settings.poll, after.settings.state_dir) == (now.poll, now.state_dir)
    assert "poll.interval_s" in after.words


def test_settings_that_are_the_same_change_nothing() -> None:
    after = reloaded(AgentSettings(), AgentSettings())
    assert (after.changed, after.waiting, after.words) == ([], [], "")
