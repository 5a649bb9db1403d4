"""Numbers about the agent itself, for Prometheus at the site. No machine, pool or person is named in them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final

from prometheus_client import CollectorRegistry, Histogram, ProcessCollector, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from agent import poll
from agent.lan.desk import Desk
from agent.status import Status
from agent.wire import State

_READ_S: Final = (0.05, 0.1, 0.25, 0.5, 1, 2, 3, 5, 8, 12, 20)
_UPLINK_STATES: Final = ("idle", "sending", "waiting", "paused")


class Meters(Collector):
    """Most of it is asked for when Prometheus asks us; what it costs in between is one histogram."""

    def __init__(self, status: Callable[[], Status], desk: Desk, polls: Callable[[], poll.Counts]) -> None:
        self._status = status
        self._desk = desk
        self._polls = polls
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(namespace="itsminer_agent", registry=self._registry)
        self._read_s = Histogram(
            "itsminer_agent_read_seconds",
            "How long a machine that answered took",
            buckets=_READ_S,
            registry=self._registry,
        )

    def took(self, read_ms: float | None) -> None:
        """A machine was asked, and answered if there is a time."""
        if read_ms is not None:
            self._read_s.observe(read_ms / 1_000)

    def text(self) -> bytes:
        """All of it, in the text format that Prometheus reads."""
        return generate_latest(self._registry)

    def describe(self) -> Iterator[Metric]:
        """Nothing to say before there is somebody to ask."""
        yield from ()

    def collect(self) -> Iterator[Metric]:
        """Every number but the histogram's, as of now."""
        status, polls = self._status(), self._polls()
        states = Counter(seen.state for seen in self._desk.machines.values())
        yield _labelled("machines", "Machines by what they did when last asked", "state", {s: states[s] for s in State})
        yield _gauge("machines_known", "Machines that are asked", status.machines.known)
        yield _gauge("paused", "1 while the people at the site let the agent rest", status.paused_since is not None)
        yield _counted(
            "polls",
            "Turns of machines: answered, failed, or late because there was no place",
            "outcome",
            {"answered": polls.readings - polls.failures, "failed": polls.failures, "late": polls.late},
        )
        yield from self._of_the_way_out(status)

    def _of_the_way_out(self, status: Status) -> Iterator[Metric]:
        spool, uplink = status.spool, status.uplink
        age_s = (status.written_at - spool.oldest_at).total_seconds() if spool.oldest_at else 0.0
        yield _gauge("spool_batches", "Batches that wait on disk", spool.batches)
        yield _gauge("spool_bytes", "What they take", spool.bytes)
        yield _gauge("spool_oldest_age_seconds", "Since when the oldest waits; 0 when none does", max(0.0, age_s))
        yield _gauge("disk_trouble", "1 while the disk takes no more", bool(spool.trouble))
        yield _counted("dropped_readings", "Lost because the spool or its disk was full", "", spool.dropped_readings)
        yield _labelled(
            "uplink", "1 for how the way to the backend is", "state", {s: uplink.state == s for s in _UPLINK_STATES}
        )
        yield _counted(
            "uplink_batches",
            "Tries of sending a batch, and what became of batches: acknowledged, or put aside because refused",
            "outcome",
            {"tried": self._desk.tries, "acknowledged": uplink.acknowledged_batches, "refused": spool.quarantined},
        )
        yield _counted("uplink_readings", "Readings that the backend has", "", uplink.acknowledged_readings)


def _gauge(name: str, says: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"itsminer_agent_{name}", says, value=value)


def _labelled(name: str, says: str, label: str, values: dict[str, float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"itsminer_agent_{name}", says, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family


def _counted(name: str, says: str, label: str, values: dict[str, int] | int) -> CounterMetricFamily:
    if isinstance(values, int):
        return CounterMetricFamily(f"itsminer_agent_{name}", says, value=values)
    family = CounterMetricFamily(f"itsminer_agent_{name}", says, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family
