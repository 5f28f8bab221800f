"""Prometheus metrics: a registry per service (none is global, so that five services can live in one process)."""

from collections.abc import Sequence
from datetime import datetime

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from rialto_common.events.envelope import Event

LATENCY_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class BusMetrics:
    """What a consumer reports."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._events = Counter("rialto_events_handled_total", "Events handled", ["group", "type"], registry=registry)
        self._parked = Counter(
            "rialto_events_parked_total", "Events set aside as dead letters", ["group", "type"], registry=registry
        )
        self._batch = Histogram(
            "rialto_batch_size_events",
            "Events per handled batch",
            ["group"],
            buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500, 1000),
            registry=registry,
        )
        self._duration = Histogram(
            "rialto_batch_duration_seconds",
            "Time to handle a batch, from begin to commit",
            ["group"],
            buckets=LATENCY_BUCKETS,
            registry=registry,
        )
        self._age = Gauge(
            "rialto_event_age_seconds",
            "Age of the oldest event of the newest batch when it was handled",
            ["group"],
            registry=registry,
        )

    def handled(self, group: str, events: Sequence[Event], now: datetime, seconds: float) -> None:
        """Count a batch that committed."""
        counts: dict[str, int] = {}
        for event in events:
            counts[event.type] = counts.get(event.type, 0) + 1
        for event_type, count in counts.items():
            self._events.labels(group, event_type).inc(count)
        self._batch.labels(group).observe(len(events))
        self._duration.labels(group).observe(seconds)
        self._age.labels(group).set((now - min(event.time for event in events)).total_seconds())

    def parked(self, group: str, event: Event) -> None:
        """Count an event that was set aside."""
        self._parked.labels(group, event.type).inc()


class RelayMetrics:
    """What a relay to Kafka reports."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._active = Gauge(
            "rialto_relay_active",
            "1 in the process whose relay publishes, 0 in the others",
            ["relay"],
            registry=registry,
        )
        self._published = Counter(
            "rialto_relay_published_total", "Events copied to Kafka", ["relay"], registry=registry
        )
        self._waiting = Gauge(
            "rialto_relay_unpublished_events",
            "Events of a topic that Kafka does not have yet",
            ["topic"],
            registry=registry,
        )
        self._age = Gauge(
            "rialto_relay_oldest_unpublished_seconds",
            "Age of the oldest event of a topic that Kafka does not have yet; 0 when there is none",
            ["topic"],
            registry=registry,
        )

    def active(self, relay: str, active: bool) -> None:
        """Say whether this process's relay publishes."""
        self._active.labels(relay).set(active)

    def published(self, relay: str, events: int) -> None:
        """Count events that Kafka has."""
        self._published.labels(relay).inc(events)

    def backlog(self, topic: str, events: int, age_seconds: float) -> None:
        """Say what waits."""
        self._waiting.labels(topic).set(events)
        self._age.labels(topic).set(age_seconds)


class HttpMetrics:
    """What the HTTP frame reports."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests = Counter(
            "rialto_http_requests_total", "HTTP requests", ["method", "route", "status"], registry=registry
        )
        self._duration = Histogram(
            "rialto_http_request_duration_seconds",
            "Time to answer",
            ["method", "route"],
            buckets=LATENCY_BUCKETS,
            registry=registry,
        )
        # Looking a child up by its labels takes a lock and costs more than counting; there are only so many.
        self._children: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count an answer."""
        children = self._children.get((method, route, status))
        if children is None:
            children = self._requests.labels(method, route, str(status)), self._duration.labels(method, route)
            self._children[(method, route, status)] = children
        children[0].inc()
        children[1].observe(seconds)
