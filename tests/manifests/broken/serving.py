"""Faults in Knative Services."""

from __future__ import annotations

from typing import Final

from tests.manifests.broken.broken import BOX, NOTES, POD, Broken
from tests.manifests.rendering import GONE
from tests.manifests.rules import serving

SCALE: Final = f"{NOTES}/autoscaling.knative.dev~1"


SERVING: Final = (
    Broken(
        "a misspelt annotation", serving.autoscaling_annotations, "Service/render", {f"{SCALE}max-scal": "1"}, "no use"
    ),
    *(
        Broken(f"{key} {value}", serving.autoscaling_annotations, "Service/render", {f"{SCALE}{key}": value}, "range")
        for key, value in (
            *(("class", "kpa"), ("metric", "cpu"), ("target", "0"), ("target-utilization-percentage", "110")),
            *(("target-burst-capacity", "-2"), ("min-scale", "-1"), ("initial-scale", "-1"), ("activation-scale", "1")),
            *(("window", "5s"), ("scale-down-delay", "2h"), ("scale-to-zero-pod-retention-period", "600")),
            *(("panic-window-percentage", "0"), ("panic-threshold-percentage", "100")),
        )
    ),
    Broken(
        "part of a second", serving.autoscaling_annotations, "Service/render", {f"{SCALE}window": "6500ms"}, "range"
    ),
    Broken("no max-scale", serving.scales, "Service/render", {f"{SCALE}max-scale": GONE}, "has no max-scale"),
    Broken("min above max", serving.scales, "Service/render", {f"{SCALE}min-scale": "2"}, "below min-scale"),
    Broken(
        "an answer that begins too late",
        serving.timeouts,
        "Service/render",
        {f"{POD}/responseStartTimeoutSeconds": GONE},
        "responseStartTimeoutSeconds None",
    ),
    Broken("an idle timeout", serving.timeouts, "Service/render", {f"{POD}/idleTimeoutSeconds": 60}, "idle"),
    Broken("two at once on a GPU", serving.concurrency, "Service/render", {f"{POD}/containerConcurrency": 2}, "GPU"),
    Broken("too many at once", serving.concurrency, "Service/intake", {f"{POD}/containerConcurrency": 1001}, "1001"),
    Broken(
        "a start that is given up",
        serving.starting,
        "Service/render",
        {f"{BOX}/startupProbe/failureThreshold": 900},
        "1800",
    ),
    Broken(
        "a deadline in half seconds",
        serving.starting,
        "Service/render",
        {f"{NOTES}/serving.knative.dev~1progress-deadline": "1800.5s"},
        "whole seconds",
    ),
    Broken(
        "a probe without a period",
        serving.probes,
        "Service/render",
        {f"{BOX}/readinessProbe/periodSeconds": GONE},
        "no periodSeconds",
    ),
    Broken("no startup probe", serving.probes, "Service/render", {f"{BOX}/startupProbe": GONE}, "startupProbe"),
    Broken(
        "a probe of two ways",
        serving.probes,
        "Service/render",
        {f"{BOX}/livenessProbe/exec": {"command": ["true"]}},
        "one of",
    ),
    Broken(
        "a claim that is written to",
        serving.flags_are_asked_for,
        "Service/render",
        {f"{POD}/volumes/0/persistentVolumeClaim/readOnly": GONE},
        "persistent-volume-write",
    ),
    Broken(
        "a container that comes before",
        serving.flags_are_asked_for,
        "Service/render",
        {f"{POD}/initContainers": [{"name": "first", "image": "darkroom-render"}]},
        "init-containers",
    ),
    Broken(
        "a folder of the node",
        serving.flags_are_asked_for,
        "Service/render",
        {f"{POD}/volumes/1": {"name": "tmp", "hostPath": {"path": "/tmp"}}},  # noqa: S108  # what is refused
        "volumes-hostpath",
    ),
    Broken(
        "a volume that is made for each pod",
        serving.flags_are_asked_for,
        "Service/render",
        {f"{POD}/volumes/1": {"name": "tmp", "ephemeral": {"volumeClaimTemplate": {"spec": {}}}}},
        "volumes-ephemeral",
    ),
    Broken(
        "a pod's own name",
        serving.flags_are_asked_for,
        "Service/intake",
        {f"{BOX}/env/1": {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}},
        "podspec-fieldref",
    ),
    Broken(
        "a capability",
        serving.flags_are_asked_for,
        "Service/render",
        {f"{BOX}/securityContext/capabilities/add": ["SYS_NICE"]},
        "addcapabilities",
    ),
    Broken("a reserved port", serving.containers, "Service/render", {f"{BOX}/ports/0/containerPort": 8012}, "8012"),
    Broken(
        "a port's name that means nothing",
        serving.containers,
        "Service/render",
        {f"{BOX}/ports/0/name": "http"},
        "http",
    ),
    Broken(
        "a reserved variable",
        serving.containers,
        "Service/intake",
        {f"{BOX}/env/1": {"name": "PORT", "value": "80"}},
        "PORT",
    ),
    Broken(
        "a volume that nobody mounts",
        serving.mounts,
        "Service/render",
        {f"{BOX}/volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}]},  # noqa: S108  # a pod's own
        "model is not mounted",
    ),
    Broken(
        "a mount that writes where none may",
        serving.mounts,
        "Service/render",
        {f"{BOX}/volumeMounts/0/readOnly": GONE},
        "/models must be readOnly",
    ),
    Broken(
        "a target that is no number",
        serving.autoscaling_annotations,
        "Service/render",
        {f"{SCALE}target": "a"},
        "range",
    ),
    Broken(
        "the cluster's timeout",
        serving.timeouts,
        "Service/render",
        {f"{POD}/timeoutSeconds": GONE, f"{POD}/responseStartTimeoutSeconds": GONE},
        "timeoutSeconds None",
    ),
    Broken("two ports", serving.containers, "Service/render", {f"{BOX}/ports/1": {"containerPort": 8081}}, "one port"),
    Broken(
        "two containers",
        serving.containers,
        "Service/render",
        {f"{POD}/containers/1": {"image": "darkroom-render", "name": "second"}},
        "one container",
    ),
)
