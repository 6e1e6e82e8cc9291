"""With destinations identities need more: what the page says grants it, and the doctor finds where it is lacking."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, Final

import pytest
import urllib3

from tests.backstops.house import House
from tests.darkroom import outcome_of
from tests.doctor.running import report
from tests.faults import Fault
from tests.faults.proxy import FaultProxy
from tests.policies.identity import ARN, Grant, as_the_page_says, document, grants, identity, with_buckets
from tests.policies.work import Watch
from tests.servers.minio import Minio

PROMPT: Final = {"prompt": "noise", "outputs": [{}, {"format": "webp"}], "destination": {"prefix": "team/art"}}
SETTINGS: Final = {"DARKROOM_DESTINATIONS": "team", "DARKROOM_TAGS": "team=art"}
# Whoever signs URLs of pictures.
SIGNING: Final = ("render", "intake", "sweep")


@pytest.fixture(scope="module")
def house(minio: Minio, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with ExitStack() as running:
        yield House.on(minio, tmp_path_factory.mktemp("destinations"), running)


def wider(name: str, house: House) -> dict[str, Any]:
    return with_buckets(as_the_page_says("team/", name), images=house.images, prompts=house.prompts)


@pytest.fixture(scope="module")
def keys(house: House) -> list[str]:
    """The files of a picture that render has drawn with its wider policy."""
    held = identity("render", house, wider("render", house)).environment
    watch = Watch()
    with FaultProxy(house.server) as proxy, proxy.injecting(Fault(watch)):
        process = house.drawing("render", **SETTINGS, **held | {"AWS_ENDPOINT_URL_S3": proxy.url})
        image = outcome_of(process.event(PROMPT, id="granted"))["data"]["images"][0]
    put = [one for one in watch.made if one.method == "PUT" and "/team/" in one.name]
    assert [one.conditional for one in put] == [True, True], "what image-bucket.json asks of them"
    return [image["key"], image["renditions"][0]["key"]]


@pytest.mark.parametrize("name", SIGNING)
def test_the_page_grants_for_them_what_is_granted_for_images_and_nothing_else(name: str) -> None:
    before, after = grants(document(name)), grants(as_the_page_says("team/", name))
    like = {Grant(one.action, "images/team/*") for one in before if one.resource == "images/images/*"}
    assert like
    assert after == before | like


def test_with_the_page_nothing_is_overwritten_there_either() -> None:
    (before,), (after,) = (
        policy["Statement"] for policy in (document("image-bucket"), as_the_page_says("team/", "image-bucket"))
    )
    assert {*after["Resource"]} == {*before["Resource"], f"{ARN}images/team/*"}
    assert after | {"Resource": None} == before | {"Resource": None}


def test_pictures_lie_there(house: House, keys: list[str]) -> None:
    assert [name.startswith("team/art/") for name in keys] == [True, True]
    assert house.read(keys[1])[8:12] == b"WEBP"


def test_without_it_nothing_is_drawn(house: House) -> None:
    answer = house.drawing("render", **SETTINGS, **identity("render", house).environment).event(PROMPT, id="denied")
    assert answer.status == 503, "the installation's fault"


@pytest.mark.parametrize("name", SIGNING)
def test_the_doctor_finds_it_lacking_as_do_those_who_open_urls(name: str, house: House, keys: list[str]) -> None:
    options = ("--identity", name)
    lacking, enough = identity(name, house), identity(name, house, wider(name, house))
    for held, status in ((lacking, 403), (enough, 200)):
        url = held.client.generate_presigned_url("get_object", Params={"Bucket": house.images, "Key": keys[0]})
        assert urllib3.request("GET", url).status == status
    said = report(house.settings | SETTINGS | lacking.environment, "rights", options=options)
    wrong = [finding for finding in said.findings if finding["state"] == "wrong"]
    assert wrong, said.stdout
    for finding in wrong:
        assert finding["mend"].endswith("  # once they name your buckets and destinations: knative/policies/README.md")
    said = report(house.settings | SETTINGS | enough.environment, "rights", options=options)
    assert {finding["state"] for finding in said.findings} == {"ok"}, said.stdout
    assert any(finding["check"] == "may-keep" for finding in said.findings) is (name == "render")


@pytest.mark.parametrize(
    ("name", "destinations", "hint"),
    [
        ("render", "team", "  # once they name your destinations: knative/policies/README.md"),
        ("render", "", ""),
        # What it writes lies below none of them.
        ("archive", "team", ""),
    ],
)
def test_where_the_buckets_are_called_as_in_the_files_only_they_are_put_in(
    name: str, destinations: str, hint: str, house: House
) -> None:
    held = identity(name, house).environment
    settings = {"DARKROOM_IMAGE_BUCKET": "images", "DARKROOM_PROMPT_BUCKETS": "prompts"}
    settings |= {"DARKROOM_DESTINATIONS": destinations}
    said = report(house.settings | held | settings, "rights", options=("--identity", name))
    attached = f'mc admin policy attach $ALIAS darkroom-{name} --user "$AWS_ACCESS_KEY_ID"'
    assert {finding["mend"].partition(" && ")[2] for finding in said.findings if finding["state"] == "wrong"} == {
        f"{attached}{hint}"
    }
