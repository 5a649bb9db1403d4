"""P04: nobody under 14 registers; who is under 18 needs a guardian; an account of a child goes by one staff action."""

from __future__ import annotations

import sqlite3

from tests.promises.service import PASSWORD, Service, years_ago


def rows(here: Service) -> dict[str, int]:
    """How much is in each table."""
    with sqlite3.connect(here.registry) as registry:
        names = [name for (name,) in registry.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {name: registry.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0] for name in names}


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
    with sqlite3.connect(here.registry) as registry:
        groups = {group for (group,) in registry.execute("SELECT age_group FROM members")}
        dump = "\n".join(registry.iterdump())
    assert groups == {"14_or_over", "under_18"}
    assert "1987" not in dump
    assert form["birth_date"] not in dump


async def test_one_staff_action_erases_the_account_of_a_child(here: Service) -> None:
    child, other = await here.register("child@farm.example"), await here.register("other@farm.example")
    await here.post("/v1/sites", {"name": "North"}, child.token)
    support, admin = await here.employ("s@service.example", "support"), await here.employ("x@service.example", "admin")
    order = {"account": child.account}
    assert (await here.post("/v1/staff/erase-child", order, support.token)).status == 403
    assert (await here.post("/v1/staff/erase-child", order, admin.token)).status == 204
    assert (await here.get("/v1/me", child.token)).status == 401
    assert (await here.get("/v1/me", other.token)).status == 200
    with sqlite3.connect(here.registry) as registry:
        assert child.account not in "\n".join(registry.iterdump())
    assert not list((here.settings.data_dir / "accounts").glob(f"**/*{child.account}*"))
