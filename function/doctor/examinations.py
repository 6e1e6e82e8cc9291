"""All examinations, in the order in which they are made: what --fix makes is there for those that follow."""

from __future__ import annotations

import os
from collections.abc import Sequence

from function.config import Settings
from function.doctor.buckets import Buckets
from function.doctor.capacity import Asked, Capacity
from function.doctor.cluster import Cluster
from function.doctor.finding import ANSWER, Examination
from function.doctor.gpu import Gpu
from function.doctor.knative import Knative
from function.doctor.model import ModelExamination
from function.doctor.notification import Notification
from function.doctor.objects import Objects
from function.doctor.rights import RightsExamination
from function.doctor.settings import SettingsExamination
from function.doctor.sink import Sink
from function.doctor.storage import Storage
from function.doctor.store import Reachable, Truthful


def examinations(
    settings: Settings,
    asked: Asked,
    *,
    namespace: str | None = None,
    identity: str = "all",
    fix: bool = False,
    arn: str | None = None,
    patience: float = 1.0,
) -> Sequence[Examination]:
    """They wait `patience` times as long as usual for each answer."""
    storage = Storage(settings, ANSWER * patience)
    cluster = Cluster(namespace, ANSWER * patience)
    return (
        SettingsExamination(os.environ),
        Reachable(storage),
        Buckets(storage, settings, fix=fix),
        RightsExamination(storage, settings, identity),
        Truthful(storage, settings, identity),
        Notification(storage, settings, cluster, fix=fix, arn=arn),
        Sink(settings, cluster, ANSWER * patience),
        ModelExamination(settings, os.environ),
        Gpu(settings, cluster, patience),
        Knative(cluster),
        Objects(cluster),
        Capacity(cluster, settings, asked),
    )


# Without a place to look at, for --only and docs/doctor.md.
ALL = (
    SettingsExamination,
    Reachable,
    Buckets,
    RightsExamination,
    Truthful,
    Notification,
    Sink,
    ModelExamination,
    Gpu,
    Knative,
    Objects,
    Capacity,
)
