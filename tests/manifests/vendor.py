"""`python -m tests.manifests.vendor` writes schemas/ again, from the APIs' own sources.

It needs Go, which fetches modules, and git. Another version: change it in `SOURCES`, run this, read the difference.
"""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

SCHEMAS: Final = Path(__file__).parent / "schemas"
Schema = dict[str, Any]


@dataclass(frozen=True)
class GoModule:
    """A published Go module, which holds its project's manifests too."""

    name: str
    version: str

    def files(self, paths: tuple[str, ...]) -> list[str]:
        command = ["go", "mod", "download", "-json", f"{self.name}@{self.version}"]
        with tempfile.TemporaryDirectory() as outside:
            found = subprocess.run(command, cwd=outside, check=True, capture_output=True, text=True).stdout
        return [(Path(json.loads(found)["Dir"]) / path).read_text("utf-8") for path in paths]


@dataclass(frozen=True)
class GitTag:
    """A tag of a public repository: for what is published nowhere else."""

    name: str
    version: str

    def files(self, paths: tuple[str, ...]) -> list[str]:
        with tempfile.TemporaryDirectory() as clone:
            quiet = ["git", "clone", "--quiet", "--no-checkout", "--depth", "1", "--branch", self.version]
            subprocess.run([*quiet, f"https://{self.name}", clone], check=True)
            show = ["git", "-C", clone, "show"]
            return [
                subprocess.run([*show, f"HEAD:{path}"], check=True, capture_output=True, text=True).stdout
                for path in paths
            ]


@dataclass(frozen=True)
class Source:
    """Where a file of schemas comes from, and the kinds that are taken, as apiVersion/kind."""

    at: GoModule | GitTag
    paths: tuple[str, ...]
    kinds: tuple[str, ...]


KUBERNETES: Final = Source(
    GoModule("k8s.io/kubernetes", "v1.34.4"),
    ("api/openapi-spec/swagger.json", "pkg/generated/openapi/zz_generated.openapi.go"),
    (
        "v1/ConfigMap",
        "v1/Namespace",
        "v1/PersistentVolumeClaim",
        "v1/Secret",
        "v1/Service",
        "v1/ServiceAccount",
        "apps/v1/Deployment",
        "batch/v1/CronJob",
        "batch/v1/Job",
        "networking.k8s.io/v1/NetworkPolicy",
        "rbac.authorization.k8s.io/v1/Role",
        "rbac.authorization.k8s.io/v1/RoleBinding",
    ),
)
SOURCES: Final[Mapping[str, Source]] = {
    "serving": Source(
        GoModule("knative.dev/serving", "v0.48.0"),
        ("config/core/300-resources/service.yaml",),
        ("serving.knative.dev/v1/Service",),
    ),
    "eventing": Source(
        GoModule("knative.dev/eventing", "v0.47.0"),
        (
            "config/core/resources/broker.yaml",
            "config/core/resources/trigger.yaml",
            "config/core/resources/eventtype.yaml",
            "config/core/resources/sinkbindings.yaml",
            "config/core/resources/integrationsource.yaml",
        ),
        (
            "eventing.knative.dev/v1/Broker",
            "eventing.knative.dev/v1/Trigger",
            "eventing.knative.dev/v1beta3/EventType",
            "sources.knative.dev/v1/SinkBinding",
            "sources.knative.dev/v1alpha1/IntegrationSource",
        ),
    ),
    "kafka": Source(
        GitTag("github.com/knative-extensions/eventing-kafka-broker", "knative-v1.21.0"),
        (
            "control-plane/config/eventing-kafka-broker/100-source/100-kafka-source.yaml",
            "control-plane/config/eventing-kafka-broker/100-sink/100-kafka-sink.yaml",
        ),
        ("sources.knative.dev/v1/KafkaSource", "eventing.knative.dev/v1alpha1/KafkaSink"),
    ),
    "keda": Source(
        GoModule("github.com/kedacore/keda/v2", "v2.21.0"),
        ("config/crd/bases/keda.sh_scaledobjects.yaml",),
        ("keda.sh/v1alpha1/ScaledObject",),
    ),
    "prometheus": Source(
        GoModule("github.com/prometheus-operator/prometheus-operator", "v0.89.0"),
        ("example/prometheus-operator-crd/monitoring.coreos.com_podmonitors.yaml",),
        ("monitoring.coreos.com/v1/PodMonitor",),
    ),
}

# What decides whether a manifest is right; the rest is for readers, for defaults and for merging.
KEPT: Final = {
    *("$ref", "type", "properties", "additionalProperties", "items", "required", "enum", "pattern"),
    *("minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"),
    *("oneOf", "anyOf", "allOf", "not", "x-kubernetes-preserve-unknown-fields", "x-kubernetes-int-or-string"),
}


def slim(schema: Schema) -> Schema:
    """The schema without what decides nothing."""
    kept: Schema = {}
    for key, value in schema.items():
        if key == "properties":
            kept[key] = {name: slim(inner) for name, inner in value.items()}
        elif key in {"items", "additionalProperties", "not"} and isinstance(value, dict):
            kept[key] = slim(value)
        elif key in {"oneOf", "anyOf", "allOf"}:
            kept[key] = [slim(inner) for inner in value]
        elif key == "format" and value == "int-or-string":
            kept["x-kubernetes-int-or-string"] = True
        elif key in KEPT:
            kept[key] = value
    return kept


def without_status(schema: Schema) -> Schema:
    """The schema of what users write: a status comes from the cluster."""
    return {**schema, "properties": {name: inner for name, inner in schema["properties"].items() if name != "status"}}


def custom(source: Source) -> Iterator[tuple[str, Schema]]:
    """The schemas in CustomResourceDefinitions."""
    for text in source.at.files(source.paths):
        for definition in filter(None, yaml.safe_load_all(text)):
            spec = definition["spec"]
            for version in spec["versions"]:
                kind = f"{spec['group']}/{version['name']}/{spec['names']['kind']}"
                if kind in source.kinds:
                    yield kind, without_status(slim(version["schema"]["openAPIV3Schema"]))


def enums(generated: str) -> dict[str, dict[str, list[str]]]:
    """The values that properties may have: the published description has them in words only, the Go code as lists."""
    found: dict[str, dict[str, list[str]]] = {}
    definition = name = ""
    for line in generated.splitlines():
        if match := re.match(r"func schema_k8sio_api_(\w+)\(", line):
            definition = "io.k8s.api." + match[1].replace("_", ".")
        elif match := re.match(r'\t{5}"(\w+)": {', line):
            name = match[1]
        elif match := re.match(r"\t+Enum: +\[\]interface{}{(.*)},", line):
            found.setdefault(definition, {})[name] = json.loads(f"[{match[1]}]")
    return found


def built_in(source: Source) -> Iterator[tuple[str, Schema]]:
    """The schemas of Kubernetes' own kinds, and all that they refer to."""
    published, generated = source.at.files(source.paths)
    definitions: dict[str, Schema] = json.loads(published)["definitions"]
    values = enums(generated)
    pending = []
    for name, schema in definitions.items():
        for entry in schema.get("x-kubernetes-group-version-kind", []):
            kind = "/".join(filter(None, (entry["group"], entry["version"], entry["kind"])))
            if kind in source.kinds:
                pending.append(name)
                yield kind, {"$ref": f"#/definitions/{name}"}
    seen: set[str] = set()
    while pending:
        if (name := pending.pop()) in seen:
            continue
        seen.add(name)
        schema = slim(definitions[name])
        for field, allowed in values.get(name, {}).items():
            described = schema["properties"][field]
            described.get("items", described)["enum"] = allowed
        if "x-kubernetes-group-version-kind" in definitions[name] and "status" in schema.get("properties", {}):
            schema = without_status(schema)
        pending += re.findall(r'"#/definitions/([^"]+)"', json.dumps(schema))
        yield name, schema


def write(name: str, source: Source, schemas: Iterator[tuple[str, Schema]]) -> None:
    """Writes one file: where it is from, then a line for each schema."""
    found = dict(sorted(schemas))
    if missing := set(source.kinds) - found.keys():
        raise SystemExit(f"{source.at.name} {source.at.version} has no {', '.join(sorted(missing))}")
    head = {"source": source.at.name, "version": source.at.version, "license": "Apache-2.0", "files": source.paths}
    rows = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in head.items()]
    rows += [f"{json.dumps(kind)}: {json.dumps(schema, separators=(',', ':'))}" for kind, schema in found.items()]
    (SCHEMAS / f"{name}.json").write_text("{\n" + ",\n".join(rows) + "\n}\n", "utf-8")


if __name__ == "__main__":
    for file, origin in SOURCES.items():
        write(file, origin, custom(origin))
    write("kubernetes", KUBERNETES, built_in(KUBERNETES))
