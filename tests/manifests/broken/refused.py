"""The faults that a live API server is asked about, too: each of these it must refuse."""

from __future__ import annotations

from typing import Final

from tests.manifests.broken.broken import BOX, POD, Broken
from tests.manifests.rules import eventing, serving

REFUSED: Final = (
    Broken(
        "an autoscaling annotation on the Service",
        serving.no_autoscaling_on_the_service,
        "Service/render",
        {"/metadata/annotations/autoscaling.knative.dev~1max-scale": "2"},
        "belongs under spec.template",
    ),
    Broken(
        "two dialects in one filter",
        eventing.one_dialect_per_filter,
        "Trigger/image-requested",
        {"/spec/filters/0/suffix": {"source": "/darkroom"}},
        "exact, suffix",
    ),
    Broken(
        "a timeout over the maximum",
        serving.timeouts,
        "Service/render",
        {f"{POD}/timeoutSeconds": 601, f"{POD}/responseStartTimeoutSeconds": 601},
        "601",
    ),
    Broken(
        "a flag that is off",
        serving.flags_are_asked_for,
        "Service/render",
        {f"{POD}/schedulerName": "gpus"},
        "kubernetes.podspec-schedulername",
    ),
    Broken(
        "a bad quantity", None, "Service/render", {f"{BOX}/resources/limits/memory": "24 gigabytes"}, "is no quantity"
    ),
    Broken("an unknown field", None, "Service/render", {f"{POD}/timeoutSecond": 600}, "timeoutSecond"),
)
