"""P04: nobody under 14 registers; who is under 18 needs a guardian; an account of a child goes by one staff action."""

from __future__ import annotations

from datetime import timedelta

from tests.backend.readings import batch, reading
from tests.promises.service import PASSWORD, Service, years_ago

OF_THE_SERVICE = {"audit_log", "audit_digests", "listening", "tries"}
"""What happened, when and by what kind of visitor, and how often somebody tried, by a keyed hash; nobody's name."""


def rows(here: Service) -> dict[str, int]:
    """How much is in each table that is about people."""
    names = [name for (name,) in here.query("SELECT name FROM sqlite_master WHERE type = 'table'")]
    names = [name for name in names if name not in OF_THE_SERVICE]
    return {name: here.query(f'SELECT count(*) FROM "{name}"')[0][0] for name in names}


async def test_nobody_under_14_registers_and_nothing_of_them_is_kept(here: Service) -> None:
    before = rows(here)
    form = here.application(
        "a@farm.example", birth_date=years_ago(here.now, 14, days=1), guardian_email="g@home.example"
    )
    answer = await here.post("/v1/register", form)
    assert (answer.status, "under 14" in answer.json["detail"]) == (403, True)
    assert rows(here) == before


async def test_who_turns_14_today_registers_with_a_guardian_only(here: Service) -> None:
    form = here.application("a@farm.example", birth_date=years_ago(here.now, 14))
    assert (await here.post("/v1/register", form)).status == 422
    own = await here.post("/v1/register", form | {"guardian_email": "A@farm.example"})
    assert own.status == 422
    begun = await here.post("/v1/register", form | {"guardian_email": "g@home.example"})
    assert begun.json["waiting_for"] == ["email", "phone", "guardian"]


async def test_under_18_the_account_is_active_when_the_guardian_agreed_and_not_before(here: Service) -> None:
    form = here.application(
        "a@farm.example", birth_date=years_ago(here.now, 18, days=1), guardian_email="g@home.example"
    )
    secret = (await here.post("/v1/register", form)).json["registration"]
    mailed = await here.token_by_mail(form["email"], "email")
    await here.post("/v1/register/email", {"registration": secret, "token": mailed})
    texted = {"registration": secret, "token": await here.code_by_text(form["phone"])}
    waits = await here.post("/v1/register/phone", texted)
    assert waits.json == {"active": False, "waiting_for": ["guardian"]}
    login = {"email": form["email"], "password": PASSWORD}
    assert (await here.post("/v1/login", login)).status == 401
    agreed = await here.post("/v1/guardian", {"token": await here.token_by_mail("g@home.example", "guardian")})
    assert agreed.status == 204
    assert (await here.post("/v1/login", login)).status == 201


async def test_of_a_birth_date_only_the_group_is_kept(here: Service) -> None:
    await here.register("adult@farm.example", birth_date="1987-06-15")
    form = here.application("young@farm.example", birth_date=years_ago(here.now, 16), guardian_email="g@home.example")
    await here.post("/v1/register", form)
    dump = here.dump()
    assert {group for (group,) in here.query("SELECT age_group FROM members")} == {"14_or_over", "under_18"}
    assert "1987" not in dump
    assert form["birth_date"] not in dump


async def test_one_staff_action_erases_the_account_of_a_child(here: Service) -> None:
    child, other = await here.register("child@farm.example"), await here.register("other@farm.example")
    site = (await here.post("/v1/sites", {"name": "North"}, child.token)).json["site"]
    code = (await here.post("/v1/sites/code", {"site": site}, child.token)).json["code"]
    agent = (await here.post("/v1/enroll", {"code": code, "agent": "1.0", "contract": 1})).json["token"]
    sent = batch([reading(time=here.now - timedelta(minutes=1))], site=site, sent_at=here.now)
    assert (await here.ask("POST", "/v1/batches", agent, json=sent.model_dump(mode="json"))).status == 200
    folder = here.settings.data_dir / "accounts"
    assert list(folder.glob(f"**/*{child.account}*"))
    support, admin = await here.employ("s@service.example", "support"), await here.employ("x@service.example", "admin")
    order = {"account": child.account}
    assert (await here.post("/v1/staff/erase-child", order, support.token)).status == 403
    assert (await here.post("/v1/staff/erase-child", order, admin.token)).status == 204
    assert (await here.get("/v1/me", child.token)).status == 401
    assert (await here.get("/v1/me", other.token)).status == 200
    # The audit log and the receipt remember that there was an account, under an id that is nobody's name.
    remembering = ('INSERT INTO "audit_log"', 'INSERT INTO "erasure_receipts"')
    left = [line for line in here.dump().splitlines() if not line.startswith(remembering)]
    assert str(child.account) not in "\n".join(left)
    assert (await here.ask("POST", "/v1/batches", agent, json=sent.model_dump(mode="json"))).status == 401
    assert not list(folder.glob(f"**/*{child.account}*"))
