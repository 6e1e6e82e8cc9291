"""Who hears everything that goes through the broker: a pod of ours behind a Trigger without a filter."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import urllib3

from function.letters import in_json
from tests.e2e.cluster import Cluster, Manifest
from tests.e2e.forward import Forward
from tests.e2e.namespaces import WORKSHOP
from tests.e2e.pods import program

NAME: Final = "e2e-listener"


@dataclass(frozen=True)
class Heard:
    """An event as it came, in its JSON form, and when, in seconds since the epoch by the cluster's clock."""

    at: float
    event: dict[str, Any]

    def __getitem__(self, attribute: str) -> Any:
        return self.event[attribute]


class Listener:
    """What has been heard since the listener's pod began."""

    def __init__(self, forward: Forward) -> None:
        self._forward = forward
        self._http = urllib3.PoolManager(retries=urllib3.Retry(3, backoff_factor=1), timeout=30)
        self._heard: list[Heard] = []

    def heard(self, **attributes: str) -> list[Heard]:
        """The events with these attributes, in the order in which they came."""
        url = f"{self._forward.url}/{len(self._heard)}"
        for each in json.loads(self._http.request("GET", url).data):
            body = each["body"].encode("utf-8", "surrogateescape")
            self._heard.append(Heard(each["at"], in_json(each["headers"], body)))
        return [heard for heard in self._heard if attributes.items() <= heard.event.items()]


@contextmanager
def listening(cluster: Cluster, broker: str, image: str, folder: Path) -> Iterator[Listener]:
    """A listener behind the broker, with an image that has python3 in it."""
    WORKSHOP.apply(*_pods(image))
    # A namespace of its own: Darkroom's lets nobody reach a pod that Knative does not know.
    address = f"http://{NAME}.{WORKSHOP.namespace}.svc.cluster.local"
    trigger = {
        "apiVersion": "eventing.knative.dev/v1",
        "kind": "Trigger",
        "metadata": {"name": NAME},
        "spec": {"broker": broker, "subscriber": {"uri": address}},
    }
    WORKSHOP.wait("condition=Available", f"deployment/{NAME}", seconds=300)
    cluster.apply(trigger)
    cluster.wait("condition=Ready", f"trigger/{NAME}", seconds=120)
    with Forward(WORKSHOP, NAME, 80, folder) as forward:
        yield Listener(forward)


def _pods(image: str) -> list[Manifest]:
    labels = {"app": NAME}
    return [
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": NAME},
            "spec": {
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": program(image, "listen")},
            },
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": NAME},
            "spec": {"selector": labels, "ports": [{"port": 80, "targetPort": 8080}]},
        },
    ]
