"""What the doctor says of clusters of other kinds, before an installation, or when they do not answer."""

from __future__ import annotations

import re
import socketserver
import threading
from pathlib import Path

import pytest

from function.doctor.knative import BASE
from tests.doctor.cluster import (
    ABOUT_CLUSTER,
    MAX_SCALE,
    NAMESPACE,
    NODES,
    SERVICES,
    SERVING,
    TRIGGERS,
    kubeconfig,
    served,
    settings,
    sound,
)
from tests.doctor.running import report


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
    endless = sound()
    endless.pod()["metadata"]["annotations"][MAX_SCALE] = "0"
    with served(endless, tmp_path) as path:
        many = report({"KUBECONFIG": path}, "capacity", options=load)
        assert "render has no max-scale: 40 events at once may be as many pods" in many.wrong("numbers-fit")[-1]
        assert report({"KUBECONFIG": path}, "capacity", options=[*load, "--max-scale", "2"]).code == 0
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
    # It needs none of the flags, which are for Services of Knative's.
    cluster.data(SERVING, "config-features").clear()
    cluster.data(SERVING, "config-autoscaler")["allow-zero-initial-scale"] = "false"
    for name in ("archive", "intake"):
        notes = cluster.one(SERVICES, name)["spec"]["template"]["metadata"]["annotations"]
        notes["autoscaling.knative.dev/initial-scale"] = "1"
    with served(cluster, tmp_path) as path:
        said = report(settings(path), *ABOUT_CLUSTER)
    assert said.code == 0, said.stdout
    assert said.states("numbers-fit") == {"skipped"}


def test_of_what_is_not_there_yet_nothing_is_said_to_be_yours(tmp_path: Path) -> None:
    cluster = sound()
    del cluster.answers[f"{NAMESPACE}/configmaps/darkroom"]
    with served(cluster, tmp_path) as path:
        said = report(settings(path), "objects")
        assert [(one["state"], one["sentence"]) for one in said.of("objects-yours")] == [
            ("skipped", "there is no ConfigMap darkroom yet")
        ]
        cluster.one(SERVICES, "intake")["spec"]["template"]["spec"]["containers"][0]["image"] = "ghcr.io/example/intake"
        assert report(settings(path), "objects").states("objects-yours") == {"wrong"}


def test_what_render_will_need_is_looked_at_before_it_is_there(tmp_path: Path) -> None:
    cluster = sound()
    cluster.remove(SERVICES, "render")
    for name in ("config-features", "config-autoscaler"):
        cluster.data(SERVING, name).clear()
    with served(cluster, tmp_path) as path:
        said = report(settings(path), "knative")
    (refused,) = said.wrong("knative-flags")
    assert all(name in refused for name in BASE)
    assert said.wrong("scale-to-zero") == [
        "config-autoscaler refuses a Service that begins with no pod, as render does"
    ]
