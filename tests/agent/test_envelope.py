"""A batch stamped anew without being parsed is the batch that parsing would make."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.envelope import Envelope
from agent.wire import ContractError, decode, encode
from tests.agent.raw import NOON, batch, reading, total

GOLDENS = Path(__file__).parents[1] / "wire" / "v1"
MOMENTS = st.integers(0, 4_000_000_000_000).map(lambda ms: datetime.fromtimestamp(ms / 1_000, UTC))


EPOCHS = st.sampled_from([None, "epo-0123456789abcdef"])


@given(st.lists(MOMENTS, max_size=5), MOMENTS, st.none() | MOMENTS, EPOCHS)
def test_it_is_stamped_as_if_it_had_been_parsed(
    times: list[datetime], now: datetime, unsent_since: datetime | None, epoch: str | None
) -> None:
    readings = tuple(reading(number, time=time) for number, time in enumerate(times))
    plain = batch().model_copy(update={"readings": readings, "epoch": epoch, "agent": "0.1.0 (x("})
    envelope = Envelope.made_of(plain)
    sent = decode(envelope.stamped(now, unsent_since))
    backlog_s = max(0.0, (now - (unsent_since or now)).total_seconds())
    assert (envelope.id, envelope.readings) == (plain.id, len(times))
    assert sent == plain.model_copy(update={"sent_at": now, "backlog_s": round(backlog_s, 3)})
    assert encode(sent).count(b"sent_at") == 1


@given(st.lists(st.integers(1, 4), min_size=2, max_size=5), EPOCHS)
def test_joined_batches_are_one_batch_with_all_their_readings(sizes: list[int], epoch: str | None) -> None:
    plain = [batch(number, readings=size).model_copy(update={"epoch": epoch}) for number, size in enumerate(sizes)]
    parts = [Envelope.made_of(one) for one in plain]
    whole = parts[0].joined_with(parts[1:])
    assert whole.opened() == plain[0].model_copy(
        update={"id": whole.id, "readings": tuple(reading for one in plain for reading in one.readings)}
    )
    assert whole.id not in {one.id for one in plain}
    assert whole == parts[0].joined_with(parts[1:])


def test_a_batch_with_totals_is_not_joined() -> None:
    assert Envelope.made_of(batch(1, readings=1)).can_be_joined
    assert not Envelope.made_of(batch(1, readings=0)).can_be_joined
    both = batch(1, readings=1).model_copy(update={"aggregates": (total(),)})
    assert not Envelope.made_of(both).can_be_joined


def test_a_moment_of_another_zone_is_sent_in_utc() -> None:
    now = NOON.astimezone(timezone(timedelta(hours=5, minutes=30)))
    assert b'"sent_at":"2026-01-01T12:00:00Z"' in Envelope.made_of(batch(1, readings=1)).stamped(now, None)


def test_totals_are_no_readings() -> None:
    plain = batch(1, readings=0).model_copy(update={"aggregates": (total(),)})
    envelope = Envelope.made_of(plain)
    assert (envelope.readings, envelope.oldest_at) == (0, NOON)
    assert envelope.opened() == plain


@pytest.mark.parametrize("name", ["empty.json", "full.json", "states.json", "aggregates.json"])
def test_the_published_batches_are_understood(name: str) -> None:
    data = (GOLDENS / name).read_bytes()
    envelope = Envelope.of(data)
    assert (envelope.id, envelope.readings) == (decode(data).id, len(decode(data).readings))


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", encode(batch(1))[:-1], encode(reading())])
def test_what_is_no_batch_is_refused(data: bytes) -> None:
    with pytest.raises(ContractError):
        Envelope.of(data)


@given(st.binary(max_size=300))
def test_any_bytes_are_a_batch_or_refused(data: bytes) -> None:
    whole = encode(batch(1, readings=1))
    for candidate in (data, whole[:150] + data + whole[150:], whole + data, data + b"]}"):
        with contextlib.suppress(ContractError):
            Envelope.of(candidate).stamped(NOON, NOON)
