"""Knative's own settings, which its administrator makes for the whole cluster: flags, limits, versions."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, Final

from function.capacity import go
from function.doctor.cluster import EVENTING, SERVING, Absent, Cluster, Found, notes_of, patching, resource
from function.doctor.finding import Check, Finding, looked_at

VERSION = Check(
    "knative-version",
    "Serving is 1.15 or newer, the first with startup probes, and Eventing too",
    "a newer Knative",
)
FLAGS = Check(
    "knative-flags",
    "`config-features` allows what render's pod asks for: its volume, where it runs, what it tolerates",
    "`kubectl patch`, see `knative/cluster/`",
)
LIMIT = Check(
    "knative-timeout",
    "`max-revision-timeout-seconds` in `config-defaults` is at least 600",
    "`kubectl patch`",
)
START = Check(
    "start-deadline",
    "a start may take as long as the startup probe of each Service allows (`progress-deadline`)",
    "`kubectl patch` of the annotation `serving.knative.dev/progress-deadline`",
)
ZERO = Check(
    "scale-to-zero", "`enable-scale-to-zero` in `config-autoscaler` is on, or the GPU never rests", "`kubectl patch`"
)
TIMEOUTS = Check(
    "delivery-timeout",
    "`delivery-timeout` in Eventing's `config-features` is on, or no Trigger may have a timeout",
    "`kubectl patch`",
)

OLDEST: Final = (1, 15)
LONGEST: Final = 600
_DEADLINE: Final = "serving.knative.dev/progress-deadline"
_POD: Final = "kubernetes.podspec-"
# As knative/base needs them; a test compares.
BASE: Final = frozenset(_POD + field for field in ("persistent-volume-claim", "nodeselector", "tolerations"))
_FIELDS: Final = {
    "affinity": "affinity",
    "initContainers": "init-containers",
    "nodeSelector": "nodeselector",
    "priorityClassName": "priorityclassname",
    "runtimeClassName": "runtimeclassname",
    "schedulerName": "schedulername",
    "securityContext": "securitycontext",
    "tolerations": "tolerations",
}


class Knative:
    """The ConfigMaps of Serving and Eventing."""

    name = "knative"
    checks = (VERSION, FLAGS, LIMIT, START, ZERO, TIMEOUTS)
    seconds = 20.0

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def run(self) -> Iterator[Finding]:
        if not self._cluster.named():
            yield VERSION.skipped("no cluster is named by a service account or KUBECONFIG")
            return
        for namespace in (SERVING, EVENTING):
            yield from looked_at(VERSION, partial(self._version, namespace))
        yield from looked_at(FLAGS, self._flags)
        yield from looked_at(LIMIT, self._limit)
        yield from looked_at(START, self._start)
        yield from looked_at(ZERO, self._zero)
        yield from looked_at(TIMEOUTS, self._timeouts)

    def _version(self, namespace: str) -> Iterator[Finding]:
        label = self._cluster.version(namespace)
        numbers = re.match(r"v?(\d+)\.(\d+)", label or "")
        if numbers is None:
            yield VERSION.unknown(f"namespace {namespace} names no version" + (f" but {label}" if label else ""))
        elif (int(numbers[1]), int(numbers[2])) < OLDEST:
            part = namespace.partition("-")[2]
            release = f"https://github.com/knative/{part}/releases/latest/download"
            yield VERSION.wrong(
                f"{namespace} is {label}, and knative/ is written for 1.15 and newer",
                f"kubectl apply --filename {release}/{part}-crds.yaml --filename {release}/{part}-core.yaml",
            )
        else:
            yield VERSION.ok(f"{namespace} is {label}")

    def _flags(self) -> Iterator[Finding]:
        try:
            render = self._cluster.one("Service", "render")
        except Absent:
            render = None
        needed = flags_of(render) if render else BASE
        data = self._data("config-features", SERVING)
        # Of all that a pod may need, these alone are on unless they are switched off.
        defaults = {f"{_POD}volumes-emptydir": "enabled"}
        off = sorted(flag for flag in needed if _value(data, flag, defaults.get(flag, "disabled")) == "disabled")
        if off:
            change = {"data": dict.fromkeys(off, "enabled")}
            yield FLAGS.wrong(
                f"config-features refuses {', '.join(off)}", patching(SERVING, "configmaps/config-features", change)
            )
        else:
            yield FLAGS.ok(f"config-features allows all that render needs: {', '.join(sorted(needed)) or 'nothing'}")

    def _limit(self) -> Iterator[Finding]:
        most = int(_value(self._data("config-defaults", SERVING), "max-revision-timeout-seconds", str(LONGEST)))
        if most < LONGEST:
            change = {"data": {"max-revision-timeout-seconds": str(LONGEST)}}
            yield LIMIT.wrong(
                f"config-defaults allows a timeoutSeconds of at most {most}, and render asks for {LONGEST}",
                patching(SERVING, "configmaps/config-defaults", change),
            )
        else:
            yield LIMIT.ok(f"config-defaults allows a timeoutSeconds of {most}")

    def _start(self) -> Iterator[Finding]:
        default = _value(self._data("config-deployment", SERVING), "progress-deadline", "600s")
        for service in self._cluster.every("Service"):
            name = service["metadata"]["name"]
            deadline, allowed = go(notes_of(service).get(_DEADLINE, default)), _startup(service)
            if allowed >= deadline:
                longer = {"spec": {"template": {"metadata": {"annotations": {_DEADLINE: f"{allowed + 60:g}s"}}}}}
                yield START.wrong(
                    f"the startup probe of {name} allows {allowed:g} s, and Knative gives it up after {deadline:g} s",
                    patching(self._cluster.namespace, resource("Service", name), longer),
                )
            else:
                yield START.ok(f"{name} may take {allowed:g} s to start, and Knative waits {deadline:g} s")

    def _zero(self) -> Iterator[Finding]:
        if _value(self._data("config-autoscaler", SERVING), "enable-scale-to-zero", "true") == "true":
            yield ZERO.ok("Services may scale to zero")
        else:
            yield ZERO.wrong(
                "config-autoscaler keeps the last pod of each Service for ever, render's GPU with it",
                patching(SERVING, "configmaps/config-autoscaler", {"data": {"enable-scale-to-zero": "true"}}),
            )

    def _timeouts(self) -> Iterator[Finding]:
        if _value(self._data("config-features", EVENTING), "delivery-timeout", "enabled") == "disabled":
            yield TIMEOUTS.wrong(
                "config-features refuses a timeout in a Trigger's delivery",
                patching(EVENTING, "configmaps/config-features", {"data": {"delivery-timeout": "enabled"}}),
            )
        else:
            yield TIMEOUTS.ok("Triggers may have a timeout")

    def _data(self, name: str, namespace: str) -> Mapping[str, str]:
        data = self._cluster.data(name, namespace)
        if data is None:
            raise Absent(f"there is no ConfigMap {name} in namespace {namespace}: is Knative installed there?")
        return data


def flags_of(service: Found) -> frozenset[str]:
    """The flags without which Serving refuses a Service's pod."""
    pod: Mapping[str, Any] = service["spec"]["template"]["spec"]
    needed = {_POD + flag for field, flag in _FIELDS.items() if pod.get(field)}
    for volume in pod.get("volumes", ()):
        if claim := volume.get("persistentVolumeClaim"):
            needed |= {_POD + "persistent-volume-claim"}
            needed |= set() if claim.get("readOnly") else {_POD + "persistent-volume-write"}
        needed |= {
            f"{_POD}volumes-{kind.lower()}" for kind in ("emptyDir", "hostPath", "csi", "image") if kind in volume
        }
    return frozenset(needed)


def _value(data: Mapping[str, str], key: str, default: str) -> str:
    return data.get(key, default).strip().lower()


def _startup(service: Found) -> float:
    """How long a Service's startup probes let it take, at most."""
    probes = [container.get("startupProbe") or {} for container in service["spec"]["template"]["spec"]["containers"]]
    return max(
        probe.get("initialDelaySeconds", 0) + (probe.get("periodSeconds") or 10) * (probe.get("failureThreshold") or 3)
        if probe
        else 0.0
        for probe in probes
    )
