"""The catalogue of numbers holds what the wire lets through: all of it, in its range."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from pydantic import BaseModel

from agent.wire import Board, Reading
from backend.store.metrics import BOARD_METRICS, METRICS, Quantity


def numbers(model: type[BaseModel]) -> dict[str, tuple[float, float]]:
    """Fields that are one number, and from where to where the wire lets them be."""
    found = {}
    for name, field in model.model_json_schema()["properties"].items():
        [rules] = [one for one in field.get("anyOf", [field]) if one.get("type") != "null"]
        if rules.get("type") in ("number", "integer"):
            found[name] = (rules["minimum"], rules["maximum"])
    return found


@pytest.mark.parametrize(("model", "catalogue"), [(Reading, METRICS), (Board, BOARD_METRICS)])
def test_every_number_of_the_wire_is_in_the_catalogue_with_its_range(
    model: type[BaseModel], catalogue: Mapping[str, Quantity]
) -> None:
    on_the_wire = {name: ends for name, ends in numbers(model).items() if name != "index"}  # a board's place
    assert len(on_the_wire) >= 8
    assert {name: (catalogue[name].low, catalogue[name].high) for name in on_the_wire} == on_the_wire
