"""Objects against the schemas of their APIs, where a field that no schema knows is a fault."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

from jsonschema import Draft202012Validator

SCHEMAS: Final = Path(__file__).parent / "schemas"
Schema = dict[str, Any]

HEAD: Final = {"source", "version", "license", "files"}
METADATA: Final = {"$ref": "#/definitions/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"}
QUANTITY: Final = "io.k8s.apimachinery.pkg.api.resource.Quantity"
# As in the schemas of Knative's Services; Kubernetes' own says only that it is text.
QUANTITY_PATTERN: Final = (
    r"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$"
)
# Where a custom resource holds a pod, it is open for what a feature flag allows: Kubernetes says what that may hold.
PODS: Final = {
    "serving.knative.dev/v1/Service": (("spec", "template", "spec"), "io.k8s.api.core.v1.PodSpec"),
    "sources.knative.dev/v1alpha1/IntegrationSource": (("spec", "template"), "io.k8s.api.core.v1.PodTemplateSpec"),
}
# Fields of every delivery in Eventing's code, for which its schemas are open.
DELIVERY: Final = {"timeout": {"type": "string"}, "format": {"enum": ["json", "binary"]}}


def kind_of(thing: Schema) -> str:
    """The name of an object's schema, apiVersion/kind."""
    return f"{thing.get('apiVersion')}/{thing.get('kind')}"


def faults(thing: Schema) -> Iterator[str]:
    """A sentence for each place at which the object is not what its API takes."""
    name = f"{thing.get('kind')}/{thing.get('metadata', {}).get('name')}"
    if kind_of(thing) not in kinds():
        yield f"{name}: no schema of {kind_of(thing)} is vendored; add it to tests/manifests/vendor.py"
        return
    for error in validator(kind_of(thing)).iter_errors(thing):
        said = f"{error.instance!r} is no quantity" if error.validator_value == QUANTITY_PATTERN else error.message
        yield f"{name}: {error.json_path.removeprefix('$.')}: {said}"


@cache
def kinds() -> dict[str, Schema]:
    """The vendored schemas of all kinds, as they were published."""
    return {
        name: schema
        for path in sorted(SCHEMAS.glob("*.json"))
        for name, schema in json.loads(path.read_text("utf-8")).items()
        if name not in HEAD and "/" in name
    }


@cache
def definitions() -> dict[str, Schema]:
    """What the schemas of Kubernetes' own kinds refer to, closed."""
    published = json.loads((SCHEMAS / "kubernetes.json").read_text("utf-8"))
    found = {name: closed(schema) for name, schema in published.items() if name.startswith("io.k8s.")}
    found[QUANTITY] = {"type": ["string", "number"], "pattern": QUANTITY_PATTERN}
    return found


@cache
def validator(kind: str) -> Draft202012Validator:
    """The strict validator of a kind."""
    schema = kinds()[kind]
    if kind in PODS:
        path, pod = PODS[kind]
        schema = filled(schema, path, {"$ref": f"#/definitions/{pod}"})
    if "properties" in schema:
        head = {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": METADATA}
        schema = closed({**schema, "properties": {**schema["properties"], **head}})
    return Draft202012Validator({"required": ["metadata"], **schema, "definitions": definitions()})


def closed(schema: Schema) -> Schema:
    """The schema without room for fields that it does not name; an object of which it names none stays open.

    Knative's webhooks refuse them too, in spite of `x-kubernetes-preserve-unknown-fields`.
    """
    shut: Schema = {}
    for key, value in schema.items():
        if key == "properties":
            fields = {**DELIVERY, **value} if "deadLetterSink" in value and "retry" in value else value
            shut[key] = {name: closed(inner) for name, inner in fields.items()}
        elif key in {"items", "additionalProperties"} and isinstance(value, dict):
            shut[key] = closed(value)
        else:
            shut[key] = value
    if shut.pop("x-kubernetes-int-or-string", False):
        shut["type"] = ["integer", "string"]
    if "properties" in shut:
        shut.setdefault("additionalProperties", False)
    return shut


def filled(schema: Schema, path: tuple[str, ...], by: Schema) -> Schema:
    """The schema with its open places, from `path` on, closed by those of another."""
    if path:
        inner = filled(schema["properties"][path[0]], path[1:], by)
        return {**schema, "properties": {**schema["properties"], path[0]: inner}}
    if schema.get("x-kubernetes-preserve-unknown-fields") and "properties" not in schema:
        return by
    known = definitions()[by["$ref"].rpartition("/")[2]] if "$ref" in by else by
    if "items" in schema and "items" in known:
        schema = {**schema, "items": filled(schema["items"], (), known["items"])}
    if "properties" in schema:
        fields = known.get("properties", {})
        inner = {name: filled(field, (), fields.get(name, field)) for name, field in schema["properties"].items()}
        schema = {**schema, "properties": inner}
    return schema
