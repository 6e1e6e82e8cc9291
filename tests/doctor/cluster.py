"""An API server that answers as a real one did, but for what a test has changed."""

from __future__ import annotations

import copy
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml

from tests.doctor.record import RECORDED

NAMESPACE = "/api/v1/namespaces/darkroom"
SERVICES = "/apis/serving.knative.dev/v1/namespaces/darkroom/services"
TRIGGERS = "/apis/eventing.knative.dev/v1/namespaces/darkroom/triggers"
BROKERS = "/apis/eventing.knative.dev/v1/namespaces/darkroom/brokers"
BINDINGS = "/apis/sources.knative.dev/v1/namespaces/darkroom/sinkbindings"
SERVING, EVENTING = "/api/v1/namespaces/knative-serving", "/api/v1/namespaces/knative-eventing"
NODES = "/api/v1/nodes"
ACCOUNTS = f"{NAMESPACE}/serviceaccounts"
ABOUT_CLUSTER = ("gpu", "knative", "objects", "capacity")
MAX_SCALE = "autoscaling.knative.dev/max-scale"
# Of the kubeconfig; nothing may ever print it.
TOKEN = "not-to-be-shown-5e1f"  # noqa: S105  # a test's own


class Cluster:
    """The answers by path, to be changed before it is asked; a number instead of an answer is a status."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = json.loads(RECORDED.read_text("utf-8"))
        self.asked: list[str] = []

    def one(self, path: str, name: str) -> Any:
        """The object of this name in a list."""
        return next(item for item in self.answers[path]["items"] if item["metadata"]["name"] == name)

    def pod(self) -> Any:
        """What render's pods are made of."""
        return self.one(SERVICES, "render")["spec"]["template"]

    def node(self) -> Any:
        """The only one."""
        (node,) = self.answers[NODES]["items"]
        return node

    def data(self, namespace: str, name: str) -> dict[str, str]:
        """What a ConfigMap holds."""
        data: dict[str, str] = self.answers[f"{namespace}/configmaps/{name}"].setdefault("data", {})
        return data

    def remove(self, path: str, name: str) -> None:
        self.answers[path]["items"].remove(self.one(path, name))

    def with_gpus(self, count: int) -> None:
        """As a node offers them whose driver and device plugin are at work, kept for those who need them."""
        node = self.node()
        node["status"]["allocatable"] |= {"nvidia.com/gpu": str(count)}
        node["metadata"]["labels"] |= {"nvidia.com/gpu.present": "true"}
        node["spec"]["taints"] = [{"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}]

    def version(self, namespace: str, version: str) -> None:
        self.answers[namespace]["metadata"]["labels"]["app.kubernetes.io/version"] = version

    def copied(self) -> Cluster:
        return copy.deepcopy(self)


def sound() -> Cluster:
    """As recorded, with what the recorded cluster lacked: a GPU, roles of a cloud, and a name for its version."""
    cluster = Cluster()
    role = {"eks.amazonaws.com/role-arn": "arn:aws:iam::210987654321:role/darkroom-render"}
    account = {"metadata": {"name": "render", "namespace": "darkroom", "annotations": role}}
    cluster.answers[ACCOUNTS] = {"kind": "ServiceAccountList", "apiVersion": "v1", "metadata": {}, "items": [account]}
    cluster.with_gpus(1)
    for namespace in (SERVING, EVENTING):
        cluster.version(namespace, "1.21.1")
    return cluster


@contextmanager
def served(cluster: Cluster, folder: Path) -> Iterator[str]:
    """The KUBECONFIG of an HTTP server that answers as `cluster` does, and has it note what was asked."""

    class Api(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            known = self.headers["Authorization"] == f"Bearer {TOKEN}"
            cluster.asked.append(path)
            answer = cluster.answers.get(path, 404) if known else 401
            status = answer if isinstance(answer, int) else 200
            # As Kubernetes refuses: what is no object is a Status.
            body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": status, "message": "no"}
            text = json.dumps(body if isinstance(answer, int) else answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Api) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield kubeconfig(folder, f"http://127.0.0.1:{server.server_port}")
        finally:
            server.shutdown()
            thread.join()


def settings(path: str) -> dict[str, str]:
    """With a cluster, and without the seconds that torch takes to say that there is no GPU here."""
    return {"KUBECONFIG": path, "DARKROOM_DEVICE": "cpu"}


def kubeconfig(folder: Path, server: str) -> str:
    """The path of a file for kubectl's kind of programs, with the token."""
    path = folder / "kubeconfig"
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        "clusters": [{"name": "test", "cluster": {"server": server}}],
        "users": [{"name": "test", "user": {"token": TOKEN}}],
    }
    path.write_text(yaml.safe_dump(config), "utf-8")
    return str(path)
