"""The Kubernetes API, read only: of the cluster that this runs in, or of the one that KUBECONFIG names."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from function.doctor.finding import ANSWER, Unseen
from function.extras import needs

if TYPE_CHECKING:
    from lightkube import Client
    from lightkube.models.core_v1 import Node

NAMESPACE: Final = "darkroom"
SERVING, EVENTING = "knative-serving", "knative-eventing"

_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")

Found = Mapping[str, Any]
T = TypeVar("T")

# Group and version of each kind, with the plural that paths are made of.
KINDS: Final = {
    "Service": ("serving.knative.dev", "v1", "services"),
    "Broker": ("eventing.knative.dev", "v1", "brokers"),
    "Trigger": ("eventing.knative.dev", "v1", "triggers"),
    "SinkBinding": ("sources.knative.dev", "v1", "sinkbindings"),
    "KafkaSource": ("sources.knative.dev", "v1", "kafkasources"),
    "KafkaSink": ("eventing.knative.dev", "v1alpha1", "kafkasinks"),
    "IntegrationSource": ("sources.knative.dev", "v1alpha1", "integrationsources"),
}


class Absent(Unseen):
    """The cluster has no such kind."""


class Cluster:
    """What the doctor reads of a cluster; every method raises `Unseen` where that cannot be read."""

    def __init__(self, namespace: str | None = None, answer: float = ANSWER) -> None:
        self._answer = answer
        self._namespace = namespace
        self._away: Unseen | None = None
        self._lists: dict[str, list[Found]] = {}

    @staticmethod
    def named() -> bool:
        """Whether anything says where a cluster is."""
        return _ACCOUNT.exists() or _kubeconfig() is not None

    @property
    def namespace(self) -> str:
        """The one that was asked for, else the one that this runs in or that KUBECONFIG names, else `darkroom`."""
        if self._namespace or not self.named():
            return self._namespace or NAMESPACE
        return self._client.config.context.namespace or NAMESPACE

    def every(self, kind: str) -> list[Found]:
        """All of a kind in the namespace, read once; `Absent` if there is no such kind."""
        if kind in self._lists:
            return self._lists[kind]
        from lightkube.generic_resource import create_namespaced_resource

        group, version, plural = KINDS[kind]
        resource = create_namespaced_resource(group, version, kind, plural)
        found = self._asked(
            f"{plural}.{group} in {self.namespace}", lambda: list(self._client.list(resource, namespace=self.namespace))
        )
        if found is None:
            raise Absent(f"the cluster has no {plural}.{group}")
        return self._lists.setdefault(kind, list(found))

    def one(self, kind: str, name: str) -> Found | None:
        """The one of this name in the namespace, None if it is missing."""
        return next((found for found in self.every(kind) if found["metadata"]["name"] == name), None)

    def data(self, name: str, namespace: str) -> Mapping[str, str] | None:
        """What a ConfigMap holds, None if it is missing."""
        from lightkube.resources.core_v1 import ConfigMap

        found = self._asked(
            f"configmaps in {namespace}", lambda: self._client.get(ConfigMap, name, namespace=namespace)
        )
        return None if found is None else found.data or {}

    def version(self, namespace: str) -> str | None:
        """What the namespace's own label says that is installed in it, None if it is missing or says nothing."""
        from lightkube.resources.core_v1 import Namespace

        found = self._asked("namespaces", lambda: self._client.get(Namespace, namespace))
        labels = found.metadata.labels if found and found.metadata else None
        return (labels or {}).get("app.kubernetes.io/version")

    def nodes(self) -> Sequence[Node]:
        """All of the cluster."""
        from lightkube.resources.core_v1 import Node

        return self._asked("nodes", lambda: list(self._client.list(Node))) or ()

    def accounts(self) -> Mapping[str, Mapping[str, str]]:
        """The annotations of each ServiceAccount in the namespace, by name: clouds name their roles there."""
        from lightkube.resources.core_v1 import ServiceAccount

        found = self._asked(
            f"serviceaccounts in {self.namespace}",
            lambda: list(self._client.list(ServiceAccount, namespace=self.namespace)),
        )
        met = [account.metadata for account in found or () if account.metadata]
        return {one.name or "": one.annotations or {} for one in met}

    def elsewhere(self) -> set[str]:
        """What the Triggers hand to Services of Kubernetes' own, as overlays/keda has it for render."""
        try:
            refs = [trigger["spec"].get("subscriber", {}).get("ref") or {} for trigger in self.every("Trigger")]
        except Absent:
            return set()
        return {ref["name"] for ref in refs if ref.get("apiVersion") == "v1"}

    @cached_property
    def _client(self) -> Client:
        needs("doctor", "lightkube")
        import httpx2
        from lightkube import Client, KubeConfig

        # As kubectl does it: whoever sets KUBECONFIG in a pod means that cluster.
        path = _kubeconfig() if os.environ.get("KUBECONFIG") or not _ACCOUNT.exists() else None
        try:
            config = KubeConfig.from_file(path) if path else KubeConfig.from_service_account()
            return Client(config, timeout=httpx2.Timeout(self._answer))
        except Exception as error:  # a broken file raises what it likes, and its text may hold a token
            raise Unseen(f"the cluster's address or keys cannot be read: {type(error).__name__}") from error

    def _asked(self, what: str, ask: Callable[[], T]) -> T | None:
        """The answer, None if there is no such thing; a cluster that is away is not waited for twice."""
        if self._away:
            raise self._away
        try:
            return ask()
        except (Unseen, click.ClickException):
            raise
        except Exception as error:
            status = getattr(getattr(error, "response", None), "status_code", None)
            if status == 404:
                return None
            if status in (401, 403):
                raise Unseen(f"this account may not read {what}") from error
            if status:
                raise Unseen(f"the cluster's API answered {status} for {what}") from error
            self._away = Unseen(f"the cluster's API does not answer: {type(error).__name__}")
            raise self._away from error


def resource(kind: str, name: str) -> str:
    """As kubectl takes it, whatever else is called a service."""
    group, _, plural = KINDS[kind]
    return f"{plural}.{group}/{name}"


def patching(namespace: str, what: str, change: Mapping[str, Any]) -> str:
    """The command that changes only this of it."""
    patch = shlex.quote(json.dumps(change))
    return f"kubectl --namespace {shlex.quote(namespace)} patch {what} --type merge --patch {patch}"


def notes_of(service: Found) -> Mapping[str, str]:
    """Those of a Service's pods."""
    return service["spec"]["template"].get("metadata", {}).get("annotations") or {}


def _kubeconfig() -> str | None:
    """The first file of KUBECONFIG, else kubectl's own; None if that is missing."""
    given = os.environ.get("KUBECONFIG")
    if given:
        return next((name for name in given.split(os.pathsep) if name), None)
    own = Path.home() / ".kube" / "config"
    return str(own) if own.is_file() else None
