"""P02: what names the operator is replaced at the site by pseudonyms, under a key that never leaves it."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from agent.keyring import Keyring, Kind
from agent.simulator.families.kinds import family_machine
from agent.simulator.faults import Fault
from tests import loopback
from tests.promises.deployed import running, until
from tests.promises.onsite import site
from tests.world.leaks import leaks

RULES = """
[rules.chip_hot]
for_s = 1
critical_for_s = 1
[notify]
group_wait_s = 1
"""


async def test_no_identifier_and_no_key_is_on_the_wire_on_a_disk_or_in_logs_and_mails(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    families = ("whatsminer", "avalon", "antminer")
    machines = [
        family_machine(family, address, seed)
        for seed, (family, address) in enumerate(zip(families, loopback.take(3), strict=True), start=1)
    ]
    async with running(tmp_path, extra=RULES) as service:
        async with site(tmp_path, service, await service.customer(), machines) as here:
            machines[0].faults.begin(Fault.OVERHEATING)
            async with here.running():

                async def told() -> bool:
                    return bool(service.mail.raw and service.sms.raw) and len(await here.stored()) == 3

                await until(told)
            listed = {machine["machine"] for machine in await here.stored()}
            wire = bytes(here.wire.seen)
        await service.stop()  # its time series can be opened now
        printed = "".join(capfd.readouterr()).encode()
        key = Keyring.load(here.state.key)
        secret = bytes.fromhex(key.archived())
        sent = {"wire": wire, "logs": printed}
        sent |= {f"mail {n}": mail for n, mail in enumerate(service.mail.raw)}
        sent |= {f"mail {n} read": str(mail).encode() for n, mail in enumerate(service.mail.mails)}
        sent |= {f"text {n}": text.encode() for n, text in enumerate(service.sms.texts)}
        assert list((service.folder / "data").rglob("hot.duckdb"))
        places = [service.folder / "data", *(one for one in here.state.folder.iterdir() if one != here.state.key)]
        names = {name for machine in machines for name in machine.identifiers if len(name) > 5}
        assert leaks({*names, secret.hex(), base64.b64encode(secret).decode()}, places, sent) == []
        assert not [name for name, data in sent.items() if secret in data]
    # Who has the key can tell the machine by its name; with any other key it is another machine.
    macs = {name for machine in machines for name in machine.identifiers if name.count(":") == 5}
    assert listed <= {key.pseudonym(Kind.MACHINE, mac) for mac in macs}
    assert listed.isdisjoint(Keyring.throwaway().pseudonym(Kind.MACHINE, mac) for mac in macs)
