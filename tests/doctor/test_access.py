"""What the doctor asks the cluster for is what knative/doctor grants to its account, and no more is granted."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml

from tests.darkroom import REPOSITORY
from tests.doctor.cluster import NAMESPACE, NODES, Cluster, served, sound
from tests.doctor.running import report

RIGHTS: Final = REPOSITORY / "knative" / "doctor" / "rights.yaml"
ASKED: Final = re.compile(
    r"/apis?/(?:(?P<group>[^/]+\.[^/]+)/)?v\w+(?:/namespaces/(?P<namespace>[^/]+))?(?:/(?P<kind>[^/]+))?(?:/(?P<name>[^/]+))?"
)


class Right(NamedTuple):
    """One verb on one kind in one namespace; of a ConfigMap or a Namespace, on one name."""

    namespace: str
    group: str
    kind: str
    name: str


def granted() -> set[Right]:
    """By every Role that is bound to the doctor's account; a `list` has no name."""
    documents: list[Any] = list(yaml.safe_load_all(RIGHTS.read_text("utf-8")))
    bound = {
        (one["metadata"]["namespace"], one["roleRef"]["name"])
        for one in documents
        if one["kind"] == "RoleBinding" and [who["name"] for who in one["subjects"]] == ["doctor"]
    }
    roles = [one for one in documents if (one["metadata"]["namespace"], one["metadata"]["name"]) in bound]
    return {
        Right(role["metadata"]["namespace"], group, kind, name)
        for role in roles
        for rule in role.get("rules", ())
        for group in rule["apiGroups"]
        for kind in rule["resources"]
        for name in (rule["resourceNames"] if rule["verbs"] == ["get"] else ("",))
    }


def asked(path: str) -> Right:
    found = ASKED.fullmatch(path)
    assert found, path
    if found["kind"] is None:
        return Right(found["namespace"], "", "namespaces", found["namespace"])
    return Right(found["namespace"] or "", found["group"] or "", found["kind"], found["name"] or "")


def with_components(cluster: Cluster) -> None:
    """Render reads the ConfigMaps of these components, too; the Secret beside one of them is nobody's to see."""
    told = {
        "darkroom-c2pa": {"DARKROOM_MARK": "c2pa"},
        "darkroom-generate": {"DARKROOM_GENERATE": "true", "DARKROOM_DOOR_TOKEN": ""},
    }
    for name, data in told.items():
        metadata = {"name": name, "namespace": "darkroom"}
        cluster.answers[f"{NAMESPACE}/configmaps/{name}"] = {"metadata": metadata, "data": data}
        cluster.pod()["spec"]["containers"][0]["envFrom"].append({"configMapRef": {"name": name}})


def test_the_role_allows_what_is_asked_for_and_no_more(tmp_path: Path) -> None:
    cluster = sound()
    with_components(cluster)
    with served(cluster, tmp_path) as path:
        settings = {"KUBECONFIG": path, "DARKROOM_DEVICE": "cpu"}
        said = report(settings, "sink", "gpu", "knative", "objects", "capacity", options=["--render-seconds", "5"])
    assert said.states("numbers-fit") == {"ok"}
    # Nodes are for those who look from outside: who can read one can read all.
    wanted = {asked(path) for path in cluster.asked if path != NODES}
    assert NODES in cluster.asked
    assert wanted - granted() == set()
    assert granted() - wanted == set()
