"""Knative's own settings, which its administrator makes for the whole cluster: flags, limits, versions."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final

from function.capacity import go
from function.doctor.cluster import EVENTING, SERVING, Absent, Cluster, Found, notes_of, patching, resource
from function.doctor.configmaps import ConfigMaps, flag, legible, switch, truth, whole
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
    "`max-revision-timeout-seconds` in `config-defaults` is at least the longest `timeoutSeconds` of a Service, 600",
    "`kubectl patch`",
)
START = Check(
    "start-deadline",
    "a start may take as long as the startup probe of each Service allows (`progress-deadline`)",
    "`kubectl patch` of the annotation `serving.knative.dev/progress-deadline`",
)
ZERO = Check(
    "scale-to-zero",
    "`config-autoscaler` lets Services scale to zero, or the GPU never rests, and begin there, as render does",
    "`kubectl patch`, see `knative/cluster/`",
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
_MIN_SCALE, _INITIAL_SCALE = "autoscaling.knative.dev/min-scale", "autoscaling.knative.dev/initial-scale"


class Knative:
    """The ConfigMaps of Serving and Eventing."""

    name = "knative"
    checks = (VERSION, FLAGS, LIMIT, START, ZERO, TIMEOUTS)
    seconds = 20.0

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._maps = ConfigMaps(cluster)

    def run(self) -> Iterator[Finding]:
        if not self._cluster.named():
            yield VERSION.skipped("no cluster is named by a service account or KUBECONFIG")
            return
        for namespace in (SERVING, EVENTING):
            yield from looked_at(VERSION, partial(self._version, namespace))
        for check, look in (
            (FLAGS, self._flags),
            (LIMIT, self._limit),
            (START, self._start),
            (ZERO, self._zero),
            (TIMEOUTS, self._timeouts),
        ):
            yield from looked_at(check, partial(legible, check, look))

    def _version(self, namespace: str) -> Iterator[Finding]:
        label = self._cluster.version(namespace)
        numbers = re.match(r"v?(\d+)\.(\d+)", label or "")
        if numbers is None:
            yield VERSION.unknown(f"namespace {namespace} names no version" + (f" but {label}" if label else ""))
        elif (int(numbers[1]), int(numbers[2])) < OLDEST:
            part = namespace.partition("-")[2]
            # Knative may be taken from one minor release to the next, and no further at a time.
            following = f"knative-v{numbers[1]}.{int(numbers[2]) + 1}.0"
            release = f"https://github.com/knative/{part}/releases/download/{following}"
            yield VERSION.wrong(
                f"{namespace} is {label}, and knative/ is written for 1.15 and newer",
                f"kubectl apply --filename {release}/{part}-crds.yaml --filename {release}/{part}-core.yaml"
                "  # and so on, one minor release after the other",
            )
        else:
            yield VERSION.ok(f"{namespace} is {label}")

    def _flags(self) -> Iterator[Finding]:
        render = self._render()
        needed = BASE if self._planned() else flags_of(render) if render else frozenset()
        data = self._maps.data("config-features")
        # Of all that a pod may need, these alone are on unless they are switched off.
        defaults = {f"{_POD}volumes-emptydir": "enabled"}
        off = sorted(name for name in needed if flag(data, name, defaults.get(name, "disabled")) == "disabled")
        if off:
            change = {"data": dict.fromkeys(off, "enabled")}
            yield FLAGS.wrong(
                f"config-features refuses {', '.join(off)}", patching(SERVING, "configmaps/config-features", change)
            )
        else:
            yield FLAGS.ok(f"config-features allows all that render needs: {', '.join(sorted(needed)) or 'nothing'}")

    def _limit(self) -> Iterator[Finding]:
        most = self._maps.value("config-defaults", "max-revision-timeout-seconds", str(LONGEST), whole)
        asked = [
            (one["spec"]["template"]["spec"].get("timeoutSeconds", 0), one["metadata"]["name"])
            for one in self._services()
        ]
        if self._planned() or not asked:
            asked.append((LONGEST, "render"))
        longest, name = max(asked)
        if most < longest:
            change = {"data": {"max-revision-timeout-seconds": str(longest)}}
            yield LIMIT.wrong(
                f"config-defaults allows a timeoutSeconds of at most {most}, and {name} asks for {longest}",
                patching(SERVING, "configmaps/config-defaults", change),
            )
        else:
            yield LIMIT.ok(f"config-defaults allows a timeoutSeconds of {most}")

    def _start(self) -> Iterator[Finding]:
        default = self._maps.value("config-deployment", "progress-deadline", "600s", go)
        for service in self._cluster.every("Service"):
            name = service["metadata"]["name"]
            own, allowed = notes_of(service).get(_DEADLINE), _startup(service)
            deadline = go(own) if own else default
            if allowed >= deadline:
                longer = {"spec": {"template": {"metadata": {"annotations": {_DEADLINE: f"{allowed + 60:g}s"}}}}}
                yield START.wrong(
                    f"the startup probe of {name} allows {allowed:g} s, and Knative gives it up after {deadline:g} s",
                    patching(self._cluster.namespace, resource("Service", name), longer),
                )
            else:
                yield START.ok(f"{name} may take {allowed:g} s to start, and Knative waits {deadline:g} s")

    def _zero(self) -> Iterator[Finding]:
        name = "config-autoscaler"
        wrong = []
        if not self._maps.value(name, "enable-scale-to-zero", "true", truth):
            said = f"{name} keeps the last pod of each Service for ever, render's GPU with it"
            wrong.append((said, "enable-scale-to-zero"))
        # Knative refuses render otherwise, so that it is not there yet.
        begins = self._planned() or any(notes_of(one).get(_INITIAL_SCALE) == "0" for one in self._services())
        if begins and not self._maps.value(name, "allow-zero-initial-scale", "false", truth):
            wrong.append(
                (f"{name} refuses a Service that begins with no pod, as render does", "allow-zero-initial-scale")
            )
        for said, key in wrong:
            yield ZERO.wrong(said, patching(SERVING, f"configmaps/{name}", {"data": {key: "true"}}))
        if not wrong:
            render = self._render()
            kept = notes_of(render).get(_MIN_SCALE, "0") if render else "0"
            said = f", but render has min-scale {kept}, so its GPU never rests" if kept != "0" else ""
            yield ZERO.ok(f"Services may scale to zero{said}")

    def _timeouts(self) -> Iterator[Finding]:
        if self._maps.value("config-features", "delivery-timeout", "enabled", switch, EVENTING) == "enabled":
            yield TIMEOUTS.ok("Triggers may have a timeout")
        else:
            yield TIMEOUTS.wrong(
                "config-features refuses a timeout in a Trigger's delivery",
                patching(EVENTING, "configmaps/config-features", {"data": {"delivery-timeout": "enabled"}}),
            )

    def _services(self) -> Sequence[Found]:
        try:
            return self._cluster.every("Service")
        except Absent:
            return ()

    def _render(self) -> Found | None:
        return next((one for one in self._services() if one["metadata"]["name"] == "render"), None)

    def _planned(self) -> bool:
        """Whether render is yet to come, as knative/base has it: it is no Service now, nor something else."""
        return self._render() is None and "render" not in self._cluster.elsewhere()


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


def _startup(service: Found) -> float:
    """How long a Service's startup probes let it take, at most."""
    probes = [container.get("startupProbe") or {} for container in service["spec"]["template"]["spec"]["containers"]]
    return max(
        probe.get("initialDelaySeconds", 0) + (probe.get("periodSeconds") or 10) * (probe.get("failureThreshold") or 3)
        if probe
        else 0.0
        for probe in probes
    )
