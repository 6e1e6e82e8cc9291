"""What will time out: the installation's numbers against each other, and against the user's render time and load."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from function.capacity import Load, Misfit, Numbers
from function.config import Settings, WrongSettings
from function.doctor.cluster import Cluster, Found
from function.doctor.finding import Check, Finding, looked_at
from function.doctor.objects import ASKED

FITS = Check(
    "numbers-fit",
    "timeouts, retries and limits fit together, and with `--render-seconds` the load fits into them (docs/capacity.md)",
    "the setting that the line names",
)
TRIGGER: Final = "image-requested"
# What knative/base says of render, for those who have no cluster yet; a test compares.
BASE: Final[Mapping[str, Any]] = {
    "spec": {
        "template": {
            "metadata": {
                "annotations": {
                    "autoscaling.knative.dev/max-scale": "1",
                    "serving.knative.dev/progress-deadline": "1800s",
                }
            },
            "spec": {
                "timeoutSeconds": 600,
                "responseStartTimeoutSeconds": 600,
                "containers": [{"startupProbe": {"periodSeconds": 2, "failureThreshold": 300}}],
            },
        }
    }
}


@dataclass(frozen=True, slots=True)
class Asked:
    """What the user says of the load; seconds."""

    render: float | None
    cold_start: float
    in_flight: int
    max_scale: int | None


class Capacity:
    """The arithmetic of `function/capacity.py` on what is in the cluster, or would be."""

    name = "capacity"
    checks = (FITS,)
    seconds = 10.0

    def __init__(self, cluster: Cluster, settings: Settings, asked: Asked) -> None:
        self._cluster = cluster
        self._settings = settings
        self._asked = asked

    def run(self) -> Iterator[Finding]:
        yield from looked_at(FITS, self._fits)
        if self._asked.render is None:
            yield FITS.skipped("name --render-seconds and --in-flight to be told what will time out under your load")

    def _fits(self) -> Iterator[Finding]:
        if self._cluster.named() and "render" in self._cluster.elsewhere():
            yield FITS.skipped("render is no Service of Knative's here, and these numbers are")
            return
        service, trigger, broker = self._manifests()
        try:
            settings = self._settings_of(service)
        except WrongSettings as error:
            yield FITS.wrong(
                f"render does not start with its settings: {error}",
                "kubectl apply --kustomize $OVERLAY  # with another value",
            )
            return
        asked = self._asked
        # Without a load only the installation's own numbers are compared.
        load = Load(asked.render, asked.cold_start, asked.in_flight) if asked.render is not None else Load(0, 0, 1)
        numbers = Numbers.of(service, trigger, broker, settings, load)
        if asked.max_scale is not None:
            numbers = replace(numbers, max_scale=asked.max_scale)
        misfits = numbers.misfits()
        if asked.render is not None and not numbers.max_scale:
            misfits.append(
                Misfit(
                    f"render has no max-scale: {load.in_flight} events at once may be as many pods, and those without "
                    "a GPU wait",
                    "max-scale of render, one for each GPU; until then --max-scale",
                )
            )
        for misfit in misfits:
            yield FITS.wrong(misfit.sentence, f"kubectl apply --kustomize $OVERLAY  # with: {misfit.knob}")
        if misfits:
            return
        said = "limits, timeouts and retries fit together"
        if asked.render is not None:
            said = (
                f"{load.in_flight} at once, {load.render:g} s each, on {numbers.max_scale} pods: "
                f"the last is drawn {numbers.queue:g} s after the start, of {numbers.timeout:g} s"
            )
        yield FITS.ok(said if service is not BASE else f"{said}, as knative/base has them")

    def _manifests(self) -> tuple[Found, Found, Found]:
        """Render's Service, its Trigger and their Broker: as the cluster has them, else as knative/base."""
        base: tuple[Found, Found, Found] = (BASE, {"spec": {"delivery": ASKED}}, {"metadata": {}})
        if not self._cluster.named():
            return base
        service, trigger = self._cluster.one("Service", "render"), self._cluster.one("Trigger", TRIGGER)
        broker = self._cluster.one("Broker", trigger["spec"]["broker"]) if trigger else None
        return (service, trigger, broker) if service and trigger and broker else base

    def _settings_of(self, service: Found) -> Settings:
        """Render's own settings, as far as they are in the Service and in the ConfigMaps that it names."""
        if service is BASE:
            return self._settings
        container = service["spec"]["template"]["spec"]["containers"][0]
        environment: dict[str, str] = {}
        for source in container.get("envFrom", ()):
            if name := source.get("configMapRef", {}).get("name"):
                found = self._cluster.data(name, self._cluster.namespace) or {}
                environment |= {f"{source.get('prefix', '')}{key}": value for key, value in found.items()}
        for variable in container.get("env", ()):
            if "value" in variable:
                environment[variable["name"]] = variable["value"]
            elif ref := variable.get("valueFrom", {}).get("configMapKeyRef"):
                found = self._cluster.data(ref["name"], self._cluster.namespace) or {}
                environment |= {variable["name"]: found[ref["key"]]} if ref["key"] in found else {}
        # That it is empty in a ConfigMap says nothing of the Secret, which is not read.
        environment.pop("DARKROOM_DOOR_TOKEN", None)
        return Settings.from_environment(environment)
