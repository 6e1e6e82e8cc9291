"""The numbers of each installation fit together, and each that does not is found."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any, Final

import pytest

from function.capacity import RULES, Delivery, Load, Numbers, go, iso
from function.config import Settings
from tests.checks.tree import ROOT
from tests.manifests.numbers import CPU, GPU, most, numbers, settings
from tests.manifests.rendering import Manifest, installations, overlays, rendered
from tests.manifests.rules.pods import quantity
from tests.servers.dispatchers import DELIVERY, GO, KAFKA, DeliverySpec, Dispatcher

# What config-deployment of Knative has queue-proxy ask for.
QUEUE_PROXY_CPU: Final = Decimal("0.025")
PAGE: Final = (ROOT / "docs/capacity.md").read_text("utf-8")
FITS: Final = Numbers(
    delivery=Delivery.of(DELIVERY, kafka=False),
    timeout=600,
    termination=600,
    startup=50,
    progress_deadline=1800,
    max_scale=1,
    render_limit=540,
    drain_grace=570,
    republish_after=18_000,
    load=Load(render=10, cold_start=110, in_flight=40),
)


def delivery(**changes: Any) -> Numbers:
    return replace(FITS, delivery=replace(FITS.delivery, **changes))


# In the order of `RULES`: how a number is turned, what just breaks the rule, what just keeps it, and what is said.
TURNED: Final[tuple[tuple[Callable[[int], Numbers], int, int, str], ...]] = (
    (lambda to: replace(FITS, timeout=to), 540, 541, "may take 540 s, but Knative answers 504 after 540 s"),
    (lambda to: delivery(timeout=to), 600, 601, "sends an event again after 600 s, while Knative waits 600 s"),
    (lambda to: replace(FITS, drain_grace=to), 539, 540, "may take 540 s, but a pod that is stopped waits 539 s"),
    (lambda to: replace(FITS, drain_grace=to), 571, 570, "waits 571 s for its render, but is killed after 600 s"),
    (lambda to: replace(FITS, startup=to), 1800, 1799, "allows 1800 s, but Knative gives a start up after 1800 s"),
    (lambda to: replace(FITS, progress_deadline=to), 110, 111, "takes 110 s, but Knative gives it up after 110 s"),
    (lambda to: replace(FITS, render_limit=to), 10, 11, "a render takes 10 s, but may take 10 s"),
    (
        lambda to: replace(FITS, load=replace(FITS.load, in_flight=to)),
        *(49, 48),
        "of 49 events at once the last has its picture after 600 s, but Knative answers 504 after 600 s",
    ),
    (
        lambda to: delivery(policy="linear", delay=65, retry=to),
        *(5, 6),
        "may be refused for 650 s, but is a dead letter after 650 s",
    ),
    (
        lambda to: replace(FITS, republish_after=to),
        *(12_675, 12_676),
        "on its way for 12675 s, but the sweep announces its file again after 12675 s",
    ),
)


def test_all_that_is_turned_fits_before() -> None:
    assert FITS.misfits() == []
    assert len(TURNED) == len(RULES)


@pytest.mark.parametrize(("number", "turn"), list(enumerate(TURNED)), ids=[row[-1] for row in TURNED])
def test_a_number_that_does_not_fit_is_found_and_nothing_else(
    number: int, turn: tuple[Callable[[int], Numbers], int, int, str]
) -> None:
    to, breaks, keeps, says = turn
    (misfit,) = to(breaks).misfits()
    assert says in misfit.sentence
    assert misfit.knob == RULES[number].knob.format(to(breaks))
    assert to(keeps).misfits() == []


@pytest.mark.parametrize("folder", [folder for folder in installations() if not folder.startswith("overlays/keda")])
def test_the_numbers_of_each_installation_fit(folder: str) -> None:
    load = CPU if folder == "overlays/local" else GPU
    found = numbers(rendered(folder), load)
    assert found.misfits() == []
    # What is put on top leaves room for as many, and Kafka lets no more in at once.
    assert most(found) >= most(numbers(rendered(folder.partition(" + ")[0]), load))


def test_the_numbers_without_knatives_pods_fit() -> None:
    rendering = rendered("overlays/keda")
    spec = rendering.get("Deployment/render")["spec"]
    trigger = rendering.get("Trigger/image-requested")
    render = settings(rendering, "Deployment/render")
    sent = Delivery.of(trigger["spec"]["delivery"], kafka=True)
    assert render.render_limit < sent.timeout
    assert render.render_limit <= render.drain_grace < spec["template"]["spec"]["terminationGracePeriodSeconds"]
    assert GPU.cold_start + render.render_limit < sent.patience
    assert sent.lifetime < settings(rendering, "CronJob/sweep").republish_after
    # Nobody queues in front of the pods: what is more than one for each is refused, and uses up its retries.
    assert trigger["metadata"]["annotations"]["kafka.eventing.knative.dev/delivery.order"] == "ordered"


def test_every_number_is_read_from_its_place() -> None:
    rendering = rendered("base").changed(
        "Service/render",
        {
            "/spec/template/spec/timeoutSeconds": 500,
            "/spec/template/spec/responseStartTimeoutSeconds": 400,
            "/spec/template/spec/containers/0/startupProbe/initialDelaySeconds": 5,
            "/spec/template/spec/containers/0/startupProbe/periodSeconds": 7,
            "/spec/template/spec/containers/0/startupProbe/failureThreshold": 11,
            "/spec/template/metadata/annotations/serving.knative.dev~1progress-deadline": "1h2m3s",
            "/spec/template/metadata/annotations/autoscaling.knative.dev~1max-scale": "3",
        },
    )
    rendering = rendering.changed(
        "Trigger/image-requested",
        {
            "/spec/delivery/retry": 4,
            "/spec/delivery/backoffPolicy": "linear",
            "/spec/delivery/backoffDelay": "PT2S",
            "/spec/delivery/timeout": "PT1H",
        },
    )
    rendering = rendering.changed(
        "ConfigMap/darkroom",
        {
            "/data/DARKROOM_RENDER_LIMIT": "300",
            "/data/DARKROOM_DRAIN_GRACE": "301",
            "/data/DARKROOM_REPUBLISH_AFTER": "302",
        },
    )
    load = Load(1, 2, 3)
    assert numbers(rendering, load) == Numbers(
        delivery=Delivery(retry=4, policy="linear", delay=2, timeout=3600, kafka=False),
        timeout=400,
        termination=500,
        startup=82,
        progress_deadline=3723,
        max_scale=3,
        render_limit=300,
        drain_grace=301,
        republish_after=302,
        load=load,
    )


def test_what_a_manifest_leaves_out_is_as_the_cluster_has_it() -> None:
    service: Manifest = {"spec": {"template": {"spec": {"containers": [{}]}}}}
    load = Load(1, 2, 3)
    bare = Numbers.of(service, {"spec": {}}, {"metadata": {}}, Settings.from_environment({}), load)
    assert bare.delivery == Delivery(retry=10, policy="exponential", delay=0.2, timeout=900, kafka=False)
    assert (bare.timeout, bare.termination, bare.startup, bare.progress_deadline) == (300, 300, 0, 600)
    # Any number of pods: nobody waits for another.
    assert (bare.max_scale, bare.queue) == (0, 1)
    # A whole timeoutSeconds is of no use without the other.
    service["spec"]["template"]["spec"]["timeoutSeconds"] = 600
    broker = {
        "metadata": {"annotations": {"eventing.knative.dev/broker.class": "Kafka"}},
        "spec": {"delivery": DELIVERY},
    }
    without = Numbers.of(service, {"spec": {}}, broker, Settings.from_environment({}), load)
    assert (without.timeout, without.termination) == (300, 600)
    assert without.delivery == Delivery(retry=12, policy="exponential", delay=1, timeout=660, kafka=True)


@pytest.mark.parametrize("dispatcher", [GO, KAFKA], ids=lambda dispatcher: dispatcher.name)
@pytest.mark.parametrize("policy", ["linear", "exponential", None])
@pytest.mark.parametrize("delay", ["PT1S", "PT0.3S", None])
@pytest.mark.parametrize("retry", [0, 1, 12])
def test_the_retries_are_those_of_the_dispatchers(
    dispatcher: Dispatcher, policy: str | None, delay: str | None, retry: int
) -> None:
    said = {"retry": retry, "backoffPolicy": policy, "backoffDelay": delay}
    block = {field: value for field, value in said.items() if value is not None}
    ours = Delivery.of(block, kafka=dispatcher is KAFKA)
    assert [ours.backoff(number) for number in range(retry)] == dispatcher.backoffs(DeliverySpec.of(block))
    assert ours.patience == sum(dispatcher.backoffs(DeliverySpec.of(block)))


def test_durations_are_read_as_go_and_as_iso_write_them() -> None:
    assert (go("90s"), go("1h30m"), go("1.5s"), go("250ms"), go("10m")) == (90, 5400, 1.5, 0.25, 600)
    assert (iso("PT11M"), iso("PT0.2S"), iso("PT1H")) == (660, 0.2, 3600)
    for text in ("90", "s", "1 h", "", "1d", "-1s"):
        with pytest.raises(ValueError, match="is no duration"):
            go(text)


def test_the_page_has_every_rule_and_the_numbers_of_the_base() -> None:
    _, _, rest = PAGE.partition("| this | is below | or else |\n")
    rows = [row for row in rest.partition("\n\n")[0].splitlines() if not row.startswith("| ---")]
    assert len(rows) == len(RULES)
    base = numbers(rendered("base"), GPU)
    kafka = replace(base.delivery, kafka=True)
    said = [
        base.render_limit,
        base.timeout,
        base.drain_grace,
        base.startup,
        base.progress_deadline,
        base.republish_after,
    ]
    for value in [*said, base.delivery.patience, base.delivery.lifetime, kafka.lifetime]:
        assert f"{value:g} s" in "\n".join(rows)
    assert f"{kafka.patience:g} s" in PAGE


def test_the_examples_of_the_page_are_right() -> None:
    rows = re.findall(r"^\| (\d+) \| (\d+) \| (\d+) s \| (\d+) s \| (\d+) s \| (yes|no) \|", PAGE, re.MULTILINE)
    assert len(rows) >= 5
    for at_once, pods, render, start, last, fits in rows:
        load = Load(float(render), float(start), int(at_once))
        case = replace(FITS, max_scale=int(pods), load=load, startup=0)
        assert case.last == float(last)
        assert (case.misfits() == []) == (fits == "yes"), case.misfits()


# Folders, seconds of a render and of a start, how many at once fit, and how many there are where the manifests say it.
STATED: Final = re.findall(
    r"^\| (`.+`) \| (\d+) s \| (\d+) s \| (\d+) \| (?:(\d+) partitions|.*) \|$", PAGE, re.MULTILINE
)


@pytest.mark.parametrize("row", STATED, ids=lambda row: f"{row[0]}, start {row[2]} s")
def test_so_many_at_once_fit_as_the_page_says(row: tuple[str, str, str, str, str]) -> None:
    names, render, start, at_once, partitions = row
    for name in re.findall(r"`([\w/]+)`", names):
        found = numbers(rendered(name), Load(float(render), float(start), 1))
        assert most(found) == int(at_once), name
        assert found.delivery.kafka == bool(partitions)
        assert found.load.in_flight == int(partitions or 1) <= int(at_once)


def test_the_page_says_of_every_overlay_how_many_fit() -> None:
    said = {name for names, *_ in STATED for name in re.findall(r"`([\w/]+)`", names)}
    assert said == {"base", *overlays()} - {"overlays/keda"}


def test_the_local_overlay_fits_on_a_small_node() -> None:
    """With all pods that there may be at once, and two of intake, whose second revision has its sink."""
    local = rendered("overlays/local")
    asked = Decimal(0)
    for pod in local.pods():
        at_most = int(pod.metadata.get("annotations", {}).get("autoscaling.knative.dev/max-scale", 1))
        pods = 2 if pod.name == "Service/intake" else at_most
        proxy = QUEUE_PROXY_CPU if pod.of_knative else Decimal(0)
        asked += pods * (proxy + sum(quantity(one["resources"]["requests"]["cpu"]) for one in pod.containers))
    assert 0 < asked <= Decimal("0.8")
