"""OpenAI's own client gets right pictures, and errors that it knows."""

from __future__ import annotations

import json
import time
import urllib.request
import uuid
from collections.abc import Iterator
from io import BytesIO
from typing import Any, get_type_hints

import openai
import pytest
from openai.types import ImagesResponse
from openai.types.image_generate_params import ImageGenerateParamsNonStreaming
from PIL import Image

from tests.generate.conftest import CAPTION, Waiting, picture
from tests.judge import is_right


@pytest.fixture(scope="module")
def client(waiting: Waiting) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(api_key="any", base_url=f"{waiting.process.url}/v1", max_retries=0, timeout=120) as client:
        yield client


def fields(**more: object) -> dict[str, Any]:
    """Fields of a prompt that OpenAI has not, so that it is drawn fast."""
    return {"num_inference_steps": 2} | more


@pytest.mark.parametrize("caption", [CAPTION, "a green square on a white background"])
def test_the_client_gets_a_right_picture(client: openai.OpenAI, caption: str) -> None:
    began = int(time.time())
    answer = client.images.generate(
        model="darkroom", prompt=caption, n=1, size="128x128", response_format="b64_json", quality="auto", user="me",
        extra_body={"num_inference_steps": 20, "seed": 0},
    )  # fmt: skip
    (image,) = answer.data or []
    assert image.b64_json
    assert image.url is None
    assert is_right(picture(image.b64_json), caption)
    assert began <= answer.created <= time.time() + 1
    assert (answer.size, answer.output_format) == ("128x128", "png")


def test_without_a_format_there_are_both(client: openai.OpenAI) -> None:
    (image,) = client.images.generate(prompt=CAPTION, extra_body=fields()).data or []
    assert image.b64_json
    assert image.url
    with urllib.request.urlopen(image.url, timeout=30) as fetched, Image.open(BytesIO(fetched.read())) as there:  # noqa: S310
        assert there.convert("RGB").tobytes() == picture(image.b64_json).tobytes()


def test_several_pictures_by_url_with_their_seeds(client: openai.OpenAI) -> None:
    answer = client.images.generate(
        prompt=CAPTION, n=2, size="auto", response_format="url", output_format="webp", output_compression=50,
        extra_body=fields(seed=0),
    )  # fmt: skip
    images = answer.data or []
    assert [(image.model_extra or {})["seed"] for image in images] == [0, 1]
    assert [image.b64_json for image in images] == [None, None]
    assert answer.output_format == "webp"
    with urllib.request.urlopen(images[1].url or "", timeout=30) as fetched:  # noqa: S310
        assert fetched.headers["Content-Type"] == "image/webp"


def test_a_key_is_the_same_picture(client: openai.OpenAI, waiting: Waiting) -> None:
    before, headers = waiting.renders, {"Idempotency-Key": str(uuid.uuid4())}

    def asked(prompt: str) -> ImagesResponse:
        return client.images.generate(
            prompt=prompt, response_format="b64_json", extra_body=fields(), extra_headers=headers
        )

    assert asked(CAPTION) == asked(CAPTION)
    assert waiting.renders - before == 1
    with pytest.raises(openai.UnprocessableEntityError) as error:
        asked("a black cross on a white background")
    assert error.value.code == "prompt_mismatch"


# Each field that asks for what is not here with all values that OpenAI has for it; those that ask for nothing of it.
IN_VAIN: dict[str, list[object]] = {
    "background": ["transparent"],
    "complexity": ["low"],
    "frame_count": [2],
    "frame_duration_ms": [200],
    "moderation": ["high"],
    "partial_images": [1],
    "quality": ["low", "medium", "high", "xhigh", "max", "hd"],
    "stream": [True],
    "style": ["vivid", "natural"],
    "svg": [{"model": "any"}],
}
NOTHING: dict[str, list[Any]] = {
    "background": ["auto", "opaque"],
    "moderation": ["auto", "low"],
    "partial_images": [0],
    "quality": ["auto", "standard"],
    "response_format": ["url", "b64_json"],
    "safety_identifier": ["somebody"],
    "size": ["auto"],
    "stream": [False],
    "user": ["somebody"],
}


def in_vain() -> Iterator[tuple[dict[str, Any], str]]:
    """Bodies that are refused, and for which of their fields."""
    for name, values in IN_VAIN.items():
        yield from (({name: value}, name) for value in values)
    for wrong in (
        {"n": 17}, {"num_images": 17}, {"size": "100x100"}, {"size": "large"}, {"response_format": "file"},
        {"output_format": "gif"}, {"output_compression": 50}, {"prompt": ""}, {"guidance_scale": -1}, {"cfg": 7},
    ):  # fmt: skip
        yield wrong, next(iter(wrong))
    yield {"output_format": "jpeg", "output_compression": 0}, "output_compression"
    yield {"n": 2, "num_images": 2}, "n"
    yield {"outputs": [{"format": "png"}], "output_format": "png"}, "output_format"
    yield {"outputs": [{"format": "jpeg"}], "output_compression": 50}, "output_compression"


@pytest.mark.parametrize(("wrong", "param"), list(in_vain()))
def test_what_cannot_be_had_is_refused_by_its_name(client: openai.OpenAI, wrong: dict[str, Any], param: str) -> None:
    with pytest.raises(openai.BadRequestError) as error:
        client.images.generate(prompt=CAPTION, extra_body=wrong)
    assert (error.value.param, error.value.code) == (param, "invalid_prompt")
    assert error.value.type == "invalid_request_error"
    body: Any = error.value.body
    assert body["message"].startswith(f"{param}: ")
    assert [fault["where"] for fault in body["faults"]] == [param]


def test_all_that_is_wrong_is_told_at_once(client: openai.OpenAI) -> None:
    wrong = {"style": "vivid", "n": 1, "num_images": 2, "output_format": "gif", "cfg": 7, "response_format": "file"}
    with pytest.raises(openai.BadRequestError) as error:
        client.images.generate(prompt="", extra_body=wrong)
    body: Any = error.value.body
    told = ["cfg", "n", "output_format", "prompt", "response_format", "style"]
    assert sorted(fault["where"] for fault in body["faults"]) == told


def test_what_asks_for_nothing_is_taken_and_who_asks_is_not_kept(waiting: Waiting) -> None:
    for number in range(2):
        asked = {name: values[number % len(values)] for name, values in NOTHING.items()}
        response = waiting.ask(fields(prompt=CAPTION, **asked), path="/v1/images/generations")
        assert response.status == 200, response.data
        answer = json.loads(response.data)
        assert answer["data"][0].keys() == {asked["response_format"], "seed"}
        stored = waiting.server.client.get_object(Bucket=waiting.images, Key=f"records/{answer['key']}.json")
        assert b"somebody" not in stored["Body"].read()


def test_every_field_of_openais_is_known() -> None:
    theirs = get_type_hints(ImageGenerateParamsNonStreaming).keys()
    assert theirs - {"model", "prompt", "n", "output_format", "output_compression"} == IN_VAIN.keys() | NOTHING.keys()


def test_another_model_is_not_there(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="darkroom or models/shapes"):
        client.images.generate(model="dall-e-3", prompt=CAPTION)


def test_no_stream_is_begun(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="stream"):
        client.images.generate(prompt=CAPTION, stream=True)


def test_what_is_no_object_is_refused(waiting: Waiting) -> None:
    assert waiting.ask([CAPTION], path="/v1/images/generations").status == 400
