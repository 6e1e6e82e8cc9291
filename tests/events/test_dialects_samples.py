"""Every message that a server was seen to send, or says that it sends, is understood however it arrives."""

from __future__ import annotations

import pytest

from events.request import from_object
from tests.events.samples import CARRIER, CASES, MODES, RECORDED, SAMPLES, Sample, case, told, understood

PROMPT = {"prompt": "a red star"}


def all_modes() -> list[object]:
    """Each sample in each mode that can carry it."""
    return [
        pytest.param(sample, mode, id=f"{sample.name}, {mode}")
        for sample in SAMPLES
        for mode in MODES
        # Where the type alone says what the data is, there is nothing to be read without it.
        if mode != "raw" or not (sample.carried or (sample.attributes and not sample.objects))
    ]


@pytest.mark.parametrize(("sample", "mode"), all_modes())
def test_sample_means_what_it_was_recorded_with(sample: Sample, mode: str) -> None:
    # Bucket, key, version, etag and size, all as the server's S3 API shows them.
    attributes = sample.attributes or CARRIER
    found = [each for data in sample.datas for each in understood(*MODES[mode](attributes, data))]
    assert len(found) == len(sample.datas)
    assert told(found) == sample.truth


@pytest.mark.parametrize("sample", [sample for sample in SAMPLES if sample.objects], ids=lambda sample: sample.name)
def test_notification_and_listing_lead_to_the_same_key(sample: Sample) -> None:
    found = [each for data in sample.datas for each in understood({}, data)]
    notified = [from_object(ref, 0, PROMPT).key for ref in told(found)[0]]
    assert notified == [from_object(ref, 0, PROMPT).key for ref in sample.truth[0]]
    assert len(set(notified)) == len(notified)


@pytest.mark.parametrize("server", RECORDED)
def test_recorded_samples_hold_what_is_hard(server: str) -> None:
    keys = [created["key"] for each in CASES[server] for created in each["created"]]
    for part in (" ", "+", "%41", "/", "&", "\n", "caf\u00e9", "cafe\u0301", "\u2028", "\U0001f31f"):
        assert any(part in key for key in keys), part
    assert max(len(key.encode()) for key in keys) >= 900
    nothing = {each["what"] for each in CASES[server] if each["messages"] and not each["created"]}
    assert nothing >= {"a folder", "new tags", "no tags any more", "new tags without content", "a removal"}
    assert nothing >= {"a delete marker"}


@pytest.mark.parametrize("server", RECORDED)
def test_versions_of_one_object_are_told_apart(server: str) -> None:
    names = [f"{server}: {what}" for what in ("a first version", "a second version", "versions suspended")]
    samples = [sample for name in names for sample in SAMPLES if sample.name == name]
    founds = [[each for data in sample.datas for each in understood({}, data)] for sample in samples]
    first, second, suspended = (told(found)[0][0] for found in founds)
    assert first.key == second.key == suspended.key
    assert first.version
    assert second.version
    assert first.version != second.version
    assert suspended.version is None, 'servers say "null"'
    assert suspended.etag == first.etag, "the same content"
    assert len({ref.file_key for ref in (first, second, suspended)}) == 3


def test_kafka_id_that_comes_back_is_another_request_at_another_time() -> None:
    first, again = (case("kafka", what) for what in ("a prompt", "a prompt at another time under the same id"))
    assert first["attributes"]["id"] == again["attributes"]["id"]
    assert first["texts"] == again["texts"]
    assert first["carried"][0]["id"] != again["carried"][0]["id"]
