"""What /metrics says: requests by route, search stages, the version in use."""

from __future__ import annotations

import os
from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

# The boundaries that OpenTelemetry recommends for request durations, in seconds.
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
_STAGES = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)
MULTIPROCESS_DIR = "PROMETHEUS_MULTIPROC_DIR"  # set by `serve` where there are several workers
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Metrics:
    """Counters of one service; labels are bounded: route templates, never ids or URLs."""

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()
        self.requests = Histogram(
            "http_server_request_duration_seconds",
            "Time to answer a request.",
            ("http_request_method", "http_route", "http_response_status_code"),
            buckets=_BUCKETS,
            registry=registry,
        )
        self.stages = Histogram(
            "vision_rec_search_stage_seconds",
            "Time of one stage of a search: decode or search.",
            ("stage",),
            buckets=_STAGES,
            registry=registry,
        )
        self.results = Histogram(
            "vision_rec_search_results",
            "Products per answer.",
            ("mode",),
            buckets=(0, 1, 5, 10, 20, 50, 100, 200),
            registry=registry,
        )
        self.decode_failures = Counter(
            "vision_rec_decode_failures", "Request pictures refused.", ("reason",), registry=registry
        )
        self.refused = Counter(
            "vision_rec_overloaded", "Requests refused because too many were in flight.", registry=registry
        )
        self.refused_keys = Counter(
            "vision_rec_refused_keys",
            "Wrong, expired or revoked API keys.",
            ("reason",),
            registry=registry,
        )
        self.rate_limited = Counter(
            "vision_rec_rate_limited", "Requests over the rate of their key.", registry=registry
        )
        self.events = Counter(
            "vision_rec_events",
            "Events by what became of them; `refused` counts calls while the store was down or full.",
            ("outcome",),
            registry=registry,
        )
        self.event_seconds = Histogram(
            "vision_rec_event_call_seconds",
            "Time to store one call of events durably.",
            buckets=_STAGES,
            registry=registry,
        )
        self.rule_hits = Counter(
            "vision_rec_rule_hits", "Rules that acted on an answer.", ("effect",), registry=registry
        )
        self.reloads = Counter(
            "vision_rec_reload", "Changes of index version while serving.", ("outcome",), registry=registry
        )
        self.in_flight = Gauge(
            "vision_rec_in_flight",
            "Requests being answered.",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.version = Gauge(
            "vision_rec_version_info",
            "1 for the index version in use.",
            ("version",),
            registry=registry,
            multiprocess_mode="livemax",
        )
        self.products = Gauge(
            "vision_rec_version_products",
            "Products in the version in use.",
            registry=registry,
            multiprocess_mode="livemostrecent",
        )
        self._version: str | None = None
        self._observers: dict[tuple[str, str, int], Callable[[float], None]] = {}

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one answered request."""
        key = (method if method in METHODS else "other", route, status)
        observer = self._observers.get(key)
        if observer is None:
            observer = self._observers[key] = self.requests.labels(key[0], route, str(status)).observe
        observer(seconds)

    def use_version(self, version_id: str, count: int) -> None:
        """Tell which version answers now."""
        if self._version not in (None, version_id):
            self.version.labels(self._version).set(0)  # labels cannot be removed where workers share them
        self._version = version_id
        self.version.labels(version_id).set(1)
        self.products.set(count)

    def render(self) -> bytes:
        """Write all figures in Prometheus text form, summed over workers where there are several."""
        if os.environ.get(MULTIPROCESS_DIR):
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
            return generate_latest(registry)
        return generate_latest(self.registry)
