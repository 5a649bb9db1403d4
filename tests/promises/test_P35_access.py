"""P35: a member gets a copy of everything held about them and their account, in open formats, each field described."""

from __future__ import annotations

import io
import json
import zipfile
from datetime import timedelta
from typing import Any

import pyarrow.parquet as parquet

from backend.privacy import archive
from backend.privacy.described import COLUMNS, LEFT_OUT, TABLES
from backend.privacy.exports import KEPT
from backend.registry import tokens
from backend.registry.base import Base
from tests.backend.readings import batch, full_reading, machine, reading
from tests.promises.deployed import Customer, Service, until


async def exported(service: Service, customer: Customer) -> tuple[str, zipfile.ZipFile]:
    """Ask for a copy, wait, fetch it: its id and the archive."""
    asked = await service.done("/v1/export", customer.session)
    assert (await service.post("/v1/export", customer.session)).status == 409  # one at a time

    async def ready() -> bool:
        found = (await service.seen("/v1/export", customer.session))["exports"]
        return bool(next(one for one in found if one["export"] == asked["export"]).get("ready_at"))

    await until(ready)
    fetched = await service.get("/v1/export/archive", customer.session, export=asked["export"])
    assert fetched.status == 200
    assert fetched.headers["Content-Type"] == "application/zip"
    return asked["export"], zipfile.ZipFile(io.BytesIO(fetched.body))


def rows(found: zipfile.ZipFile, table: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in found.read(f"registry/{table}.jsonl").splitlines()]


async def test_the_copy_holds_everything_of_the_account_nothing_of_others_and_no_secret(service: Service) -> None:
    customer, other = await service.customer("North"), await service.customer("South")
    now = service.now().replace(microsecond=0)
    for each, number in ((customer, 1), (other, 2)):
        sent = batch([full_reading(number, now)], site=each.site, sent_at=now)
        assert (await service.send(sent, each.agent)).status == 200
    await service.done("/v1/consents", customer.session, purpose="marketing", answer="given")
    await service.done("/v1/requests", customer.session, kind="access", details="how long do you keep it?")
    await service.done("/v1/feedback", customer.session, text="Well done.")

    export, found = await exported(service, customer)
    assert found.testzip() is None
    [member] = rows(found, "members")
    assert (member["email"], member["phone"]) == (customer.email, "+14155550123")
    assert [one["purpose"] for one in rows(found, "consents")] == ["marketing"]
    assert [one["text"] for one in rows(found, "feedback")] == ["Well done."]
    assert [one["details"] for one in rows(found, "requests")] == ["how long do you keep it?"]
    assert (customer.owner, "POST /v1/consents") in {(one["actor"], one["action"]) for one in rows(found, "audit_log")}
    [day] = [name for name in found.namelist() if name.startswith("readings/")]
    table = parquet.read_table(io.BytesIO(found.read(day))).to_pylist()
    assert [(row["machine"], row["hashrate_ths"]) for row in table] == [(machine(1), 98.4)]

    manifest, described = json.loads(found.read("manifest.json")), json.loads(found.read("description.json"))
    assert (manifest["account"], manifest["export"]) == (customer.account, export)
    assert manifest["files"]["registry/members.jsonl"] == 1
    assert described["registry"]["members"]["fields"].keys() >= member.keys()
    assert described["readings"]["fields"].keys() >= table[0].keys() - {"has_boards"}

    whole = b"".join(found.read(name) for name in found.namelist())
    for secret in (other.account, other.email, str(machine(2)), customer.session, customer.read, customer.agent):
        assert secret.encode() not in whole, secret
    async with service.database.read() as session:
        kept = await tokens.listed(session, customer.account)
    assert not [one for one in kept if one.token_hash.encode() in whole]


async def test_only_the_owner_gets_it_and_its_file_is_sealed_and_goes_after_three_days(service: Service) -> None:
    customer, other = await service.customer("North"), await service.customer("South")
    export, _ = await exported(service, customer)
    _, viewer = await service.member(customer, "viewer@north.example")
    for session, status in ((viewer, 403), (other.session, 404), (customer.read, 403)):
        assert (await service.get("/v1/export/archive", session, export=export)).status == status
    folder = service.folder / "data" / "exports"
    [file] = folder.iterdir()
    assert file.stat().st_mode & 0o077 == 0
    content = file.read_bytes()
    assert b"PK" not in content[:2]
    assert b"registry/members.jsonl" not in content  # a ZIP names its files in clear
    service.ahead += KEPT
    session = await service.log_in_again(customer)
    assert (await service.get("/v1/export/archive", session, export=export)).status == 404

    async def gone() -> bool:
        return not list(folder.iterdir())

    await until(gone)


async def test_any_member_gets_a_copy_of_what_is_held_about_them_and_nothing_of_others(service: Service) -> None:
    customer = await service.customer()
    member, session = await service.member(customer, "viewer@north.example")
    await service.done("/v1/consents", session, purpose="marketing", answer="given")
    await service.done("/v1/consents", customer.session, purpose="marketing", answer="given")
    first, *lines = [json.loads(line) for line in (await service.get("/v1/me/copy", session)).body.splitlines()]
    held = {line["table"] for line in lines}
    assert {"members", "consents", "logins", "sessions", "audit_log", "contacts"} <= held
    assert held <= first["description"].keys()
    [own] = [line["row"] for line in lines if line["table"] == "members"]
    assert (own["id"], own["email"]) == (member, "viewer@north.example")
    for secret in (customer.owner, customer.email, session, "password_hash"):
        assert secret not in json.dumps(lines), secret


async def test_the_hours_of_which_no_readings_are_left_are_in_it_as_hourly_means(service: Service) -> None:
    customer = await service.customer()
    now = service.now().replace(minute=0, second=0, microsecond=0) - timedelta(days=3)
    found = [reading(1, now + timedelta(minutes=m), hashrate_ths=100.0) for m in range(60)]
    assert (await service.send(batch(found, site=customer.site, sent_at=now), customer.agent)).status == 200

    await service.stop()
    service.ahead += timedelta(hours=1)
    await service.start()  # which rolls up what is over
    await service.done("/v1/retention", customer.session, data_class="telemetry_raw", days=1)

    async def rolled() -> bool:
        kept = {one["data_class"]: one for one in (await service.seen("/v1/retention", customer.session))["classes"]}
        return kept["telemetry_rollup"].get("oldest") is not None

    await until(rolled)
    _, archived = await exported(service, customer)
    [name] = [name for name in archived.namelist() if name.startswith("hourly/")]
    assert f"{machine(1)},hashrate_ths,100.0" in archived.read(name).decode()
    assert not [name for name in archived.namelist() if name.startswith("readings/")]


def test_every_field_of_every_table_of_an_account_is_described_or_left_out_for_a_reason() -> None:
    missing = [
        f"{table.name}.{column.name}: describe it in backend.privacy.described"
        for table in archive.tables()
        for column in table.columns
        if column.name not in COLUMNS and column.name not in LEFT_OUT
    ]
    assert missing == []
    assert TABLES.keys() == {table.name for table in archive.tables()}
    about_members = {
        table.name for table in Base.metadata.sorted_tables if {"member_id", "account_id"} & {*table.c.keys()}
    }
    assert about_members <= TABLES.keys()
