"""P15: policy versions are kept with their dates, the current one is public, members see what changed."""

from __future__ import annotations

from email.message import EmailMessage

from tests.promises.deployed import Service, until


async def test_each_version_is_kept_the_newest_is_public_and_members_are_told_what_changed(service: Service) -> None:
    customer = await service.customer()
    for number in (1, 2):
        policy = service.folder / "policy.txt"
        policy.write_text(f"Policy number {number}.\n")
        await service.command("policy", "publish", str(policy), "--changes", f"Change number {number}.")
    found = await service.seen("/v1/policy")
    assert found["text"] == "Policy number 2.\n"
    assert [(v["version"], v["changes"]) for v in found["versions"]] == [
        (2, "Change number 2."),
        (1, "Change number 1."),
    ]
    assert found["versions"][0]["published_at"] >= found["versions"][1]["published_at"]

    async def told() -> list[EmailMessage]:
        return [mail for mail in service.mail.mails if "Change number 2." in mail.get_content()]

    [mail] = await until(told)
    assert mail["To"] == customer.email
