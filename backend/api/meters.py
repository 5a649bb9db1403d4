"""Numbers about the service itself, for Prometheus. No account, site or machine is named in them."""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_LATENCIES_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class Meters:
    """The service's own counters; one set a program."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "itsminer_requests", "Requests answered", ["route", "method", "status"], registry=self.registry
        )
        self.batches = Counter(
            "itsminer_batches",
            "Batches: stored, repeated (stored before) or refused",
            ["outcome"],
            registry=self.registry,
        )
        self.readings = Counter("itsminer_readings", "Readings stored", registry=self.registry)
        self.ingest_s = Histogram(
            "itsminer_ingest_seconds",
            "From the whole batch received to its answer",
            buckets=_LATENCIES_S,
            registry=self.registry,
        )
        self.outbox = Gauge("itsminer_outbox_messages", "Messages that are due and not sent", registry=self.registry)
        for outcome in ("stored", "repeated", "refused"):
            self.batches.labels(outcome)  # 0 is a number too: a rate needs a start
