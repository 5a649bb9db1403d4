"""Members and their contacts."""

from __future__ import annotations

from typing import Any

import pytest

from backend.ids import AccountId
from backend.registry import accounts, members
from backend.registry.account_tables import Member
from backend.registry.database import Database
from backend.registry.errors import Invalid, Taken
from backend.registry.members import email_address, phone_number
from tests.backend.readings import NOW


@pytest.fixture
async def account(database: Database) -> AccountId:
    async with database.begin() as session:
        return AccountId((await accounts.add(session, "Demo", region="eu", now=NOW)).id)


async def add(database: Database, account: AccountId, **fields: Any) -> Member:
    async with database.begin() as session:
        return await members.add(session, account, now=NOW, **({"email": "a@farm.example"} | fields))


async def test_contacts_are_kept_in_one_form(database: Database, account: AccountId) -> None:
    await add(database, account, email=" Night.Shift@FARM.example ", phone="+1 (415) 555-0123")
    async with database.read() as session:
        [member] = await members.listed(session, account)
    assert (member.email, member.phone) == ("night.shift@farm.example", "+14155550123")


async def test_nobody_is_verified_unless_somebody_vouches(database: Database, account: AccountId) -> None:
    told = await add(database, account, phone="+14155550123")
    vouched = await add(database, account, email="b@farm.example", phone="+14155550123", verified=True)
    no_phone = await add(database, account, email="c@farm.example", verified=True)
    assert (told.email_verified_at, told.phone_verified_at) == (None, None)
    assert (vouched.email_verified_at, vouched.phone_verified_at) == (NOW, NOW)
    assert (no_phone.email_verified_at, no_phone.phone_verified_at) == (NOW, None)


async def test_an_address_is_in_an_account_once_whatever_its_case(database: Database, account: AccountId) -> None:
    await add(database, account)
    with pytest.raises(Taken):
        await add(database, account, email="A@farm.example")


@pytest.mark.parametrize("fields", [{"role": "admin"}, {"language": "english"}, {"language": ""}])
async def test_an_unknown_role_or_language_is_refused(
    database: Database, account: AccountId, fields: dict[str, str]
) -> None:
    with pytest.raises(Invalid):
        await add(database, account, **fields)


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("a@b.example", "a@b.example"),
        ("first.last+tag@sub.farm.example", "first.last+tag@sub.farm.example"),
        ("o'neil@farm.example.", "o'neil@farm.example"),
        ("info@bücher.example", "info@xn--bcher-kva.example"),
    ],
)
def test_an_address_that_mail_can_go_to_is_kept(written: str, kept: str) -> None:
    assert email_address(written) == kept


@pytest.mark.parametrize(
    "written",
    [
        "", "@", "a@", "@farm.example", "a", "a@localhost", "a b@farm.example", "a@farm..example", "a@-farm.example",
        ".a@farm.example", "a..b@farm.example", "a@farm.example\nBcc: b@farm.example", "a@[127.0.0.1]",
        '"quoted"@farm.example', "a@b@farm.example", "x" * 65 + "@farm.example", "a@" + "x" * 64 + ".example",
        "a@" + "x." * 100 + "example", "ä@farm.example", "a@farm_.example",
    ],
)  # fmt: skip
def test_what_is_no_address_is_refused_and_not_repeated(written: str) -> None:
    with pytest.raises(Invalid) as refused:
        email_address(written)
    assert len(written) < 3 or written not in str(refused.value)


@pytest.mark.parametrize(
    ("written", "kept"), [("+49 170 1234567", "+491701234567"), ("+1-415-555-0123", "+14155550123")]
)
def test_a_number_is_kept_as_e164(written: str, kept: str) -> None:
    assert phone_number(written) == kept


@pytest.mark.parametrize(
    "written", ["", "0170 1234567", "+", "+1", "+1 415", "+999123456789", "phone", "+1" + "5" * 20]
)
def test_what_is_no_number_is_refused(written: str) -> None:
    with pytest.raises(Invalid):
        phone_number(written)
