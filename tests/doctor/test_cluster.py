"""What the doctor says of a cluster: one that has answered as recorded, and the same with a fault each."""

from __future__ import annotations

import json
import re
import socketserver
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest
import yaml

from function.doctor.capacity import BASE as PLANNED
from function.doctor.knative import BASE, flags_of
from function.doctor.objects import ASKED, NEEDED
from tests.darkroom import REPOSITORY
from tests.doctor.cluster import (
    BINDINGS,
    BROKERS,
    EVENTING,
    NAMESPACE,
    NODES,
    SERVICES,
    SERVING,
    TRIGGERS,
    Cluster,
    kubeconfig,
    served,
    sound,
)
from tests.doctor.running import Report, report
from tests.servers.dispatchers import DELIVERY

ABOUT_CLUSTER: Final = ("gpu", "knative", "objects", "capacity")
MAX_SCALE = "autoscaling.knative.dev/max-scale"


class Fault(NamedTuple):
    """What is changed, the one check that it makes wrong, and what the sentence and the command hold."""

    change: Callable[[Cluster], object]
    check: str
    sentence: str
    mend: str


def pod(cluster: Cluster) -> Any:
    """What render's pods are made of."""
    return cluster.one(SERVICES, "render")["spec"]["template"]


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
    return lambda cluster: pod(cluster)["metadata"]["annotations"].__setitem__(name, value)


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
        lambda cluster: pod(cluster)["spec"].update(containerConcurrency=0),
        "render-concurrency",
        "render takes any number of requests at once",
        '{"spec": {"template": {"spec": {"containerConcurrency": 1}}}}',
    ),
    "no end of pods": Fault(
        lambda cluster: pod(cluster)["metadata"]["annotations"].pop(MAX_SCALE),
        "render-scale",
        "render has no max-scale",
        f'"{MAX_SCALE}": "1"',
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
    "504 before the picture": Fault(
        lambda cluster: pod(cluster)["spec"].pop("responseStartTimeoutSeconds"),
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


def settings(path: str) -> dict[str, str]:
    """With a cluster, and without the seconds that torch takes to say that there is no GPU here."""
    return {"KUBECONFIG": path, "DARKROOM_DEVICE": "cpu"}


def checks(faults: dict[str, Fault]) -> set[str]:
    return {fault.check for fault in faults.values()}


# These change what other checks look at.
ALONE: Final = {"no Eventing", "a Trigger that is missing", "504 before the picture", "fewer GPUs than pods"}


def batches() -> list[dict[str, Fault]]:
    """The faults in few clusters: in each, every check has at most one."""
    rounds: list[dict[str, Fault]] = []
    for name, fault in FAULTS.items():
        fits = (
            one for one in rounds if not ALONE & {name, *one} and fault.check not in {f.check for f in one.values()}
        )
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


def test_the_load_is_looked_at_with_the_clusters_own_numbers(tmp_path: Path) -> None:
    with served(sound(), tmp_path) as path:
        load = ("--render-seconds", "20", "--in-flight", "40", "--cold-start", "60")
        one = report({"KUBECONFIG": path}, "capacity", options=load)
        assert re.search("40 events at once .* 860 s.* 504 after 600 s", one.sentences()[0])
        assert "# with: max-scale of render" in one.mends("numbers-fit")[0]
        two = report({"KUBECONFIG": path}, "capacity", options=[*load, "--max-scale", "2"])
        assert two.sentences("ok") == [
            "40 at once, 20 s each, on 2 pods: the last is drawn 400 s after the start, of 600 s"
        ]
    planned = report({}, "capacity", options=load)
    assert planned.sentences() == one.sentences(), "without a cluster, knative/base is what is planned with"


def test_what_may_not_be_read_is_said_and_hides_nothing(tmp_path: Path) -> None:
    cluster = sound()
    cluster.answers |= {NODES: 403, f"{SERVING}/configmaps/config-features": 403, TRIGGERS: 500}
    with served(cluster, tmp_path) as path:
        said = report(settings(path), "gpu", "knative", "objects")
    assert said.code == 0, said.stdout
    assert said.states("gpu-offered") == {"unknown"}
    (flags,) = said.of("knative-flags")
    assert flags["sentence"] == "this account may not read configmaps in knative-serving"
    for check in ("knative-timeout", "scale-to-zero", "delivery-timeout"):
        assert said.states(check) == {"ok"}
    assert "the cluster's API answered 500 for triggers.eventing.knative.dev in darkroom" in said.sentences("unknown")
    assert said.states("render-concurrency") == {"ok"}


def test_a_cluster_that_does_not_answer_is_asked_once(tmp_path: Path) -> None:
    met = 0

    class HangsUp(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            nonlocal met
            met += 1
            # Or the client might hear of a reset.
            self.request.recv(65_536)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), HangsUp) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            address = f"http://127.0.0.1:{server.server_address[1]}"
            said = report(settings(kubeconfig(tmp_path, address)), *ABOUT_CLUSTER)
        finally:
            server.shutdown()
            thread.join()
    assert said.code == 0
    assert set(said.sentences("unknown")) == {"the cluster's API does not answer: RemoteProtocolError"}
    assert met == 1


@pytest.mark.parametrize("text", ["clusters: [{not-to-be-shown-5e1f", "users: [{name: not-to-be-shown-5e1f}]"])
def test_a_kubeconfig_that_is_none(text: str, tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text(text, "utf-8")
    said = report({"KUBECONFIG": str(path)}, "objects")
    assert said.code == 0
    assert "not-to-be-shown" not in said.stdout + said.stderr
    assert any("the cluster's address or keys cannot be read" in sentence for sentence in said.sentences("unknown"))


def test_render_may_be_a_deployment(tmp_path: Path) -> None:
    cluster = sound()
    cluster.remove(SERVICES, "render")
    ref = {"apiVersion": "v1", "kind": "Service", "name": "render"}
    cluster.one(TRIGGERS, "image-requested")["spec"]["subscriber"]["ref"] = ref
    with served(cluster, tmp_path) as path:
        said = report(settings(path), "gpu", "knative", "objects")
    assert said.code == 0, said.stdout


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
