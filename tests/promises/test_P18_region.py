"""P18: readings of single machines do not leave for a backend in another region without recorded consent."""

from __future__ import annotations

from datetime import timedelta

from agent.aggregate import totals
from agent.wire import FEWEST
from backend.store.embedded import EmbeddedStore
from tests.backend.readings import batch, reading
from tests.promises.deployed import Customer, Service

MINUTE = timedelta(minutes=1)


async def sent(service: Service, customer: Customer) -> tuple[int, str]:
    """Status and kind of the answer to a batch with a reading."""
    now = service.now()
    answer = await service.send(batch([reading(1, now)], site=customer.site, sent_at=now), customer.agent)
    return answer.status, answer.json.get("type", "")


async def test_without_consent_another_regions_agent_is_told_to_send_totals_only(service: Service) -> None:
    abroad = await service.customer("South Mining", region="us")
    at_home = await service.customer("North Mining")
    assert (await sent(service, at_home))[0] == 200
    assert await sent(service, abroad) == (403, "urn:itsminer:problem:aggregates-only")
    assert (await service.seen("/v1/machines", abroad.read))["machines"] == []
    await service.done("/v1/consents", abroad.session, purpose="cross_border", answer="given")
    assert (await sent(service, abroad))[0] == 200
    await service.done("/v1/consents", abroad.session, purpose="cross_border", answer="withdrawn")
    assert (await sent(service, abroad))[0] == 403


async def test_totals_of_the_site_arrive_without_consent_and_no_machine_is_stored_anywhere(service: Service) -> None:
    abroad = await service.customer("South Mining", region="us")
    now = service.now().replace(microsecond=0)
    machines = [
        reading(number, now, make="MicroBT", model="M50S++", hashrate_ths=100.0 + number, power_w=3_000.0)
        for number in range(FEWEST + 2)
    ]
    told = batch(site=abroad.site, sent_at=now, aggregates=tuple(totals(now, machines)))
    answer = await service.send(told, abroad.agent)
    assert (answer.status, answer.json["aggregates"]) == (200, 2)
    assert (await service.send(told, abroad.agent)).json["stored"] is False
    [site, group] = (await service.seen("/v1/totals", abroad.read, to=(now + MINUTE).isoformat()))["totals"]
    assert (site["total"]["machines"], group["total"]["model"]) == (7, "M50S++")
    asked = {"metric": "hashrate_ths", "from": now.isoformat(), "to": (now + MINUTE).isoformat(), "step": "1m"}
    [sum_] = (await service.seen("/v1/series", abroad.read, across="sum", **asked))["series"]
    assert sum_["points"][0][1] == 721.0
    assert (await service.seen("/v1/series", abroad.read, **asked))["series"] == []
    assert (await service.seen("/v1/machines", abroad.read))["machines"] == []
    await service.stop()
    store = EmbeddedStore(service.folder / "data" / "accounts", clock=service.now)
    with store.file(abroad.account) as file, file.reading() as cursor:
        tables = {name for (name,) in cursor.execute("SHOW TABLES").fetchall()}
        rows = {name: cursor.execute(f"SELECT * FROM {name}").fetchall() for name in tables}
    await store.close()
    assert {name for name, found in rows.items() if found} == {"told", "batches"}
    assert "mnr-" not in str(rows)
    assert "mnr-" not in str(service.database) + (service.folder / "data" / "registry.db").read_bytes().decode(
        "latin-1"
    )


async def test_only_an_owner_consents_for_the_account(service: Service) -> None:
    abroad = await service.customer("South Mining", region="us")
    _, viewer = await service.member(abroad, "viewer@south.example")
    await service.done("/v1/consents", viewer, purpose="cross_border", answer="given")
    assert (await sent(service, abroad))[0] == 403
