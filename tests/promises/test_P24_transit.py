"""P24: TLS only; the agent refuses plain HTTP except to loopback, verifies certificates, and can pin an authority."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.agent.backend import Backend, serving
from tests.agent.certificates import self_signed
from tests.promises.deployed import Service
from tests.world.program import DidNotStart, call


async def test_the_agent_refuses_plain_http_to_anywhere_but_this_machine(service: Service, tmp_path: Path) -> None:
    code = "0000-0000-0000"
    state = ("--state", str(tmp_path / "agent"))
    with pytest.raises(DidNotStart, match="https"):
        await call("agent", "enroll", "--backend", "http://backend.example.com", code, *state)
    with pytest.raises(DidNotStart) as refused:  # loopback is let through, as far as the code, which is wrong
        await call("agent", "enroll", "--backend", service.url, code, *state)
    assert "https" not in str(refused.value)


async def test_the_agent_enrols_over_tls_only_where_it_knows_the_authority(tmp_path: Path) -> None:
    authority, context = self_signed(tmp_path)
    async with serving(Backend(), context) as backend:
        for name, ca_file in (("unknown", ""), ("pinned", f'ca_file = "{authority}"')):
            config = tmp_path / f"{name}.toml"
            config.write_text(f'state_dir = "{tmp_path / name}"\n[backend]\n{ca_file}\n')
            enrolling = call("agent", "enroll", "--backend", backend.url, "4F7K-2M9Q-XD3H", "--config", str(config))
            if ca_file:
                await enrolling
            else:
                with pytest.raises(DidNotStart, match=r"(?i)certificate"):
                    await enrolling
