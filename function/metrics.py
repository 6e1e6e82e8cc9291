"""What Prometheus may read at `/metrics`."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, generate_latest


class Metrics:
    """Counters of one process."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.renders = Counter("darkroom_renders", "Renders that were started.", registry=self._registry)
        self.outcomes = Counter(
            "darkroom_outcomes", "Outcomes told, by failure code.", ["code"], registry=self._registry
        )
        self.published = Counter(
            "darkroom_published", "Events that intake published.", ["type"], registry=self._registry
        )
        self.answers = Counter(
            "darkroom_answers", "HTTP answers to events and drops.", ["path", "status"], registry=self._registry
        )

    def exposition(self) -> bytes:
        """The counters in Prometheus' text format."""
        return generate_latest(self._registry)
