"""Which objects may be prompt files, and the requests in them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

import pytest

from events.dialects import Carried
from events.promptfile import DEFAULTS, Limits
from events.request import ObjectRef, from_message, from_object
from function import layout
from function.bucket.files import Asked, PromptFiles
from function.config import Settings
from function.errors import InvalidFile, InvalidRequest
from tests.fakes import MemoryStore

GOOD: Final = {"prompt": "a red star"}


def files_in(
    *stores: MemoryStore,
    limits: Limits = DEFAULTS,
    prefix: str = "",
    suffix: str = "",
    destinations: Sequence[str] = (),
) -> PromptFiles:
    buckets = {store.bucket: store for store in stores}
    return PromptFiles(
        buckets, image_bucket="images", prefix=prefix, suffix=suffix, limits=limits, destinations=destinations
    )


FILES: Final = files_in(MemoryStore("prompts"), MemoryStore("images"))


@pytest.mark.parametrize(
    "key",
    [
        "a.json",
        "in/a.json",
        "caf\u00e9 +%41&=?.txt",
        ".hidden",
        "...",
        "a..b/c",
        "a\nb",
        "a//b",
        "\u661f" * 341,
        "k" * 1024,
    ],
)
def test_a_name_that_a_store_can_hold_is_admitted(key: str) -> None:
    assert FILES.admits(ObjectRef("prompts", key))


@pytest.mark.parametrize(
    "key",
    [
        "",
        "a/",
        "/",
        "a\0b",
        "\ud800",
        "a\udcffb",
        "k" * 1025,
        "\u661f" * 342,
        ".",
        "..",
        "a/../b",
        "./a",
        "a/.",
        "../a",
    ],
)
def test_a_name_that_no_store_can_hold_is_not(key: str) -> None:
    assert not FILES.admits(ObjectRef("prompts", key))


def test_only_listed_buckets_and_what_passes_the_filter() -> None:
    files = files_in(MemoryStore("prompts"), prefix="in/", suffix=".json")
    assert files.admits(ObjectRef("prompts", "in/a.json"))
    for bucket, key in (("other", "in/a.json"), ("prompts", "a.json"), ("prompts", "in/a.txt"), ("prompts", "in")):
        assert not files.admits(ObjectRef(bucket, key))


@pytest.mark.parametrize("own", layout.OWN)
def test_what_we_wrote_is_no_prompt(own: str) -> None:
    assert not FILES.admits(ObjectRef("images", f"{own}a.json"))
    assert FILES.admits(ObjectRef("prompts", f"{own}a.json"))


def test_what_lies_below_a_destination_is_no_prompt_either() -> None:
    files = files_in(MemoryStore("images"), destinations=("team/art",))
    for key, admitted in (("team/art/x/a.json", False), ("team/arts/a.json", True), ("team/a.json", True)):
        assert files.admits(ObjectRef("images", key)) is admitted


def test_each_prompt_of_a_file_is_a_request_or_refused() -> None:
    store = MemoryStore("prompts", versioned=True)
    store.write("a.json", json.dumps([GOOD, GOOD | {"width": 65, "x": 1}, GOOD | {"seed": 3, "runs": 2}]).encode())
    file = files_in(store).read(ObjectRef("prompts", "a.json"))
    assert file is not None
    stored = store.read("a.json")
    assert stored is not None
    assert file.ref == ObjectRef("prompts", "a.json", stored.version, stored.etag, len(stored.body))
    assert len(file) == 4
    asked = list(file)
    received: list[Any] = [GOOD, GOOD | {"width": 65, "x": 1}, GOOD | {"seed": 3}, GOOD | {"seed": 4}]
    assert [one.request for one in asked] == [from_object(file.ref, n, prompt) for n, prompt in enumerate(received)]
    assert [type(one.refusal) for one in asked] == [type(None), InvalidRequest, type(None), type(None)]
    refusal = asked[1].refusal
    assert refusal is not None
    assert [fault.where for fault in refusal.faults] == ["[1].width", "[1].x"]
    assert str(refusal).startswith("[1].width: must be a multiple of 8; [1].x: there is no such field")
    assert [one.request for one in file] == [one.request for one in asked], "as often as wanted"


@pytest.mark.parametrize(
    ("key", "body", "why"),
    [
        ("a.json", b"{", "the file is not JSON"),
        ("a.bmp", b"{}", "the name of a prompt file ends in one of"),
        ("a.txt", b"x" * 101, "the file is larger than 100 bytes"),
        ("a.txt", b"x\n" * 4, "the file holds more than 3 prompts"),
        ("a.json", b'{"prompt": "a", "runs": 6}', "matrix and runs make more than 5 prompts"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_refusal(key: str, body: bytes, why: str) -> None:
    store = MemoryStore("prompts")
    store.write(key, body)
    file = files_in(store, limits=Limits(size=100, prompts=3, expanded=5)).read(ObjectRef("prompts", key, size=7))
    assert file is not None
    (asked,) = file
    assert len(file) == 1
    assert asked.request == from_object(file.ref, 0, None)
    assert isinstance(asked.refusal, InvalidFile)
    assert why in str(asked.refusal)
    assert file.ref.size == (len(body) if len(body) <= 100 else None)


def test_the_version_that_is_named_is_read() -> None:
    store = MemoryStore("prompts", versioned=True)
    files = files_in(store)
    for text in (b"old", b"new"):
        store.write("a.txt", text)
    old, new = (files.read(ObjectRef("prompts", "a.txt", version)) for version in ("v0", None))
    assert old is not None
    assert new is not None
    assert [asked.request.received for asked in (*old, *new)] == [{"prompt": "old"}, {"prompt": "new"}]
    assert files.identify(ObjectRef("prompts", "a.txt", "v0")) == ObjectRef("prompts", "a.txt", "v0", old.ref.etag)
    assert files.identify(ObjectRef("prompts", "a.txt")) == ObjectRef("prompts", "a.txt", "v1", new.ref.etag)


def test_what_is_gone_is_none() -> None:
    files = files_in(MemoryStore("prompts"))
    assert files.read(ObjectRef("prompts", "a.txt")) is None
    assert files.identify(ObjectRef("prompts", "a.txt")) is None


def carried(received: object) -> tuple[int, list[Asked]]:
    prompts = files_in(limits=Limits(prompts=3)).carried(Carried("/here", "7", received, {}))
    return len(prompts), list(prompts)


def test_a_message_is_read_like_a_file() -> None:
    assert carried(GOOD) == (1, [Asked(from_message("/here", "7", 0, 1, GOOD))])
    assert carried([GOOD, GOOD]) == (2, [Asked(from_message("/here", "7", n, 2, GOOD)) for n in (0, 1)])
    count, (asked,) = carried({"prompt": ""})
    assert (count, type(asked.refusal)) == (1, InvalidRequest)


@pytest.mark.parametrize("received", [[], [GOOD] * 4, {"prompts": 7}])
def test_a_message_that_cannot_be_read_is_one_refusal(received: object) -> None:
    count, (asked,) = carried(received)
    assert count == 1
    assert asked.request == from_message("/here", "7", 0, 1, received)
    assert isinstance(asked.refusal, InvalidFile)


def test_the_settings_limits_are_those_of_the_code_and_can_be_changed() -> None:
    assert Settings.from_environment({}).prompt_limits == DEFAULTS
    environment = {"DARKROOM_MAX_PROMPT_FILE": "1", "DARKROOM_MAX_PROMPTS": "2", "DARKROOM_MAX_EXPANDED": "3"}
    assert Settings.from_environment(environment).prompt_limits == Limits(size=1, prompts=2, expanded=3)
