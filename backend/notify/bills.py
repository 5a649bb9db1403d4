"""What a digest says of money: energy and cost of the sites that have a tariff, over the digest's days."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from backend import costs
from backend.costs import Cost
from backend.ids import AccountId
from backend.notify.claim import Claim
from backend.notify.digests import PERIODS
from backend.notify.tongue import Tongue
from backend.store.protocol import Store


class Bills:
    """Reads from the store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def of(self, claim: Claim) -> Claim:
        """The claim, its digest with the days that are over at each site: yesterday, or a week's."""
        digest = claim.digest
        if digest is None or not digest.billed:
            return claim
        account = AccountId(claim.member.account_id)
        days = PERIODS[digest.every].days
        found = await costs.costs(self._store, account, digest.billed, days=days, now=digest.until)
        return replace(claim, digest=replace(digest, costs=found))


def lines(found: Sequence[Cost], tongue: Tongue) -> list[str]:
    """A line a site, and one for each currency that several sites share."""
    said = []
    for one in found:
        days = str(one.last) if one.first == one.last else f"{one.first} – {one.last}"
        energy = tongue.say("energy unknown") if one.energy_kwh is None else f"{one.energy_kwh:,.1f} kWh"
        cost = f", {one.cost:,.2f} {one.currency}" if one.cost is not None else ""
        said.append(tongue.say("{site}, {days}: {energy}", site=one.name, days=days, energy=energy + cost))
    if len(said) > 1:
        said += [
            tongue.say("Together: {energy}", energy=f"{total.energy_kwh:,.1f} kWh, {total.cost:,.2f} {total.currency}")
            for total in costs.sums(found)
            if total.cost is not None
        ]
    return said
