"""P18: a backend of another region asks for totals, and the agent obeys before it sends another reading."""

from __future__ import annotations

from pathlib import Path

from agent import status
from agent.simulator.families.kinds import family_machine
from tests import loopback
from tests.promises.deployed import Service, until
from tests.promises.onsite import site


async def test_without_consent_no_machine_of_an_account_abroad_is_told_of(tmp_path: Path, service: Service) -> None:
    machines = [family_machine("avalon", address, seed) for seed, address in enumerate(loopback.take(5), start=1)]
    abroad = await service.customer("South Mining", region="us")
    async with site(tmp_path, service, abroad, machines) as here:

        async def totals_left() -> bool:
            return any(batch.get("aggregates") for batch in here.sent)

        async with here.running():
            await until(totals_left)
            said = status.read(here.state.status)
        before = len(here.sent)
        async with here.running():  # a restart has not forgotten it

            async def more_left() -> bool:
                return any(batch.get("aggregates") for batch in here.sent[before:])

            await until(more_left)
        assert "as the backend demands" in said.privacy
        assert [batch["id"] for batch in here.sent[1:] if batch["readings"]] == []
        assert [total["machines"] for batch in here.sent for total in batch.get("aggregates", ())].count(5) >= 2
        assert await here.stored() == []
        kept = (await service.seen("/v1/totals", abroad.read))["totals"]
        assert len(kept) >= 2
        assert {one["total"]["machines"] for one in kept} == {5}
        page = await service.get("/console/farm", abroad.read)
        assert "of 5 machines" in page.body.decode()
        assert "mnr-" not in page.body.decode().partition("reveal")[0]
