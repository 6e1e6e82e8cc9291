"""`POST /generate`: a prompt in and its picture out, over the same ledger as everything else."""

from __future__ import annotations

import base64
import hashlib
import json
import urllib.request
import uuid

import pytest
from PIL import ImageChops

from function.doors.app import MAX_BODY
from tests.generate.conftest import CAPTION, PROMPT, Waiting, picture


def test_all_six_fields_of_such_servers_are_taken(waiting: Waiting) -> None:
    fields = {"negative_prompt": "", "num_inference_steps": 2, "width": 64, "height": 128, "seed": None}
    answer = waiting.drawn({"prompt": CAPTION, **fields})
    assert (answer["width"], answer["height"]) == (64, 128)
    assert picture(answer["image"]).size == (64, 128)


def test_a_seed_of_0_is_a_seed(waiting: Waiting) -> None:
    first, second, other = (waiting.drawn({**PROMPT, "num_inference_steps": 2, "seed": seed}) for seed in (0, 0, 1))
    assert (first["seed"], second["seed"], other["seed"]) == (0, 0, 1)
    assert first["key"] != second["key"]
    assert picture(first["image"]).tobytes() == picture(second["image"]).tobytes() != picture(other["image"]).tobytes()


def test_the_seed_that_was_drawn_with_is_told_and_draws_the_same_again(waiting: Waiting) -> None:
    prompt = {**PROMPT, "num_inference_steps": 2}
    open_ = waiting.drawn(prompt)
    again = waiting.drawn({**prompt, "seed": open_["seed"]})
    assert not ImageChops.difference(picture(open_["image"]), picture(again["image"])).getbbox()
    assert waiting.drawn(prompt)["seed"] != open_["seed"]


def test_what_is_answered_is_what_is_stored(waiting: Waiting) -> None:
    answer = waiting.drawn({**PROMPT, "num_inference_steps": 2})
    body = base64.b64decode(answer["image"], validate=True)
    assert hashlib.sha256(body).hexdigest() == answer["sha256"]
    with urllib.request.urlopen(answer["url"], timeout=30) as fetched:  # noqa: S310
        assert fetched.read() == body
    stored = waiting.server.client.get_object(Bucket=waiting.images, Key=f"records/{answer['key']}.json")
    record = json.loads(stored["Body"].read())
    assert (record["request"]["source"], record["request"]["id"]) == ("/generate", answer["id"])
    assert record["outcome"]["data"]["images"][0]["seed"] == answer["seed"]


def test_the_same_key_is_the_same_picture_and_no_render(waiting: Waiting) -> None:
    before, key = waiting.renders, f"ü {uuid.uuid4()}"
    one, other = (waiting.drawn({**PROMPT, "num_inference_steps": 2}, key) for _ in range(2))
    assert waiting.renders - before == 1
    for answer in (one, other):
        del answer["url"], answer["url_expires_at"]
    assert one == other


def test_another_prompt_under_the_key_is_refused_for_good(waiting: Waiting) -> None:
    key = str(uuid.uuid4())
    waiting.drawn({**PROMPT, "num_inference_steps": 1}, key)
    error = waiting.refused({**PROMPT, "num_inference_steps": 2}, 422, key)
    assert (error["code"], error["faults"]) == ("prompt_mismatch", [])


def test_a_picture_that_was_deleted_is_gone(waiting: Waiting) -> None:
    key = str(uuid.uuid4())
    answer = waiting.drawn({**PROMPT, "num_inference_steps": 1}, key)
    waiting.server.client.delete_object(Bucket=waiting.images, Key=f"images/{answer['key']}/0.png")
    error = waiting.refused({**PROMPT, "num_inference_steps": 1}, 410, key)
    assert error["code"] == "image_gone"
    assert "Idempotency-Key" in error["message"]


def test_several_pictures_are_a_list_each_with_its_seed(waiting: Waiting) -> None:
    answer = waiting.drawn({**PROMPT, "num_images": 2, "seed": 0, "num_inference_steps": 2})
    assert "image" not in answer
    assert [image["seed"] for image in answer["images"]] == [0, 1]
    alone = waiting.drawn({**PROMPT, "seed": 1, "num_inference_steps": 2})
    assert picture(answer["images"][1]["image"]).tobytes() == picture(alone["image"]).tobytes()


def test_the_first_of_the_outputs_is_the_image(waiting: Waiting) -> None:
    outputs = [{"format": "jpeg"}, {"format": "png", "max_side": 32}]
    answer = waiting.drawn({**PROMPT, "num_inference_steps": 1, "outputs": outputs})
    assert answer["content_type"] == "image/jpeg"
    assert base64.b64decode(answer["image"]).startswith(b"\xff\xd8")
    assert [file["content_type"] for file in answer["renditions"]] == ["image/png"]


def test_all_faults_are_told_at_once(waiting: Waiting) -> None:
    error = waiting.refused({"prompt": "", "width": 100, "steps": 3}, 400)
    assert error["code"] == "invalid_prompt"
    assert {fault["where"] for fault in error["faults"]} == {"prompt", "width", "steps"}


@pytest.mark.parametrize("prompt", [[PROMPT], "a cat", 7, {"prompts": [PROMPT]}, {**PROMPT, "runs": 2}])
def test_only_one_prompt_is_taken(waiting: Waiting, prompt: object) -> None:
    assert waiting.refused(prompt, 400)["code"] == "invalid_prompt"


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b'{"seed": NaN}', b"[" * 100_000])
def test_what_is_no_json_is_refused_without_an_echo(waiting: Waiting, body: bytes) -> None:
    response = waiting.process.post("/generate", body, {"Content-Type": "application/json"})
    assert response.status == 400
    assert json.loads(response.data)["error"]["code"] == "not_json"
    assert b"NaN" not in response.data


def test_a_body_over_the_limit_is_refused(waiting: Waiting) -> None:
    assert waiting.process.post("/generate", b" " * MAX_BODY, {}).status == 400
    assert waiting.process.post("/generate", b" " * (MAX_BODY + 1), {}).status == 413
