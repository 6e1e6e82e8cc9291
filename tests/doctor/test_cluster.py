"""What the doctor says of a cluster: one that has answered as recorded, and the same with a fault each."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final, NamedTuple

import pytest
import yaml

from function.doctor.capacity import BASE as PLANNED
from function.doctor.knative import BASE, flags_of
from function.doctor.objects import ASKED, NEEDED
from function.doctor.placeholders import EXAMPLE
from tests.darkroom import REPOSITORY
from tests.doctor.cluster import (
    ABOUT_CLUSTER,
    ACCOUNTS,
    BINDINGS,
    BROKERS,
    EVENTING,
    MAX_SCALE,
    NAMESPACE,
    SERVICES,
    SERVING,
    TRIGGERS,
    Cluster,
    served,
    settings,
    sound,
)
from tests.doctor.running import Report, report
from tests.servers.dispatchers import DELIVERY


class Fault(NamedTuple):
    """What is changed, the check that it makes wrong, and what the sentence and the command hold."""

    change: Callable[[Cluster], object]
    check: str
    sentence: str
    mend: str
    # Other checks that it makes wrong, too.
    also: frozenset[str] = frozenset()


def setting(namespace: str, name: str, key: str, value: str) -> Callable[[Cluster], object]:
    return lambda cluster: cluster.data(namespace, name).__setitem__(key, value)


def delivery(**changed: Any) -> Callable[[Cluster], object]:
    """Of render's Trigger; None takes a field out."""

    def change(cluster: Cluster) -> None:
        block = cluster.one(TRIGGERS, "image-requested")["spec"]["delivery"]
        block |= changed
        for field in [field for field, value in block.items() if value is None]:
            del block[field]

    return change


def unready(cluster: Cluster) -> None:
    status = cluster.one(TRIGGERS, "prompts-dropped")["status"]
    (ready,) = [condition for condition in status["conditions"] if condition["type"] == "Ready"]
    ready |= {"status": "False", "reason": "BrokerDoesNotExist", "message": 'Broker\n"darkroom" not found'}


def stale(cluster: Cluster) -> None:
    cluster.one(SERVICES, "intake")["metadata"]["generation"] += 1


def silent(cluster: Cluster) -> None:
    del cluster.one(BROKERS, "darkroom")["status"]["conditions"]


def annotated(name: str, value: str) -> Callable[[Cluster], object]:
    return lambda cluster: cluster.pod()["metadata"]["annotations"].__setitem__(name, value)


def examples(cluster: Cluster) -> None:
    cluster.data(NAMESPACE, "darkroom")["DARKROOM_S3_PUBLIC_ENDPOINT"] = "https://minio.example.com"
    role = {"eks.amazonaws.com/role-arn": "arn:aws:iam::111122223333:role/darkroom-render"}
    cluster.one(ACCOUNTS, "render")["metadata"]["annotations"] = role
    for name in ("archive", "intake"):
        (container,) = cluster.one(SERVICES, name)["spec"]["template"]["spec"]["containers"]
        container["image"] = "ghcr.io/example/darkroom-intake:0.1.0"


def renamed(cluster: Cluster) -> None:
    """Render's own limit, from another key of its ConfigMap."""
    cluster.data(NAMESPACE, "darkroom")["limit"] = "590"
    ref = {"configMapKeyRef": {"name": "darkroom", "key": "limit"}}
    cluster.pod()["spec"]["containers"][0]["env"] = [{"name": "DARKROOM_RENDER_LIMIT", "valueFrom": ref}]


CORDONED: Final = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}
LETTERS: Final = {"ref": {"apiVersion": "serving.knative.dev/v1", "kind": "Service", "name": "archive"}}
WHOLE: Final = json.dumps({"spec": {"delivery": {**DELIVERY, "deadLetterSink": LETTERS}}})
CLAIM: Final = "kubernetes.podspec-persistent-volume-claim"
FAULTS: Final = {
    "old Serving": Fault(
        lambda cluster: cluster.version(SERVING, "v1.14.0"),
        "knative-version",
        "knative-serving is v1.14.0",
        "kubectl apply --filename https://github.com/knative/serving/",
    ),
    "a flag that is off": Fault(
        setting(SERVING, "config-features", CLAIM, "Disabled"),
        "knative-flags",
        f"config-features refuses {CLAIM}",
        "kubectl --namespace knative-serving patch configmaps/config-features --type merge "
        f"""--patch '{{"data": {{"{CLAIM}": "enabled"}}}}'""",
    ),
    "a limit that is too low": Fault(
        setting(SERVING, "config-defaults", "max-revision-timeout-seconds", "300"),
        "knative-timeout",
        "a timeoutSeconds of at most 300",
        '{"data": {"max-revision-timeout-seconds": "600"}}',
    ),
    "a start that is given up before its probe": Fault(
        setting(SERVING, "config-deployment", "progress-deadline", "2m"),
        "start-deadline",
        "the startup probe of archive allows 120 s, and Knative gives it up after 120 s",
        '{"annotations": {"serving.knative.dev/progress-deadline": "180s"}}',
    ),
    "a flag that is no word of Knative's": Fault(
        setting(SERVING, "config-features", "kubernetes.podspec-tolerations", "true"),
        "knative-flags",
        "config-features refuses kubernetes.podspec-tolerations",
        '{"data": {"kubernetes.podspec-tolerations": "enabled"}}',
    ),
    "a limit that is no number": Fault(
        setting(SERVING, "config-defaults", "max-revision-timeout-seconds", "10m"),
        "knative-timeout",
        "config-defaults has '10m' for max-revision-timeout-seconds, which Knative cannot read",
        '{"data": {"max-revision-timeout-seconds": "600"}}',
    ),
    "a Service that asks for more than the limit": Fault(
        lambda cluster: cluster.one(SERVICES, "intake")["spec"]["template"]["spec"].update(timeoutSeconds=900),
        "knative-timeout",
        "a timeoutSeconds of at most 600, and intake asks for 900",
        '{"data": {"max-revision-timeout-seconds": "900"}}',
    ),
    "a deadline that is no duration": Fault(
        setting(SERVING, "config-deployment", "progress-deadline", "600"),
        "start-deadline",
        "config-deployment has '600' for progress-deadline, which Knative cannot read",
        '{"data": {"progress-deadline": "600s"}}',
    ),
    "a switch that is neither on nor off": Fault(
        setting(SERVING, "config-autoscaler", "enable-scale-to-zero", "yes"),
        "scale-to-zero",
        "config-autoscaler has 'yes' for enable-scale-to-zero, which Knative cannot read",
        '{"data": {"enable-scale-to-zero": "true"}}',
    ),
    "no beginning at zero": Fault(
        lambda cluster: cluster.data(SERVING, "config-autoscaler").pop("allow-zero-initial-scale"),
        "scale-to-zero",
        "config-autoscaler refuses a Service that begins with no pod",
        '{"data": {"allow-zero-initial-scale": "true"}}',
    ),
    "a timeout that is neither": Fault(
        setting(EVENTING, "config-features", "delivery-timeout", "on"),
        "delivery-timeout",
        "config-features has 'on' for delivery-timeout, which Knative cannot read",
        '{"data": {"delivery-timeout": "enabled"}}',
    ),
    "no way to zero": Fault(
        setting(SERVING, "config-autoscaler", "enable-scale-to-zero", "false"),
        "scale-to-zero",
        "keeps the last pod of each Service for ever",
        '{"data": {"enable-scale-to-zero": "true"}}',
    ),
    "no timeouts in a delivery": Fault(
        setting(EVENTING, "config-features", "delivery-timeout", "disabled"),
        "delivery-timeout",
        "refuses a timeout in a Trigger's delivery",
        "kubectl --namespace knative-eventing patch configmaps/config-features",
    ),
    "a Trigger that is missing": Fault(
        lambda cluster: cluster.remove(TRIGGERS, "prompts-dropped"),
        "objects-there",
        "Trigger prompts-dropped is missing in namespace darkroom",
        "kubectl apply --kustomize $OVERLAY",
    ),
    "a SinkBinding that is missing": Fault(
        lambda cluster: cluster.remove(BINDINGS, "sweep"),
        "objects-there",
        "SinkBinding sweep is missing",
        "kubectl apply --kustomize $OVERLAY",
    ),
    "no Eventing": Fault(
        lambda cluster: [cluster.answers.pop(path) for path in (TRIGGERS, BINDINGS, BROKERS)],
        "objects-there",
        "Knative Eventing is not installed: the cluster has no brokers.eventing.knative.dev",
        "eventing-crds.yaml",
    ),
    "a Trigger that is not ready": Fault(
        unready,
        "objects-ready",
        'Trigger prompts-dropped is not ready: BrokerDoesNotExist: Broker "darkroom" not found',
        "kubectl --namespace darkroom describe triggers.eventing.knative.dev/prompts-dropped",
    ),
    "a change that nobody has looked at": Fault(
        stale, "objects-ready", "Service intake is not ready: Knative has not looked at", "describe services.serving"
    ),
    "a Broker that says nothing": Fault(
        silent, "objects-ready", "Broker darkroom is not ready: it does not say", "describe brokers.eventing"
    ),
    "a Trigger without delivery": Fault(
        lambda cluster: cluster.one(TRIGGERS, "prompts-dropped")["spec"].pop("delivery"),
        "trigger-delivery",
        "Trigger prompts-dropped asks for another retry, backoffPolicy, backoffDelay, timeout of delivery",
        WHOLE,
    ),
    "a Trigger with another timeout": Fault(
        delivery(timeout="PT12M"),
        "trigger-delivery",
        "Trigger image-requested asks for another timeout of delivery than knative/base",
        "kubectl --namespace darkroom patch triggers.eventing.knative.dev/image-requested --type merge",
    ),
    "a Trigger without dead letters": Fault(
        delivery(deadLetterSink=None),
        "trigger-delivery",
        "Trigger image-requested has no deadLetterSink",
        '"name": "archive"',
    ),
    "two pictures at once": Fault(
        lambda cluster: cluster.pod()["spec"].update(containerConcurrency=0),
        "render-concurrency",
        "render takes any number of requests at once",
        '{"spec": {"template": {"spec": {"containerConcurrency": 1}}}}',
    ),
    "no end of pods": Fault(
        lambda cluster: cluster.pod()["metadata"]["annotations"].pop(MAX_SCALE),
        "render-scale",
        "render has no max-scale",
        f'"{MAX_SCALE}": "1"',
        frozenset({"gpu-offered"}),
    ),
    "any number of pods": Fault(
        annotated(MAX_SCALE, "0"),
        "gpu-offered",
        "render has no max-scale, and the nodes have GPUs for 1 of its pods",
        f'"{MAX_SCALE}": "1"',
        frozenset({"render-scale"}),
    ),
    "two pods for one render": Fault(
        annotated("autoscaling.knative.dev/target-utilization-percentage", "70"),
        "render-scale",
        "a target utilization of 70 %",
        '"autoscaling.knative.dev/target-utilization-percentage": "100"',
    ),
    "no GPU": Fault(
        lambda cluster: cluster.with_gpus(0),
        "gpu-offered",
        "render asks for nvidia.com/gpu, and no node offers any",
        "helm upgrade --install gpu-operator",
    ),
    "fewer GPUs than pods": Fault(
        annotated(MAX_SCALE, "3"),
        "gpu-offered",
        "render may come to 3 pods of 1 GPU, and the nodes offer 1",
        f'"{MAX_SCALE}": "1"',
    ),
    "GPUs under another label": Fault(
        lambda cluster: cluster.node()["metadata"]["labels"].pop("nvidia.com/gpu.present"),
        "gpu-offered",
        "node lab has GPUs, but not the label nvidia.com/gpu.present=true of render's nodeSelector",
        "kubectl label nodes lab nvidia.com/gpu.present=true",
    ),
    "GPUs behind a taint": Fault(
        lambda cluster: cluster.node()["spec"]["taints"].append({"key": "sku", "value": "gpu", "effect": "NoSchedule"}),
        "gpu-offered",
        "node lab has GPUs, and the taint sku:NoSchedule that render does not tolerate",
        ', {"key": "sku", "operator": "Exists", "effect": "NoSchedule"}]',
    ),
    "a node that takes no more pods": Fault(
        lambda cluster: cluster.node()["spec"]["taints"].append(CORDONED),
        "gpu-offered",
        "the taint node.kubernetes.io/unschedulable:NoSchedule that render does not tolerate",
        "kubectl describe node lab",
    ),
    "fewer GPUs on a node than a pod asks for": Fault(
        lambda cluster: cluster.pod()["spec"]["containers"][0]["resources"]["limits"].update({"nvidia.com/gpu": "2"}),
        "gpu-offered",
        "a pod of render asks for 2 nvidia.com/gpu, and no node offers as many",
        "helm upgrade --install gpu-operator",
    ),
    "examples that were left": Fault(
        examples,
        "objects-yours",
        "only examples: minio.example.com (ConfigMap darkroom); 111122223333 (ServiceAccount render); "
        "ghcr.io/example/darkroom-intake (Service archive, Service intake)",
        "kubectl apply --kustomize $OVERLAY",
    ),
    "a setting that nothing starts with": Fault(
        setting(NAMESPACE, "darkroom", "DARKROOM_RENDER_LIMIT", "soon"),
        "numbers-fit",
        "render does not start with its settings: DARKROOM_RENDER_LIMIT: must be a valid number",
        "kubectl apply --kustomize $OVERLAY",
    ),
    "a setting by way of another name": Fault(
        renamed,
        "numbers-fit",
        "a render may take 590 s, but a pod that is stopped waits 570 s for it",
        "# with: DARKROOM_DRAIN_GRACE ",
    ),
    "504 before the picture": Fault(
        lambda cluster: cluster.pod()["spec"].pop("responseStartTimeoutSeconds"),
        "numbers-fit",
        "a render may take 540 s, but Knative answers 504 after 300 s",
        "kubectl apply --kustomize $OVERLAY  # with: DARKROOM_RENDER_LIMIT below timeoutSeconds",
    ),
    "another limit in the cluster's settings": Fault(
        setting(NAMESPACE, "darkroom", "DARKROOM_RENDER_LIMIT", "590"),
        "numbers-fit",
        "a render may take 590 s, but a pod that is stopped waits 570 s for it",
        "kubectl apply --kustomize $OVERLAY  # with: DARKROOM_DRAIN_GRACE ",
    ),
}


def checks(faults: dict[str, Fault]) -> set[str]:
    return {check for fault in faults.values() for check in (fault.check, *fault.also)}


# These change what other checks look at.
ALONE: Final = {"no Eventing", "a Trigger that is missing", "504 before the picture", "fewer GPUs than pods"}


def batches() -> list[dict[str, Fault]]:
    """The faults in few clusters: in each, every check has at most one."""
    rounds: list[dict[str, Fault]] = []
    for name, fault in FAULTS.items():
        fits = (one for one in rounds if not ALONE & {name, *one} and not checks(one) & checks({name: fault}))
        into = next(fits, None)
        if into is None:
            rounds.append(into := {})
        into[name] = fault
    return rounds


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Report]]:
    """What is said of a sound cluster, and of each fault; two at a time, as there are mostly two cores."""

    def said(faults: dict[str, Fault]) -> Report:
        cluster = sound()
        for fault in faults.values():
            fault.change(cluster)
        with served(cluster, tmp_path_factory.mktemp("cluster")) as path:
            return report(settings(path), *ABOUT_CLUSTER)

    with ThreadPoolExecutor(2) as pool:
        futures: dict[str, Future[Report]] = {"sound": pool.submit(said, {})}
        for faults in batches():
            futures |= dict.fromkeys(faults, pool.submit(said, faults))
        yield lambda name: futures[name].result()


def test_a_sound_cluster_is_ok(reports: Callable[[str], Report]) -> None:
    said = reports("sound")
    assert said.code == 0, said.stdout
    assert {finding["check"] for finding in said.findings if finding["state"] == "ok"} == {
        *(fault.check for fault in FAULTS.values())
    }
    assert said.sentences("unknown") == []


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_found_and_what_mends_it(name: str, reports: Callable[[str], Report]) -> None:
    fault, said = FAULTS[name], reports(name)
    assert said.code == 1
    assert fault.sentence in said.wrong(fault.check)[0]
    assert fault.mend in said.mends(fault.check)[0]


def test_no_fault_is_taken_for_another(reports: Callable[[str], Report]) -> None:
    for faults in batches():
        said = reports(next(iter(faults)))
        wrong = {finding["check"] for finding in said.findings if finding["state"] == "wrong"}
        assert wrong == checks(faults), said.stdout


def test_every_example_of_the_overlays_is_known_as_one() -> None:
    folders = [REPOSITORY / "knative" / name for name in ("overlays", "doctor", "components")]
    lines = [
        line
        for folder in folders
        for path in sorted(folder.rglob("*.yaml"))
        for line in path.read_text("utf-8").splitlines()
        if re.search("example|[0-9]{12}", line) and not line.lstrip().startswith("#")
    ]
    assert len(lines) > 10
    assert [line for line in lines if not EXAMPLE.search(line)] == []


def base(name: str) -> dict[tuple[str, str], Any]:
    """What a file of knative/base holds, by kind and name."""
    documents = yaml.safe_load_all((REPOSITORY / "knative" / "base" / name).read_text("utf-8"))
    return {(one["kind"], one["metadata"]["name"]): one for one in documents}


def test_what_is_asked_for_is_what_base_has() -> None:
    render = base("render.yaml")["Service", "render"]
    assert flags_of(render) - {"kubernetes.podspec-volumes-emptydir"} == BASE
    broker, intake, sweep = (base(f"{name}.yaml") for name in ("broker", "intake", "sweep"))
    for kind, names in NEEDED.items():
        for name in names:
            assert (kind, name) in broker | intake | sweep | base("render.yaml")
    assert ASKED == DELIVERY
    for name in NEEDED["Trigger"]:
        delivery = dict(broker["Trigger", name]["spec"]["delivery"])
        assert delivery.pop("deadLetterSink")["ref"]["name"] == "archive"
        assert delivery == ASKED
    planned, template = PLANNED["spec"]["template"], render["spec"]["template"]
    assert planned["metadata"]["annotations"].items() <= template["metadata"]["annotations"].items()
    for field in ("timeoutSeconds", "responseStartTimeoutSeconds"):
        assert planned["spec"][field] == template["spec"][field]
    ((probe,),) = [[one["startupProbe"] for one in spec["spec"]["containers"]] for spec in (planned,)]
    assert probe.items() <= template["spec"]["containers"][0]["startupProbe"].items()
