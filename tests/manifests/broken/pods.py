"""Faults in pods, names and labels."""

from __future__ import annotations

from typing import Final

from tests.manifests.broken.broken import BOX, POD, Broken
from tests.manifests.rendering import GONE
from tests.manifests.rules import pods

PODS: Final = (
    Broken(
        "service links",
        pods.no_service_links,
        "CronJob/sweep",
        {"/spec/jobTemplate" + POD + "/enableServiceLinks": GONE},
        "CronJob/sweep",
    ),
    *(
        Broken(f"{name} is wrong", pods.confined, "Service/render", {f"{BOX}/securityContext/{name}": value}, name)
        for name, value in (
            *(("runAsNonRoot", False), ("runAsUser", 0), ("allowPrivilegeEscalation", True), ("privileged", True)),
            *(("readOnlyRootFilesystem", GONE), ("capabilities", GONE), ("seccompProfile", GONE)),
        )
    ),
    Broken("the node's network", pods.confined, "Job/prefetch", {f"{POD}/hostNetwork": True}, "the node's"),
    Broken("no limit of memory", pods.resources, "Service/render", {f"{BOX}/resources/limits/memory": GONE}, "a limit"),
    Broken(
        "more than the limit",
        pods.resources,
        "Service/render",
        {f"{BOX}/resources/requests/memory": "25Gi"},
        "more memory",
    ),
    Broken(
        "half a GPU", pods.resources, "Service/render", {f"{BOX}/resources/limits/nvidia.com~1gpu": "500m"}, "divided"
    ),
    Broken(
        "the latest image", pods.images, "Service/render", {f"{BOX}/image": "ghcr.io/example/darkroom-render"}, "no tag"
    ),
    Broken(
        "an unknown setting",
        pods.settings,
        "Service/intake",
        {f"{BOX}/env/1/name": "DARKROOM_CHECK_STOR"},
        "did you mean",
    ),
    Broken("a bad value", pods.settings, "Service/intake", {f"{BOX}/env/1/value": "perhaps"}, "DARKROOM_CHECK_STORE"),
    Broken(
        "a misspelt variable", pods.settings, "Service/intake", {f"{BOX}/env/1/name": "AWS_ENDPOINT_S3"}, "no variable"
    ),
    Broken(
        "a token for the API",
        pods.accounts,
        "ServiceAccount/render",
        {"/automountServiceAccountToken": GONE},
        "a token",
    ),
    Broken("a mount of nothing", pods.mounted, "Job/prefetch", {f"{POD}/volumes/1/name": "temp"}, "no volume tmp"),
    Broken(
        "two mounts at one path",
        pods.mounted,
        "Service/render",
        {f"{BOX}/volumeMounts/1/mountPath": "/models"},
        "one path",
    ),
    Broken(
        "a volume of another zone",
        pods.same_nodes,
        "Job/prefetch",
        {f"{POD}/nodeSelector": {"cloud.google.com/gke-accelerator": "nvidia-l4"}},
        "shares model with",
    ),
    Broken(
        "a volume behind a taint",
        pods.same_nodes,
        "Job/prefetch",
        {f"{POD}/tolerations": GONE},
        "on other nodes",
    ),
    Broken(
        "a part that is none of ours",
        pods.labels,
        "Service/render",
        {"/spec/template/metadata/labels/app.kubernetes.io~1component": "gpu"},
        "gpu is no component",
    ),
    Broken("a label with a space", pods.labels, "Service/render", {"/metadata/labels/team": "the art"}, "no value"),
    Broken(
        "nobody's", pods.labels, "Broker/darkroom", {"/metadata/labels/app.kubernetes.io~1name": GONE}, "has no label"
    ),
    Broken("a name with a dot", pods.names, "Service/render", {"/metadata/name": "render.gpu"}, "no name"),
    Broken("another namespace", pods.names, "Service/render", {"/metadata/namespace": "default"}, "none of ours"),
    Broken("a name twice", pods.names, "ServiceAccount/render", {"/metadata/name": "sweep"}, "is there twice"),
    Broken("no user", pods.confined, "Service/render", {f"{BOX}/securityContext/runAsUser": GONE}, "runAsUser"),
    Broken("no CPU", pods.resources, "Service/render", {f"{BOX}/resources/requests/cpu": GONE}, "requests of cpu"),
    Broken(
        "a token all the same", pods.accounts, "Job/prefetch", {f"{POD}/automountServiceAccountToken": True}, "a token"
    ),
    Broken(
        "a pod of no part",
        pods.labels,
        "Service/render",
        {"/spec/template/metadata/labels/app.kubernetes.io~1component": GONE},
        "None is no component",
    ),
    Broken(
        "an object of a part that is none of ours",
        pods.labels,
        "Service/render",
        {"/metadata/labels/app.kubernetes.io~1component": "gpu"},
        "gpu is no component",
    ),
    Broken("a long label", pods.labels, "Service/render", {"/metadata/labels/team": "a" * 64}, "no value"),
    Broken("a long name", pods.names, "CronJob/sweep", {"/metadata/name": "a" * 53}, "no name"),
    Broken("no namespace", pods.names, "Namespace/darkroom", {"/metadata/name": "art"}, "is not made"),
)
