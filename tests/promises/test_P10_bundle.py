"""P10: error details leave the site only when the operator sends them, and as they were shown."""

from __future__ import annotations

import json
from pathlib import Path

from sqlalchemy import select

from agent import durable
from agent.enrolment import State
from agent.keyring import Keyring
from backend.registry.privacy_tables import SupportBundle
from tests.conftest import Simulated
from tests.promises.deployed import Service
from tests.world.leaks import Searcher
from tests.world.program import call


async def test_a_support_bundle_is_shown_without_names_and_sent_only_on_the_operators_word(
    tmp_path: Path, service: Service, simulated: Simulated
) -> None:
    miner = (await simulated("whatsminer")).machines[0]
    customer = await service.customer()
    state = State(durable.private_folder(tmp_path / "agent"))
    Keyring.create(state.key)
    enrolled = {"url": service.url, "account": customer.account, "site": customer.site, "token": customer.agent}
    durable.write(state.enrolment, json.dumps(enrolled).encode())
    bundle = ("support-bundle", miner.address, "--no-ssh", "--state", str(state.folder))

    async def stored() -> list[str]:
        async with service.database.read() as session:
            return list(await session.scalars(select(SupportBundle.text)))

    shown = await call("agent", *bundle)
    assert shown.startswith("ItsMiner support bundle")
    assert await stored() == []
    sent = await call("agent", *bundle, "--yes")
    assert await stored() == [sent]
    names = [name for name in miner.identifiers if len(name) > 5]
    assert [found for text in (shown, sent) for found in Searcher(names).search(text.encode())] == []
    assert "support-bundle sent" in state.disclosures.read_text()
