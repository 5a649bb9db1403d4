"""Which machines of a site its account declared: by their pseudonyms, or so many of a model.

Of a model, those that were seen first are the declared ones, and those that are still there go before those that are
gone: a machine that was exchanged makes room for the new one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from backend.warnings.known import DAY_S, Known

_MEANINGLESS: Final = str.maketrans("", "", " -_.()")


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """So many machines of one model at one site."""

    brand: str
    model: str
    quantity: int
    machines: frozenset[str] = frozenset()  # pseudonyms of some of them

    def is_of(self, make: str | None, model: str | None) -> bool:
        """Whether a machine of this make and model is one of these, in whatever spelling."""
        if model is None:
            return False
        ours = {_plain(self.model), _plain(self.brand + self.model)}
        return bool(ours & {_plain(model), _plain((make or "") + model)})


def assigned(declarations: Sequence[Declaration], known: Mapping[str, Known], now: float) -> dict[str, bool | None]:
    """Machine → whether it is declared; None where the site declares nothing, or the machine does not say what it is
    while there is a place that it may have. `now`: seconds since 1970."""
    if not declarations:
        return dict.fromkeys(known)
    places = placed(declarations, known, now)
    has_room = undiscovered(declarations, places) > 0
    return {
        machine: True if place is not None else None if has_room and known[machine].model is None else False
        for machine, place in places.items()
    }


def placed(declarations: Sequence[Declaration], known: Mapping[str, Known], now: float) -> dict[str, int | None]:
    """Machine → which of the declarations it is of; None: of none."""
    by_name = {machine: place for place, each in enumerate(declarations) for machine in each.machines}
    left = [each.quantity - len(each.machines) for each in declarations]
    result: dict[str, int | None] = {}
    for machine in _in_order(known, now):
        if machine in by_name:
            result[machine] = by_name[machine]
            continue
        make, model = known[machine].make, known[machine].model
        free = (place for place, each in enumerate(declarations) if left[place] > 0 and each.is_of(make, model))
        result[machine] = next(free, None)
        if (place := result[machine]) is not None:
            left[place] -= 1
    return result


def undiscovered(declarations: Sequence[Declaration], places: Mapping[str, int | None]) -> int:
    """How many machines are declared of which nothing ever came."""
    return sum(each.quantity for each in declarations) - sum(place is not None for place in places.values())


def _in_order(known: Mapping[str, Known], now: float) -> Iterable[str]:
    return sorted(known, key=lambda machine: (known[machine].seen_at <= now - DAY_S, known[machine].first_at, machine))


def _plain(name: str) -> str:
    return name.casefold().translate(_MEANINGLESS)
