"""Which objects a prompt may name, and what becomes of it where they cannot be used."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import pytest

from events.prompt import Input, Prompt, faults_of, validate
from function.bucket.inputs import Inputs
from function.errors import InputUnusable, Lacking, StoreDown
from tests.fakes import MemoryStore
from tests.inputs.hostile import picture

PICTURE = picture("PNG", 64, 48)
SUM = hashlib.sha256(PICTURE).hexdigest()
LIMIT = 1 << 20


@pytest.fixture
def store() -> MemoryStore:
    store = MemoryStore("inputs")
    store.create("cat.png", PICTURE)
    return store


def inputs(store: MemoryStore) -> Inputs:
    return Inputs({"inputs": store, "more": MemoryStore("more")}, LIMIT)


def asking(image: object, mask_image: object = None) -> Prompt:
    return validate({"prompt": "a cat", "image": image, "mask_image": mask_image})


def told(store: MemoryStore, prompt: Prompt) -> Sequence[str]:
    with pytest.raises(InputUnusable) as failed:
        inputs(store).read(prompt)
    return [str(fault) for fault in failed.value.faults]


@pytest.mark.parametrize("image", ["s3://inputs/cat.png", {"uri": "s3://inputs/cat.png"}])
def test_an_object_is_named_by_its_uri_and_told_with_its_sum(store: MemoryStore, image: object) -> None:
    prompt, pictures = inputs(store).read(asking(image, {"uri": "s3://inputs/cat.png", "sha256": SUM}))
    named = Input(uri="s3://inputs/cat.png", sha256=SUM)
    assert (prompt.image, prompt.mask_image) == (named, named)
    assert {given: one.size for given, one in pictures.items()} == {named: (64, 48)}


def test_a_prompt_without_objects_stays_as_it_is(store: MemoryStore) -> None:
    prompt = validate({"prompt": "a cat"})
    assert inputs(store).read(prompt) == (prompt, {})


@pytest.mark.parametrize("name", ["a b.png", "ä/ö.png", "100%.png", "a%20b.png", "a+b?x=1#y.png", "//x.png", "a/./b"])
def test_keys_are_taken_as_they_are(store: MemoryStore, name: str) -> None:
    uri = f"s3://inputs/{name}"
    if "/./" in name:
        assert faults_of({"prompt": "a cat", "image": uri})
        return
    store.create(name, PICTURE)
    prompt, _ = inputs(store).read(asking(uri))
    assert prompt.image == Input(uri=uri, sha256=SUM)


def test_every_object_that_cannot_be_used_is_told_at_once(store: MemoryStore) -> None:
    store.create("text.png", b"a red star")
    assert told(store, asking("s3://inputs/text.png", "s3://more/gone.png")) == [
        "image: is no PNG, JPEG or WebP",
        "mask_image: is not there",
    ]


def test_an_object_with_another_sum_is_not_used(store: MemoryStore) -> None:
    named = {"uri": "s3://inputs/cat.png", "sha256": "0" * 64}
    assert told(store, asking(named)) == ["image: has another sha256 than it should have"]


class Counting(MemoryStore):
    """Remembers how much of each object was asked for."""

    asked = 0

    def read(self, key: str, version: str | None = None, limit: int | None = None):  # type: ignore[no-untyped-def]  # noqa: ANN201
        assert limit is not None
        self.asked = limit
        return super().read(key, version, limit)


def test_no_more_of_an_object_is_read_than_it_may_have() -> None:
    store = Counting("inputs")
    store.create("large.png", bytes(2 * LIMIT))
    assert told(store, asking("s3://inputs/large.png")) == [f"image: is larger than {LIMIT} bytes"]
    assert store.asked == LIMIT + 1


def test_a_store_that_is_away_says_nothing_of_the_object(store: MemoryStore) -> None:
    store.fail_next(1, StoreDown("away"))
    with pytest.raises(StoreDown):
        inputs(store).read(asking("s3://inputs/cat.png"))


def test_a_bucket_that_is_not_for_inputs_is_lacking_and_says_which_are(store: MemoryStore) -> None:
    with pytest.raises(Lacking, match=r"^image is in no bucket .*; they may lie in inputs, more$"):
        inputs(store).check(asking("s3://secrets/cat.png"))
    with pytest.raises(Lacking, match="it takes none"):
        Inputs({}, LIMIT).check(asking("s3://inputs/cat.png"))
    inputs(store).check(asking("s3://inputs/cat.png"))
    inputs(store).check(validate({"prompt": "a cat"}))


@pytest.mark.parametrize(
    "uri",
    [
        *("https://x.example/cat.png", "file:///etc/passwd", "data:image/png;base64,AAAA", "cat.png", "", 7),
        *("s3://inputs", "s3://inputs/", "s3:///cat.png", "S3://inputs/cat.png", "s3://in puts/x", "s3://inputs/\0"),
        *("s3://inputs/../secrets/cat.png", "s3://inputs/a/..", "s3://inputs/" + "ä" * 600, ["s3://inputs/cat.png"]),
        *({"uri": "s3://inputs/cat.png", **more} for more in ({"etag": "x"}, {"sha256": "A" * 64}, {"sha256": 1})),
        {"sha256": SUM},
    ],
    ids=lambda uri: str(uri)[-60:],
)
def test_what_names_no_object_is_a_fault_of_the_prompt(uri: object) -> None:
    (fault, *more) = faults_of({"prompt": "a cat", "image": uri})
    assert not more
    assert fault.where.startswith("image")
