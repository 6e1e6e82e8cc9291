"""Names of what is not there."""

from __future__ import annotations

from typing import Final

from tests.manifests.broken.broken import BOX, POD, Broken
from tests.manifests.rules import references

REFERENCES: Final = (
    Broken(
        "no such account",
        references.what_pods_read,
        "Service/render",
        {f"{POD}/serviceAccountName": "gpu"},
        "ServiceAccount gpu",
    ),
    Broken(
        "no such ConfigMap",
        references.what_pods_read,
        "Service/render",
        {f"{BOX}/envFrom/0/configMapRef/name": "dark"},
        "ConfigMap dark",
    ),
    Broken(
        "no such Secret",
        references.what_pods_read,
        "Service/render",
        {f"{BOX}/envFrom/1/secretRef/name": "s3"},
        "Secret s3",
    ),
    Broken(
        "no such key",
        references.what_pods_read,
        "Service/intake",
        {f"{BOX}/env/0/valueFrom/secretKeyRef/key": "tok"},
        "has no tok",
    ),
    Broken(
        "no such claim",
        references.what_pods_read,
        "PersistentVolumeClaim/model",
        {"/metadata/name": "models"},
        "PersistentVolumeClaim model",
    ),
    Broken(
        "no such subscriber",
        references.what_is_named,
        "Trigger/image-requested",
        {"/spec/subscriber/ref/name": "gpu"},
        "Service gpu",
    ),
    Broken(
        "a subscriber of another API",
        references.what_is_named,
        "Trigger/image-requested",
        {"/spec/subscriber/ref/apiVersion": "v1"},
        "no v1 Service render",
    ),
    Broken(
        "no such sink for dead letters",
        references.what_is_named,
        "Trigger/image-requested",
        {"/spec/delivery/deadLetterSink/ref/name": "dead"},
        "Service dead",
    ),
    Broken(
        "no such broker",
        references.what_is_named,
        "Trigger/image-requested",
        {"/spec/broker": "default"},
        "Broker default",
    ),
    Broken(
        "no such subject",
        references.what_is_named,
        "SinkBinding/intake",
        {"/spec/subject/name": "door"},
        "Service door",
    ),
    Broken(
        "nothing to bind",
        references.bound_by_label,
        "SinkBinding/sweep",
        {"/spec/subject/selector/matchLabels/app.kubernetes.io~1component": "sweeper"},
        "nothing has the labels",
    ),
    Broken(
        "no such host",
        references.addresses,
        "Service/minio",
        {"/metadata/name": "store"},
        "no Service minio",
        "overlays/local",
    ),
    Broken(
        "a Secret's name for a ConfigMap",
        references.what_pods_read,
        "Service/render",
        {f"{BOX}/envFrom/0/configMapRef/name": "darkroom-s3"},
        "ConfigMap darkroom-s3",
    ),
    *(
        Broken(
            f"a volume of no such {kind}",
            references.what_pods_read,
            "Service/render",
            {f"{POD}/volumes/2": volume},
            says,
        )
        for kind, volume, says in (
            ("ConfigMap", {"name": "gone", "configMap": {"name": "gone"}}, "ConfigMap gone"),
            ("Secret", {"name": "gone", "secret": {"secretName": "gone"}}, "Secret gone"),
        )
    ),
    Broken(
        "a broker that is none",
        references.what_is_named,
        "Trigger/image-requested",
        {"/spec/broker": "render"},
        "Broker render",
    ),
    *(
        Broken(
            f"rights of no {kind}",
            references.what_is_named,
            f"{kind}/{old}",
            {"/metadata/name": "other"},
            says,
            "doctor",
        )
        for kind, old, says in (
            ("ServiceAccount", "doctor", "no v1 ServiceAccount doctor"),
            ("Role", "darkroom-doctor", "Role darkroom-doctor"),
        )
    ),
)
