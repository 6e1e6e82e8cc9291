"""With input buckets render has one policy more, and nobody else: a real MinIO holds all of them to it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, Final

import pytest

from tests.backstops.house import House
from tests.darkroom import outcome_of
from tests.doctor.running import report
from tests.faults import Fault
from tests.faults.proxy import FaultProxy
from tests.inputs.hostile import picture
from tests.policies.attempts import tried_by
from tests.policies.identity import IDENTITIES, Identity, as_the_page_says, document, grants, identity, with_buckets
from tests.policies.work import Watch
from tests.servers.minio import Minio
from tests.stores import new_bucket

KEY: Final = "cats/one.webp"


@pytest.fixture(scope="module")
def house(minio: Minio, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with ExitStack() as running:
        yield House.on(minio, tmp_path_factory.mktemp("inputs"), running)


@pytest.fixture(scope="module")
def inputs(minio: Minio) -> str:
    """A bucket with one picture that a prompt may begin with."""
    bucket = new_bucket(minio, "inputs")
    minio.client.put_object(Bucket=bucket, Key=KEY, Body=picture("WEBP", 64, 48))
    return bucket


def wider(house: House, inputs: str) -> dict[str, Any]:
    """Render's policy, and the one that the page adds to it."""
    added = with_buckets(as_the_page_says("inputs"), **{"my-inputs": inputs})
    policy = document("render", house.images, house.prompts)
    return policy | {"Statement": [*policy["Statement"], *added["Statement"]]}


def prompt(inputs: str, key: str) -> dict[str, str]:
    return {"prompt": "a cat in the snow", "image": f"s3://{inputs}/{key}"}


def test_without_it_the_doctor_says_what_grants_it_and_nothing_is_drawn(house: House, inputs: str) -> None:
    settings = {"DARKROOM_INPUT_BUCKETS": inputs} | identity("render", house).environment
    found = report(house.settings | settings, "rights", options=("--identity", "render"))
    assert [inputs in sentence for sentence in found.sentences("wrong")] == [True, True]
    (mend,) = {*found.mends("may-list"), *found.mends("may-read")}
    made, attached = mend.split(" && ")
    assert made == "mc admin policy create $ALIAS darkroom-inputs knative/policies/inputs.json"
    assert attached.startswith('mc admin policy attach $ALIAS darkroom-inputs --user "$AWS_ACCESS_KEY_ID"  # once they')
    answer = house.drawing("render", **settings).event(prompt(inputs, KEY), id="denied")
    assert answer.status == 503, "the installation's fault, and no outcome"


def test_with_it_pictures_are_read_and_all_that_it_grants_is_needed(house: House, inputs: str) -> None:
    held = identity("render", house, wider(house, inputs))
    settings = {"DARKROOM_INPUT_BUCKETS": inputs} | held.environment
    found = report(house.settings | settings, "rights", "buckets", options=("--identity", "render"))
    assert found.sentences("wrong") == []
    assert f"bucket {inputs} is there" in found.sentences("ok")
    watch = Watch()
    with FaultProxy(house.server) as proxy, proxy.injecting(Fault(watch)):
        process = house.drawing("render", **settings | {"AWS_ENDPOINT_URL_S3": proxy.url})
        drawn = outcome_of(process.event(prompt(inputs, KEY), id="drawn"))["data"]
        assert drawn["prompt"]["image"]["uri"] == f"s3://{inputs}/{KEY}"
        gone = outcome_of(process.event(prompt(inputs, "cats/gone.webp"), id="gone"))["data"]
        assert gone["code"] == "input_unusable"
    asked = {need for one in watch.made for need in one.needs if need[1].partition("/")[0] == inputs}
    granted = {grant for grant in grants(wider(house, inputs)) if grant.resource.partition("/")[0] == inputs}
    assert {grant for grant in granted for need in asked if grant.covers(*need)} == granted, "nothing needs this"
    assert [need for need in asked if not any(grant.covers(*need) for grant in granted)] == [], "AWS would refuse this"


def test_render_changes_nothing_there_and_nobody_else_reads_there(house: House, inputs: str) -> None:
    def may(held: Identity) -> set[str]:
        return {action for (action, _), denied in tried_by(held, inputs, ("cats/",)).items() if not denied}

    assert may(identity("render", house, wider(house, inputs))) == {"s3:ListBucket", "s3:GetObject"}
    assert [(name, action) for name in IDENTITIES for action in may(identity(name, house))] == []
