"""Tags and keys that a store does not take are found before a picture is drawn, each by its setting."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import pytest

from tests.doctor.running import Report, report
from tests.doctor.test_rights import Accounts, policy
from tests.faults import Act, Answer, Answered, Asked, Fault, HangUp, Onward
from tests.faults.proxy import FaultProxy
from tests.servers.minio import Minio

TAGS: Final = {"DARKROOM_TAGS": "team=art"}
KEY: Final = {"DARKROOM_SSE_KMS_KEY": "pictures"}
DENIED: Final = Answered(403, {}, b"<Error><Code>AccessDenied</Code></Error>")


def as_aws(asked: Asked, onward: Onward) -> Answered:
    """Who may not tag may not put what has tags."""
    return DENIED if "x-amz-tagging" in asked.headers else onward(asked)


def tagged_alone(asked: Asked, onward: Onward) -> Answered:
    """A bucket whose policy wants tags on each object."""
    return onward(asked) if "x-amz-tagging" in asked.headers else DENIED


def not_together(asked: Asked, onward: Onward) -> Answered:
    return DENIED if {"x-amz-tagging", "cache-control"} <= asked.headers.keys() else onward(asked)


def encrypted_alone(asked: Asked, onward: Onward) -> Answered:
    """A bucket whose policy wants a key of KMS on each object, which this MinIO does not have."""
    return onward(asked) if "x-amz-server-side-encryption" in asked.headers else DENIED


def encrypted_without_tags(asked: Asked, onward: Onward) -> Answered:
    """The same where the key is there, and the right to tag is not."""
    if "x-amz-server-side-encryption" not in asked.headers or "x-amz-tagging" in asked.headers:
        return DENIED
    # A key that is there, as far as anybody can see: without the header, the digest is looked at.
    kept = {name: value for name, value in asked.headers.items() if "server-side-encryption" not in name}
    return onward(replace(asked, headers=kept, resign=True))


def denied(asked: Asked, onward: Onward) -> Answered:
    del asked, onward
    return DENIED


def silent(asked: Asked, onward: Onward) -> Answered:
    if "x-amz-tagging" in asked.headers:
        raise HangUp
    return onward(asked)


def denied_or_silent(asked: Asked, onward: Onward) -> Answered:
    del onward
    return silent(asked, lambda _: DENIED)


@dataclass(frozen=True)
class House:
    """What is said of a MinIO to whoever holds render's policy."""

    minio: Minio
    settings: dict[str, str]

    def says(self, settings: dict[str, str], act: Act | None = None) -> Report:
        options = ("--identity", "render")
        if act is None:
            return report(self.settings | settings, "rights", options=options)
        with FaultProxy(self.minio) as proxy, proxy.injecting(Fault(act, "PUT", "images/")):
            return report(self.settings | settings | {"AWS_ENDPOINT_URL_S3": proxy.url}, "rights", options=options)


@pytest.fixture(scope="module")
def house(minio: Minio, tmp_path_factory: pytest.TempPathFactory) -> House:
    return House(minio, Accounts(minio).settings(policy("render"), tmp_path_factory.mktemp("keeping")))


@pytest.mark.parametrize("act", [None, tagged_alone, encrypted_alone])
def test_a_key_that_the_store_does_not_have_is_blamed_and_not_the_tags_beside_it(act: Act | None, house: House) -> None:
    said = house.says(TAGS | KEY, act)
    assert said.states("may-write") == {"ok"}
    (wrong,) = said.wrong("may-keep")
    assert wrong.startswith(
        "pictures are not taken as DARKROOM_SSE_KMS_KEY asks: object storage answered NotImplemented"
    )
    assert said.mends("may-keep") == ["kubectl apply --kustomize $OVERLAY  # with another DARKROOM_SSE_KMS_KEY"]


@pytest.mark.parametrize(("settings", "act"), [(TAGS, as_aws), (TAGS | KEY, encrypted_without_tags)])
def test_who_may_not_tag_hears_of_the_right_to(settings: dict[str, str], act: Act, house: House) -> None:
    said = house.says(settings, act)
    assert said.states("may-write") == {"ok"}
    (wrong,) = said.wrong("may-keep")
    assert wrong.startswith("pictures are not taken as DARKROOM_TAGS asks: ")
    assert wrong.endswith("; grant s3:PutObjectTagging")
    (mend,) = said.mends("may-keep")
    assert mend.startswith("mc admin policy create $ALIAS darkroom-render knative/policies/render.json && ")
    assert mend.endswith("  # once it grants s3:PutObjectTagging: knative/policies/README.md")


def test_where_all_is_denied_the_rights_that_the_settings_take_are_named_too(house: House) -> None:
    said = house.says(TAGS, denied)
    (wrong,) = said.wrong("may-write")
    assert wrong.endswith(
        "; grant s3:PutObject below images/ and s3:PutObjectTagging: objects are denied bare and as the settings ask"
    )
    assert "may-keep" not in {finding["check"] for finding in said.findings}


@pytest.mark.parametrize("act", [None, tagged_alone])
def test_what_is_taken_is_well_even_where_nothing_else_is(act: Act | None, house: House) -> None:
    said = house.says(TAGS, act)
    assert {finding["state"] for finding in said.findings} == {"ok"}, said.stdout
    assert said.sentences("ok").count("pictures are taken as DARKROOM_TAGS asks") == 1


@pytest.mark.parametrize(("act", "why"), [(not_together, "AccessDenied"), (silent, "does not answer")])
def test_what_may_be_no_fault_of_a_setting_is_not_called_one(act: Act, why: str, house: House) -> None:
    said = house.says(TAGS, act)
    assert said.sentences() == []
    (unknown,) = said.sentences("unknown")
    assert unknown.startswith("pictures are not taken as "), unknown
    assert why in unknown


@pytest.mark.parametrize(
    ("act", "why"), [(denied_or_silent, "does not answer"), (Answer(503, "SlowDown"), "answered SlowDown")]
)
def test_trouble_of_the_store_is_no_word_on_the_rights(act: Act, why: str, house: House) -> None:
    said = house.says(TAGS, act)
    assert said.sentences() == []
    (unknown,) = said.sentences("unknown")
    assert unknown.startswith(f"object storage {why}")
    assert said.states("may-write") == {"unknown"}


def test_without_such_a_setting_nothing_is_said_of_it(house: House) -> None:
    assert "may-keep" not in {finding["check"] for finding in house.says({}).findings}
