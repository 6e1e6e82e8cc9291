"""What Knative Serving's webhook refuses in a Service, or what it takes and then does otherwise than one thinks.

From knative/serving v0.48.0: pkg/apis/autoscaling/annotation_validation.go, pkg/apis/serving/metadata_validation.go,
v1/revision_validation.go, k8s_validation.go, fieldmask.go, and pkg/apis/config/features.go for the flags.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, Final

from function.capacity import AUTOSCALING, go
from tests.manifests.rendering import Manifest, Rendering, name_of, rendered

PROGRESS_DEADLINE: Final = "serving.knative.dev/progress-deadline"
# In config-defaults, unless the administrator has changed it.
MAX_TIMEOUT: Final = 600
RESERVED_VARIABLES: Final = {"PORT", "K_SERVICE", "K_CONFIGURATION", "K_REVISION"}
RESERVED_PORTS: Final = {8008, 8012, 8013, 8022, 9090, 9091}
RESERVED_PATHS: Final = {"/", "/dev", "/dev/log"}
# Fields of a pod whose flag is called as they are.
FLAGGED: Final[tuple[str, ...]] = (
    *("affinity", "dnsConfig", "dnsPolicy", "hostAliases", "hostIPC", "hostNetwork", "hostPID", "nodeSelector"),
    *("priorityClassName", "runtimeClassName", "schedulerName", "securityContext", "shareProcessNamespace"),
    *("tolerations", "topologySpreadConstraints"),
)

Test = Callable[[str], bool]


def number(low: float, high: float = float("inf"), *, whole: bool = False) -> Test:
    def test(text: str) -> bool:
        pattern = r"\d+" if whole else r"\d+(\.\d+)?"
        return re.fullmatch(pattern, text) is not None and low <= float(text) <= high

    return test


def duration(low: float, high: float, *, whole: bool = True) -> Test:
    def test(text: str) -> bool:
        with suppress(ValueError):
            seconds = go(text)
            return low <= seconds <= high and not (whole and seconds % 1)
        return False

    return test


HOUR: Final = 3600
ANNOTATIONS: Final[dict[str, Test]] = {
    "class": lambda text: text in {"kpa.autoscaling.knative.dev", "hpa.autoscaling.knative.dev"},
    "metric": lambda text: text in {"concurrency", "rps"},
    "target": number(0.01),
    "target-utilization-percentage": number(1, 100),
    "target-burst-capacity": lambda text: text == "-1" or number(0)(text),
    "min-scale": number(0, whole=True),
    "max-scale": number(0, whole=True),
    "initial-scale": number(0, whole=True),
    "activation-scale": number(2, whole=True),
    "window": duration(6, HOUR),
    "scale-down-delay": duration(0, HOUR),
    "scale-to-zero-pod-retention-period": duration(0, HOUR, whole=False),
    "panic-window-percentage": number(1, 100),
    "panic-threshold-percentage": number(110, 1000),
}


def notes(service: Manifest) -> dict[str, str]:
    """The annotations of the template."""
    return dict(service["spec"]["template"].get("metadata", {}).get("annotations", {}))


def pod(service: Manifest) -> Manifest:
    return dict(service["spec"]["template"]["spec"])


def no_autoscaling_on_the_service(rendering: Rendering) -> Iterator[str]:
    """Annotations autoscaling.knative.dev/… are refused on the Service itself: they belong into its template."""
    for service in rendering.services():
        for key in service["metadata"].get("annotations", {}):
            if key.startswith(AUTOSCALING):
                yield f"{name_of(service)}: {key} belongs under spec.template.metadata.annotations"


def autoscaling_annotations(rendering: Rendering) -> Iterator[str]:
    """Each autoscaling annotation is one that Knative knows, with a value in its range: unknown ones do nothing."""
    for service in rendering.services():
        for key, value in notes(service).items():
            if key.startswith(AUTOSCALING):
                test = ANNOTATIONS.get(key.removeprefix(AUTOSCALING))
                if test is None or not test(value):
                    yield f"{name_of(service)}: {key}: {value!r} is " + (
                        "out of range" if test else "of no use to Knative"
                    )


def scales(rendering: Rendering) -> Iterator[str]:
    """Each Service has a max-scale, not below min-scale: without one as many pods start as events wait."""
    for service in rendering.services():
        low, high = (int(notes(service).get(AUTOSCALING + key, 0)) for key in ("min-scale", "max-scale"))
        if high == 0:
            yield f"{name_of(service)}: has no max-scale"
        elif high < low:
            yield f"{name_of(service)}: max-scale {high} is below min-scale {low}"


def timeouts(rendering: Rendering) -> Iterator[str]:
    """At most the cluster's 600 is timeoutSeconds, and as much responseStartTimeoutSeconds, which unset is 300."""
    for service in rendering.services():
        timeout, start = (pod(service).get(key) for key in ("timeoutSeconds", "responseStartTimeoutSeconds"))
        if not timeout or timeout > MAX_TIMEOUT:
            yield f"{name_of(service)}: timeoutSeconds {timeout} is not 1 to {MAX_TIMEOUT}"
        if start != timeout:
            yield f"{name_of(service)}: responseStartTimeoutSeconds {start} is not timeoutSeconds, {timeout}"
        if pod(service).get("idleTimeoutSeconds"):
            yield f"{name_of(service)}: idleTimeoutSeconds cuts off what is silent while it draws"


def concurrency(rendering: Rendering) -> Iterator[str]:
    """What has a GPU takes one request at a time; else containerConcurrency is 0 to 1000."""
    for service in rendering.services():
        allowed = pod(service).get("containerConcurrency", 0)
        if not 0 <= allowed <= 1000:
            yield f"{name_of(service)}: containerConcurrency {allowed} is not 0 to 1000"
        gpu = any("nvidia.com/gpu" in box.get("resources", {}).get("limits", {}) for box in pod(service)["containers"])
        if gpu and allowed != 1:
            yield f"{name_of(service)}: containerConcurrency is {allowed}, but a GPU draws one picture at a time"


def starting(rendering: Rendering) -> Iterator[str]:
    """What the startup probe allows is below the progress-deadline, whole seconds, after which Knative gives up."""
    for service in rendering.services():
        deadline = notes(service).get(PROGRESS_DEADLINE, "600s")
        if not duration(1, float("inf"))(deadline):
            yield f"{name_of(service)}: {PROGRESS_DEADLINE}: {deadline!r} is no duration in whole seconds"
            continue
        for box in pod(service)["containers"]:
            probe = box.get("startupProbe", {})
            allowed = probe.get("initialDelaySeconds", 0) + probe.get("periodSeconds", 10) * probe.get(
                "failureThreshold", 3
            )
            if allowed >= go(deadline):
                yield f"{name_of(service)}: its startup probe allows {allowed} s, its progress-deadline {deadline}"


def probes(rendering: Rendering) -> Iterator[str]:
    """All three probes are there, in one way each; readiness has a period, without which it has 100 ms to answer."""
    for service in rendering.services():
        for box in pod(service)["containers"]:
            for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
                probe = box.get(kind, {})
                if len(probe.keys() & {"httpGet", "tcpSocket", "exec", "grpc"}) != 1:
                    yield f"{name_of(service)}: its {kind} must have one of httpGet, tcpSocket, exec, grpc"
            if not box.get("readinessProbe", {}).get("periodSeconds"):
                yield f"{name_of(service)}: its readinessProbe has no periodSeconds"


def off(spec: Manifest, flags: dict[str, str]) -> Iterator[tuple[str, str]]:
    """What a pod uses that a flag must allow and does not, with the flag."""
    podspec = "kubernetes.podspec-"
    used = [(name, podspec + name.lower()) for name in FLAGGED if name in spec]
    if "initContainers" in spec:
        used.append(("initContainers", podspec + "init-containers"))
    for volume in spec.get("volumes", []):
        kinds = volume.keys() & {"hostPath", "csi", "image", "ephemeral"}
        used += [(f"volume {volume['name']}", f"{podspec}volumes-{kind.lower()}") for kind in kinds]
        claim = volume.get("persistentVolumeClaim")
        if claim is not None:
            used.append((f"volume {volume['name']}", podspec + "persistent-volume-claim"))
            if not claim.get("readOnly"):
                used.append((f"volume {volume['name']}, not readOnly", podspec + "persistent-volume-write"))
    for box in [*spec["containers"], *spec.get("initContainers", [])]:
        if any({"fieldRef", "resourceFieldRef"} & row.get("valueFrom", {}).keys() for row in box.get("env", [])):
            used.append(("fieldRef", podspec + "fieldref"))
        if box.get("securityContext", {}).get("capabilities", {}).get("add"):
            used.append(("capabilities.add", "kubernetes.containerspec-addcapabilities"))
    return ((what, flag) for what, flag in used if flags.get(flag) != "enabled")


def cluster_flags() -> dict[str, str]:
    """What knative/cluster asks the administrator to switch on."""
    return dict(rendered("cluster").get("ConfigMap/config-features")["data"])


def flags_are_asked_for(rendering: Rendering) -> Iterator[str]:
    """What a feature flag has to allow is in the patch in knative/cluster."""
    for service in rendering.services():
        for what, flag in off(pod(service), cluster_flags()):
            yield f"{name_of(service)}: {what} needs {flag}, which knative/cluster does not switch on"


def containers(rendering: Rendering) -> Iterator[str]:
    """One container, one port; no name, variable, port or path that Knative keeps for itself."""
    for service in rendering.services():
        boxes = pod(service)["containers"]
        if len(boxes) != 1 or len(boxes[0].get("ports", [])) > 1:
            yield f"{name_of(service)}: must have one container with at most one port"
        for box in boxes:
            taken: set[Any] = RESERVED_VARIABLES & {row["name"] for row in box.get("env", [])}
            taken |= RESERVED_PORTS & {row.get("containerPort") for row in box.get("ports", [])}
            taken |= RESERVED_PATHS & {row["mountPath"] for row in box.get("volumeMounts", [])}
            taken |= {"queue-proxy"} & {box.get("name")}
            taken |= {row["name"] for row in box.get("ports", []) if row.get("name", "") not in {"", "http1", "h2c"}}
            for what in sorted(taken, key=str):
                yield f"{name_of(service)}: {what} is Knative's own"


def mounts(rendering: Rendering) -> Iterator[str]:
    """Every volume of a Service is mounted, and read-only unless it is an emptyDir or a claim that is written to."""
    for made in rendering.pods():
        if not made.of_knative:
            continue
        mounted = [mount for box in made.containers for mount in box.get("volumeMounts", [])]
        for volume in made.spec.get("volumes", []):
            if volume["name"] not in {mount["name"] for mount in mounted}:
                yield f"{made.name}: volume {volume['name']} is not mounted"
        for mount in mounted:
            volume = made.volume(mount["name"])
            writable = "emptyDir" in volume or not volume.get("persistentVolumeClaim", {"readOnly": True}).get(
                "readOnly"
            )
            if not writable and not mount.get("readOnly"):
                yield f"{made.name}: {mount['mountPath']} must be readOnly as its volume is"


RULES: Final = (
    no_autoscaling_on_the_service,
    autoscaling_annotations,
    scales,
    timeouts,
    concurrency,
    starting,
    probes,
    flags_are_asked_for,
    containers,
    mounts,
)
