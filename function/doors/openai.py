"""OpenAI's `POST /v1/images/generations`: the same pictures for clients that speak its language."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from flask import Response

from events.prompt import Fault, faults_of, sentence
from function.doors.generate import TOO_LARGE, Desk, Drawn, Failure, json_in, json_out
from function.errors import DarkroomError

PATH: Final = "/v1/images/generations"
# The name of the model beside its own: programs want one, and need not know which directory it is.
ANY_MODEL: Final = "darkroom"

# OpenAI's fields that ask for something which is not here, and the values that ask for nothing of it.
USUAL: Final[Mapping[str, Collection[object]]] = {
    "background": ("auto", "opaque"),
    "complexity": (),
    "frame_count": (),
    "frame_duration_ms": (),
    "moderation": ("auto", "low"),
    "partial_images": (0,),
    "quality": ("auto", "standard"),
    "stream": (False,),
    "style": (),
    "svg": (),
}
# Who asks is of no account here.
UNHEEDED: Final = ("safety_identifier", "user")
FORMATS: Final = ("b64_json", "url")
# What OpenAI calls a prompt's fields: the field, and the places in it where faults are found.
NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "n": ("num_images",),
    "output_format": ("outputs", "outputs.0.format"),
    "output_compression": ("outputs", "outputs.0.quality", "outputs.0"),
}
_KINDS: Final[Mapping[int, str]] = {401: "authentication_error", 429: "rate_limit_error"}


class OpenAIDoor:
    """Answers `POST /v1/images/generations`; a prompt's own fields are welcome beside OpenAI's."""

    def __init__(self, desk: Desk, model: str) -> None:
        self._desk = desk
        self._models = (ANY_MODEL, model)

    def __call__(self, headers: Mapping[str, str], body: bytes) -> Response:
        asked = json_in(body)
        if not isinstance(asked, dict):
            return self._failed(_invalid([Fault("", 'send an object such as {"prompt": "a red star"}')]))
        # null is OpenAI's way to leave a field out.
        asked = {name: value for name, value in asked.items() if value is not None}
        model = asked.pop("model", ANY_MODEL)
        if model not in self._models:
            there = " or ".join(dict.fromkeys(self._models))
            return self._failed(Failure(404, "model_not_found", f"there is no such model; ask for {there}"))
        prompt = _prompt(asked)
        if faults := list(_faults(asked)):
            return self._failed(_in_their_words(asked, _invalid([*faults, *faults_of(prompt)])))
        drawn = self._desk(PATH, headers, prompt)
        if isinstance(drawn, Failure):
            return self._failed(_in_their_words(asked, drawn))
        return self._answer(drawn, [asked["response_format"]] if "response_format" in asked else FORMATS)

    def _answer(self, drawn: Drawn, formats: Collection[str]) -> Response:
        images = drawn.data["images"]
        files = self._desk.in_base64(images) if "b64_json" in formats else None
        left_out = "b64_json" in formats and files is None
        pictures = []
        for number, image in enumerate(images):
            picture = {"url": image["url"]} if left_out or "url" in formats else {}
            if files:
                picture["b64_json"] = files[number]
            pictures.append(picture | {"seed": image["seed"]})
        first = images[0]
        return json_out(
            {
                "created": int(datetime.fromisoformat(drawn.event["time"]).timestamp()),
                "data": pictures,
                "output_format": first["content_type"].removeprefix("image/"),
                "size": f"{first['width']}x{first['height']}",
                "id": drawn.id,
                "key": drawn.data["key"],
                **({"missing": drawn.data["missing"]} if "missing" in drawn.data else {}),
                **({"left_out": TOO_LARGE} if left_out else {}),
            }
        )

    def refused(self, error: DarkroomError) -> Response:
        """Why nothing was drawn, as OpenAI would say it."""
        return self._failed(Failure.refused(error))

    @staticmethod
    def _failed(failure: Failure) -> Response:
        kind = "server_error" if failure.status >= 500 else _KINDS.get(failure.status, "invalid_request_error")
        error = {
            "message": failure.message,
            "type": kind,
            "param": (failure.faults[0]["where"] if failure.faults else "") or None,
            "code": failure.code,
            "faults": list(failure.faults),
        }
        return json_out({"error": error}, failure)


def _faults(asked: Mapping[str, Any]) -> Iterator[Fault]:
    """What OpenAI's fields ask for in vain, or say twice; of the others the prompt's own validation tells."""
    for name, usual in USUAL.items():
        if name in asked and asked[name] not in usual:
            instead = " or ".join(["leave it out", *(f"send {str(value).lower()}" for value in usual)])
            yield Fault(name, f"there is nothing here that it could change; {instead}")
    if asked.get("response_format", "url") not in FORMATS:
        yield Fault("response_format", f"must be {' or '.join(FORMATS)}; left out, there are both")
    for name, (ours, *_) in NAMES.items():
        if name in asked and ours in asked:
            yield Fault(name, f"is said by {ours}, too; send one of them")


def _prompt(asked: Mapping[str, Any]) -> dict[str, Any]:
    """The prompt in Darkroom's words."""
    theirs = {*USUAL, *UNHEEDED, *NAMES, "response_format"}
    prompt = {name: value for name, value in asked.items() if name not in theirs}
    if "n" in asked:
        prompt.setdefault("num_images", asked["n"])
    if prompt.get("size") == "auto":
        del prompt["size"]
    if "output_format" in asked or "output_compression" in asked:
        compression = {"quality": asked["output_compression"]} if "output_compression" in asked else {}
        prompt.setdefault("outputs", [{"format": asked.get("output_format", "png"), **compression}])
    return prompt


def _in_their_words(asked: Mapping[str, Any], failure: Failure) -> Failure:
    """The failure, with what is wrong under the names that it was sent under."""
    if failure.code != "invalid_prompt":
        return failure
    names = {
        place: name for name, places in NAMES.items() if name in asked and places[0] not in asked for place in places
    }
    return _invalid([Fault(names.get(one["where"], one["where"]), one["message"]) for one in failure.faults])


def _invalid(faults: Sequence[Fault]) -> Failure:
    return Failure(
        400,
        "invalid_prompt",
        sentence(faults),
        [{"where": fault.where, "message": fault.message} for fault in faults],
    )
