"""knative/policies: each identity may do what its work asks for, and nothing else; a real MinIO holds it to that."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import Final

import pytest

from function import layout
from function.store import check_store
from tests.backstops.house import House
from tests.darkroom import REPOSITORY
from tests.policies.attempts import tried_by
from tests.policies.identity import ARN, IDENTITIES, Identity, document, grants, identity
from tests.policies.work import Made, do_all
from tests.servers.minio import Minio

SECURITY: Final = (REPOSITORY / "SECURITY.md").read_text("utf-8")
# Where all of ours lies in the image bucket, and where nothing of ours does.
PREFIXES: Final = (*layout.OWN, check_store.PREFIX, "elsewhere/")


@pytest.fixture(scope="module")
def house(minio: Minio, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with ExitStack() as running:
        yield House.on(minio, tmp_path_factory.mktemp("policies"), running)


@pytest.fixture(scope="module")
def who(house: House) -> Mapping[str, Identity]:
    return {name: identity(name, house) for name in IDENTITIES}


@pytest.fixture(scope="module")
def made(house: House, who: Mapping[str, Identity]) -> list[Made]:
    """What everybody asked of the store in all of their work."""
    return do_all(house, who)


@pytest.mark.parametrize("name", IDENTITIES)
def test_a_policy_allows_what_the_work_asks_for_and_nothing_else(
    name: str, house: House, who: Mapping[str, Identity], made: list[Made]
) -> None:
    granted = grants(document(name, house.images, house.prompts))
    asked = [one for one in made if one.access_key == who[name].access_key]
    assert not [one for one in asked if one.status == 403], "MinIO has refused this"
    used = {need: {grant for grant in granted if grant.covers(*need)} for one in asked for need in one.needs}
    assert not [need for need, covering in used.items() if not covering], "AWS would refuse this"
    assert not granted.difference(*used.values()), "nothing needs this"


@pytest.mark.parametrize("name", IDENTITIES)
def test_whatever_it_does_not_allow_is_refused(
    name: str, minio: Minio, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with ExitStack() as running:
        house = House.on(minio, tmp_path_factory.mktemp(name), running)
        held = identity(name, house)
        granted = grants(document(name, house.images, house.prompts))
        tried = tried_by(held, house.images, PREFIXES) | tried_by(held, house.prompts)
    may = {access for access, denied in tried.items() if not denied}
    assert may == {access for access in tried if any(grant.covers(*access) for grant in granted)}
    # In so many words, whatever the files come to say.
    assert may.isdisjoint(("s3:DeleteObject", f"{house.images}/{prefix}x") for prefix in ("records/", "images/"))
    assert (("s3:PutObject", f"{house.images}/images/x") in may) == (name == "render")
    assert (("s3:PutObject", f"{house.images}/records/x") in may) == (name in ("render", "intake"))


def test_security_lists_what_all_are_granted_together() -> None:
    rows = re.findall(r"^\| (each \w+|image) bucket(, `claims/\*` only)? \| ([^|]+) \|", SECURITY, re.MULTILINE)
    said = {
        (bucket, bool(claims), action) for bucket, claims, actions in rows for action in re.findall("`(.+?)`", actions)
    }
    called = {"images": "image", "prompts": "each prompt", "inputs": "each input"}
    granted = {grant for name in (*IDENTITIES, "inputs") for grant in grants(document(name))}
    assert said == {
        (
            called[one.resource.partition("/")[0]],
            one.action == "s3:DeleteObject" and one.resource.startswith(f"images/{layout.CLAIMS}"),
            one.action,
        )
        for one in granted
    }


def test_the_image_bucket_takes_nothing_unconditional_where_nothing_is_overwritten(made: list[Made]) -> None:
    (statement,) = document("image-bucket")["Statement"]
    assert (statement["Effect"], statement["Principal"], statement["Action"]) == ("Deny", "*", "s3:PutObject")
    assert statement["Condition"] == {"Null": {"s3:if-none-match": "true"}}, "AWS's words for a PUT without the header"
    conditional = defaultdict(set)
    for one in made:
        if one.method == "PUT":
            conditional[one.name.split("/")[1] + "/"].add(one.conditional)
    assert conditional.keys() == set(layout.OWN), "not all has been written"
    never_overwritten = {prefix for prefix, each in conditional.items() if each == {True}}
    assert set(statement["Resource"]) == {f"{ARN}images/{prefix}*" for prefix in never_overwritten}
