"""The durable queue: order, cap, damage, restarts, disks that are full."""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path
from uuid import UUID

import pytest
import zstandard

from agent import durable
from agent.envelope import Envelope
from agent.errors import DiskTrouble, Misconfigured
from agent.packing import pack
from agent.spool import Spool
from agent.tally import Counts
from agent.wire import Batch, encode
from tests.agent.raw import batch, total

MB = 2**20


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*.batch"))


def drained(spool: Spool) -> list[Batch]:
    """All batches, taken out in order."""
    found = []
    while (spooled := spool.next_up()) is not None:
        found.append(spooled.batch)
        spool.acknowledge(spooled.sequence)
    return found


def test_batches_come_out_in_the_order_in_which_they_went_in(tmp_path: Path) -> None:
    with Spool(tmp_path / "spool", MB) as spool:
        for number in range(20):
            spool.append(batch(number, readings=2))
        assert drained(spool) == [batch(number, readings=2) for number in range(20)]
        assert spool.next_up() is None


def test_a_batch_stays_until_it_is_acknowledged(tmp_path: Path) -> None:
    with Spool(tmp_path, MB) as spool:
        spool.append(batch(7))
        first, again = spool.next_up(), spool.next_up()
        assert first == again
        assert first is not None
        spool.acknowledge(first.sequence)
        spool.acknowledge(first.sequence)
        assert spool.next_up() is None


def test_a_file_is_one_batch_compressed_and_named_by_its_sequence(tmp_path: Path) -> None:
    with Spool(tmp_path / "spool", MB) as spool:
        sequence = spool.append(batch(7, readings=3))
    path = tmp_path / "spool" / f"{sequence:020}.batch"
    assert zstandard.ZstdDecompressor().decompress(path.read_bytes()) == encode(batch(7, readings=3))
    assert stat.S_IMODE((tmp_path / "spool").stat().st_mode) == 0o700
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_restart_finds_what_was_spooled_and_goes_on_counting(tmp_path: Path) -> None:
    with Spool(tmp_path, MB) as spool:
        sequences = [spool.append(batch(number)) for number in range(3)]
    with Spool(tmp_path, MB) as spool:
        later = spool.append(batch(3))
        assert later > max(sequences)
        assert [one.id.int for one in drained(spool)] == [3, 0, 1, 2]  # the new one is news


class ClockS:
    """Seconds that only the test moves."""

    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_news_goes_before_the_backlog_and_the_backlog_in_its_order(tmp_path: Path) -> None:
    clock_s = ClockS()
    with Spool(tmp_path, MB, clock_s) as spool:
        for number in range(3):
            spool.append(batch(number))
        clock_s.now_s = 1_000
        for number in (3, 4):
            spool.append(batch(number))
        assert [one.id.int for one in drained(spool)] == [3, 4, 0, 1, 2]


def test_small_batches_that_wait_are_joined_and_no_reading_is_lost(tmp_path: Path) -> None:
    clock_s = ClockS()
    with Spool(tmp_path, MB, clock_s) as spool:
        for number in range(30):
            spool.append(batch(number, readings=50))
        clock_s.now_s = 1_000
        spool.append(batch(30, readings=1))
        assert len(names(tmp_path)) == 12  # twenty of them in one, ten that are too few, and the news
    with Spool(tmp_path, MB, clock_s) as spool:
        found = drained(spool)
    assert sum(len(one.readings) for one in found) == 1_501
    assert len({one.id for one in found}) == 12
    assert len(found[0].readings) == 1_000


def test_a_batch_that_was_handed_out_is_never_joined(tmp_path: Path) -> None:
    clock_s = ClockS()
    with Spool(tmp_path, MB, clock_s) as spool:
        for number in range(30):
            spool.append(batch(number, readings=50))
        tried = spool.next_up()
        assert tried is not None
        clock_s.now_s = 1_000
        spool.append(batch(30, readings=1))
        again = next(one for one in drained(spool) if one.id == tried.batch.id)
        assert again == tried.batch


@pytest.mark.parametrize("dies_at", ["before the whole", "after the whole"])
def test_a_join_that_a_kill_broke_off_loses_and_doubles_nothing(tmp_path: Path, dies_at: str) -> None:
    with Spool(tmp_path, MB) as spool:
        sequences = [spool.append(batch(number, readings=2)) for number in range(3)]
    parts = [Envelope.made_of(batch(number, readings=2)) for number in range(3)]
    whole = parts[0].joined_with(parts[1:])
    (tmp_path / "counts.json").write_text(
        Counts(reserved=1_000, joining=tuple(sequences), joined_id=whole.id).model_dump_json()
    )
    if dies_at == "after the whole":
        (tmp_path / f"{sequences[0]:020}.batch").write_bytes(pack(whole))
    with Spool(tmp_path, MB) as spool:
        assert [reading for one in drained(spool) for reading in one.readings] == [*whole.opened().readings]


def test_with_totals_only_readings_stay_where_they_are(tmp_path: Path) -> None:
    totals = batch(7, readings=0).model_copy(update={"aggregates": (total(),)})
    with Spool(tmp_path, MB) as spool:
        spool.append(batch(1, readings=2))
        spool.append(totals)
        found = spool.next_up(totals_only=True)
        assert found is not None
        assert found.batch == totals
        spool.acknowledge(found.sequence)
        assert spool.next_up(totals_only=True) is None
        assert spool.withheld_batches == 1
        assert [one.id.int for one in drained(spool)] == [1]


def test_a_sequence_is_never_used_again_though_the_spool_was_empty(tmp_path: Path) -> None:
    seen: set[int] = set()
    for restart in range(4):
        with Spool(tmp_path, MB) as spool:
            for number in range(3):
                sequence = spool.append(batch(10 * restart + number))
                assert sequence not in seen
                seen.add(sequence)
            drained(spool)
    assert len(seen) == 12


def test_a_full_spool_drops_the_oldest_batch_and_counts_it_for_good(tmp_path: Path) -> None:
    size = len(zstandard.ZstdCompressor(level=3, write_checksum=True).compress(encode(batch(0, readings=50))))
    with Spool(tmp_path, size * 4 + size // 2) as spool:
        for number in range(10):
            spool.append(batch(number, readings=50))
        assert spool.backlog().batches == 4
        assert spool.backlog().bytes <= size * 4 + size // 2
        assert sum(path.stat().st_size for path in tmp_path.glob("*.batch")) == spool.backlog().bytes
    with Spool(tmp_path, MB) as spool:
        assert (spool.counts.dropped_batches, spool.counts.dropped_readings) == (6, 300)
        assert [one.id.int for one in drained(spool)] == [6, 7, 8, 9]


def test_a_batch_dropped_while_it_was_being_sent_needs_no_acknowledgement(tmp_path: Path) -> None:
    with Spool(tmp_path, 1) as spool:
        sequence = spool.append(batch(0))
        spool.append(batch(1))
        spool.acknowledge(sequence)
        spool.quarantine(sequence, "refused")
        assert [one.id.int for one in drained(spool)] == [1]


def test_a_drop_that_was_counted_before_the_kill_is_not_counted_again(tmp_path: Path) -> None:
    with Spool(tmp_path, MB) as spool:
        sequence = spool.append(batch(0))
        spool.append(batch(1))
    counts = spool.counts.model_copy(update={"dropped_batches": 1, "dropped_up_to": sequence})
    (tmp_path / "counts.json").write_text(counts.model_dump_json())
    with Spool(tmp_path, MB) as spool:
        assert spool.counts.dropped_batches == 1
        assert [one.id.int for one in drained(spool)] == [1]


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"not zstd",
        zstandard.compress(b"not json"),
        zstandard.compress(b"{}"),
        zstandard.compress(encode(batch(1)).replace(b'"contract":1', b'"contract":9')),
        zstandard.ZstdCompressor(write_checksum=True).compress(encode(batch(1)))[:-3],
        b"\x28\xb5\x2f\xfd\xe0" + (2**60).to_bytes(8, "little") + b"\0" * 20,  # says that it unpacks to an exabyte
    ],
)
def test_a_damaged_file_goes_to_the_quarantine_and_stops_nobody(tmp_path: Path, damage: bytes) -> None:
    with Spool(tmp_path, MB) as spool:
        sequences = [spool.append(batch(number)) for number in range(3)]
    (tmp_path / f"{sequences[1]:020}.batch").write_bytes(damage)
    with Spool(tmp_path, MB) as spool:
        assert [one.id.int for one in drained(spool)] == [0, 2]
        assert spool.counts.quarantined == 1
        assert names(tmp_path / "quarantine") == [f"{sequences[1]:020}.batch"]
        assert spool.backlog() == (0, 0, None)
    with Spool(tmp_path, MB) as spool:
        assert spool.counts.quarantined == 1


def test_every_flipped_bit_is_noticed(tmp_path: Path) -> None:
    with Spool(tmp_path, MB) as spool:
        sequence = spool.append(batch(1, readings=2))
    path = tmp_path / f"{sequence:020}.batch"
    data = path.read_bytes()
    for place in range(len(data)):
        flipped = bytearray(data)
        flipped[place] ^= 0x10
        path.write_bytes(flipped)
        with Spool(tmp_path, MB) as spool:
            found = spool.next_up()
            assert found is None or found.batch == batch(1, readings=2), place


def test_a_file_that_somebody_removed_is_passed_over(tmp_path: Path) -> None:
    with Spool(tmp_path, MB) as spool:
        sequence = spool.append(batch(0))
        spool.append(batch(1))
        (tmp_path / f"{sequence:020}.batch").unlink()
        assert [one.id.int for one in drained(spool)] == [1]


def test_the_quarantine_is_bounded_and_keeps_the_newest(tmp_path: Path) -> None:
    with Spool(tmp_path, 20_000) as spool:
        last = 0
        for number in range(30):
            last = spool.append(batch(number, readings=30))
            spool.quarantine(last, "refused")
        kept = sorted((tmp_path / "quarantine").iterdir())
        assert sum(path.stat().st_size for path in kept) <= 2_000
        assert kept[-1].name == f"{last:020}.batch"
        assert spool.counts.quarantined == 30


def test_drafts_of_a_killed_process_are_removed_and_strange_files_left_alone(tmp_path: Path) -> None:
    (tmp_path / "00000000000000000001.batch.ab12.tmp").write_bytes(b"half")
    (tmp_path / "notes.txt").write_text("mine")
    with Spool(tmp_path, MB) as spool:
        assert spool.next_up() is None
    assert {path.name for path in tmp_path.iterdir() if path.is_file()} == {"notes.txt", "lock"}


def test_a_second_process_is_refused(tmp_path: Path) -> None:
    with Spool(tmp_path, MB), pytest.raises(Misconfigured, match="another itsminer-agent"):
        Spool(tmp_path, MB)
    Spool(tmp_path, MB).close()


def test_lost_counts_do_not_lose_batches(tmp_path: Path) -> None:
    with Spool(tmp_path, MB) as spool:
        before = spool.append(batch(0))
    (tmp_path / "counts.json").write_text("{")
    with Spool(tmp_path, MB) as spool:
        assert spool.append(batch(1)) > before
        assert [one.id.int for one in drained(spool)] == [1, 0]


def test_the_backlog_is_counted_and_dated(tmp_path: Path) -> None:
    with Spool(tmp_path, MB) as spool:
        first = spool.append(batch(0))
        spool.append(batch(1))
        os.utime(tmp_path / f"{first:020}.batch", (1_000_000_000, 1_000_000_000))
        backlog = spool.backlog()
        assert backlog.batches == 2
        assert backlog.oldest_at is not None
        assert backlog.oldest_at.timestamp() == 1_000_000_000


class TestSplit:
    def test_gives_two_halves_with_ids_that_follow_from_the_whole(self, tmp_path: Path) -> None:
        made = []
        for attempt in ("one", "two"):
            with Spool(tmp_path / attempt, MB) as spool:
                assert spool.split(spool.append(batch(1, readings=5)))
                made.append(drained(spool))
        assert made[0] == made[1]
        assert sum((half.readings for half in made[0]), ()) == batch(1, readings=5).readings
        assert len({half.id for half in made[0]} | {UUID(int=1)}) == 3

    def test_cannot_be_done_to_a_single_reading(self, tmp_path: Path) -> None:
        with Spool(tmp_path, MB) as spool:
            assert not spool.split(spool.append(batch(1, readings=1)))
            assert drained(spool) == [batch(1, readings=1)]

    @pytest.mark.parametrize("dies_after", range(6))
    def test_is_done_wholly_or_not_at_all_whenever_the_process_dies(
        self, tmp_path: Path, dies_after: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        spool = Spool(tmp_path, MB)
        sequence = spool.append(batch(1, readings=5))
        writes = 0
        write = durable.write

        def dying(path: Path, data: bytes, mode: int = 0o600) -> None:
            nonlocal writes
            if writes == dies_after:
                raise KeyboardInterrupt
            writes += 1
            write(path, data, mode)

        monkeypatch.setattr(durable, "write", dying)
        with contextlib.suppress(KeyboardInterrupt):
            spool.split(sequence)
        monkeypatch.undo()
        spool.close()
        with Spool(tmp_path, MB) as spool:
            found = drained(spool)
            assert sorted(one.machine for half in found for one in half.readings) == [
                one.machine for one in batch(1, readings=5).readings
            ]
            assert len(found) == (1 if dies_after < 2 else 2)

    def test_that_the_disk_refuses_leaves_the_whole(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        with Spool(tmp_path, MB) as spool:
            sequence = spool.append(batch(1, readings=5))
            write = durable.write

            def full(path: Path, data: bytes, mode: int = 0o600) -> None:
                if path.name == f"{sequence:020}.batch":
                    raise DiskTrouble("the disk is full")
                write(path, data, mode)

            monkeypatch.setattr(durable, "write", full)
            with pytest.raises(DiskTrouble):
                spool.split(sequence)
            monkeypatch.undo()
            assert drained(spool) == [batch(1, readings=5)]


def _is_root() -> bool:
    return os.geteuid() == 0


class TestDiskTrouble:
    def test_of_a_full_disk_leaves_the_spool_as_it_was_and_passes(self, tmp_path: Path) -> None:
        """A real ENOSPC: the process may write files of 4 KB at most (RLIMIT_FSIZE gives EFBIG)."""
        import resource
        import signal

        with Spool(tmp_path, MB) as spool:
            spool.append(batch(0))
            soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
            before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (10, hard))
            try:
                with pytest.raises(DiskTrouble, match=str(tmp_path)):
                    spool.append(batch(1))
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
                signal.signal(signal.SIGXFSZ, before)
            spool.append(batch(2))
            assert [one.id.int for one in drained(spool)] == [0, 2]
        assert not list(tmp_path.glob("*.tmp"))

    def test_is_told_in_clear_words(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(DiskTrouble, match="file"):
            Spool(tmp_path / "file" / "spool", MB)

    @pytest.mark.skipif(_is_root(), reason="root writes everywhere")
    def test_of_a_folder_without_permission_names_it(self, tmp_path: Path) -> None:
        tmp_path.chmod(0o500)
        with pytest.raises(DiskTrouble, match="no permission"):
            Spool(tmp_path / "spool", MB)
