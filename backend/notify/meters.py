"""Numbers about messages, for Prometheus. No account, site or contact is named in them."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram

from backend.notify.routing import Channel


class MessageMeters:
    """Counters of one dispatcher."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.messages = Counter(
            "itsminer_messages",
            "Messages: sent, put off (to be tried again), failed (for good), given_up (after 24 h of trying)",
            ["channel", "outcome"],
            registry=registry,
        )
        self.send_s = Histogram(
            "itsminer_message_send_seconds",
            "From the claim of a message to the next server's word",
            ["channel"],
            buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30),
            registry=registry,
        )
        for channel in Channel:
            for outcome in ("sent", "put_off", "failed", "given_up"):
                self.messages.labels(channel.value, outcome)  # 0 is a number too: a rate needs a start
