"""Faults that the schemas find."""

from __future__ import annotations

from typing import Final

from tests.manifests.broken.broken import NOTES, POD, Broken
from tests.manifests.rendering import GONE

SCHEMAS: Final = (
    Broken("no containers", None, "Service/render", {f"{POD}/containers": GONE}, "required"),
    Broken("text for a number", None, "Service/render", {f"{POD}/timeoutSeconds": "600"}, "is not of type"),
    Broken(
        "a number for text",
        None,
        "Service/render",
        {f"{NOTES}/autoscaling.knative.dev~1max-scale": 1},
        "is not of type",
    ),
    Broken("an unknown field behind a flag", None, "Service/render", {f"{POD}/tolerations/0/efect": "x"}, "efect"),
    Broken(
        "an unknown value behind a flag",
        None,
        "Service/render",
        {f"{POD}/tolerations/0/effect": "NoScheduling"},
        "is not one of",
    ),
    Broken("unknown metadata", None, "Service/render", {"/metadata/anotations": {}}, "anotations"),
    Broken("an unknown delivery", None, "Trigger/image-requested", {"/spec/delivery/retries": 3}, "retries"),
    Broken("an unknown policy", None, "CronJob/sweep", {"/spec/concurrencyPolicy": "Never"}, "is not one of"),
    Broken("a Job without pods", None, "Job/prefetch", {"/spec/template": GONE}, "required"),
    Broken("an unknown kind", None, "Job/prefetch", {"/apiVersion": "batch/v2"}, "no schema of batch/v2/Job"),
    Broken(
        "a bad quantity of storage",
        None,
        "PersistentVolumeClaim/model",
        {"/spec/resources/requests/storage": "20GB"},
        "is no quantity",
    ),
)
