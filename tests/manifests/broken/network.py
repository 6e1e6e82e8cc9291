"""Faults in NetworkPolicies."""

from __future__ import annotations

from typing import Final

from tests.manifests.broken.broken import BOX, Broken
from tests.manifests.rendering import GONE
from tests.manifests.rules import network

METRICS: Final = "base + components/metrics"
FROM_ACTIVATOR: Final = "/spec/ingress/0"

NETWORK: Final = (
    Broken(
        "a policy about nothing",
        network.policies_have_pods,
        "NetworkPolicy/render",
        {"/spec/podSelector/matchLabels/app.kubernetes.io~1component": "renderer"},
        "NetworkPolicy/render: selects no pod",
        "overlays/keda",
    ),
    Broken(
        "a policy with a label that Knative does not set",
        network.policies_have_pods,
        "NetworkPolicy/knative",
        {"/spec/podSelector/matchExpressions/0/key": "serving.knative.dev/services"},
        "NetworkPolicy/knative: selects no pod",
    ),
    Broken(
        "a policy of another namespace",
        network.policies_have_pods,
        "NetworkPolicy/knative",
        {"/metadata/namespace": "default"},
        "NetworkPolicy/knative: selects no pod",
    ),
    Broken(
        "a monitor of nothing",
        network.policies_have_pods,
        "PodMonitor/darkroom",
        {"/spec/selector/matchExpressions/0/values": ["gpu"]},
        "PodMonitor/darkroom: selects no pod",
        METRICS,
    ),
    Broken(
        "a port on which nothing listens",
        network.policies_open_what_listens,
        "NetworkPolicy/render",
        {"/spec/ingress/0/ports/0/port": 8081},
        "opens 8081, but Deployment/render",
        "overlays/keda",
    ),
    Broken(
        "a server that moved",
        network.policies_open_what_listens,
        "Deployment/minio",
        {f"{BOX}/ports/0/containerPort": 9001},
        "opens 9000, but Deployment/minio",
        "overlays/local",
    ),
    Broken(
        "a policy for everyone",
        network.policies_open_what_listens,
        "NetworkPolicy/knative",
        {f"{FROM_ACTIVATOR}/from": GONE},
        "lets everyone in",
    ),
    Broken(
        "a policy for every port",
        network.policies_open_what_listens,
        "NetworkPolicy/knative",
        {f"{FROM_ACTIVATOR}/ports": GONE},
        "in to every port",
    ),
    Broken(
        "a server that nobody reaches",
        network.servers_are_reached,
        "NetworkPolicy/minio",
        {"/spec/ingress": []},
        "Deployment/minio: no NetworkPolicy lets anyone in",
        "overlays/local",
    ),
    Broken(
        "pods that are open",
        network.servers_are_reached,
        "NetworkPolicy/nobody",
        {"/spec/podSelector": {"matchLabels": {"app.kubernetes.io/component": "render"}}},
        "Service/intake: no NetworkPolicy of its namespace",
    ),
    Broken(
        "metrics behind a shut port",
        network.monitors_are_let_in,
        "NetworkPolicy/metrics",
        {"/spec/ingress/0/ports/0/port": 9090},
        "8080 of Service/render is not open",
        METRICS,
    ),
    Broken(
        "metrics where nothing listens",
        network.monitors_are_let_in,
        "PodMonitor/darkroom",
        {"/spec/podMetricsEndpoints/0/portNumber": 9102},
        "9102 of Service/render",
        METRICS,
    ),
)
