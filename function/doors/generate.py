"""The doors whose sender waits for the pictures: `POST /generate`, and what it shares with that in OpenAI's words."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

from flask import Response

from events.dialects.direct import request_id
from events.envelope import decode_json, encode_json
from events.request import Request
from function.doors.app import RETRY_AFTER, sentence_for
from function.errors import DarkroomError, Refused, Retry
from function.rendering import Darkroom
from function.store import ObjectStore

PATH: Final = "/generate"
# What the answer says of each picture beside its bytes, as the outcome has it.
OF_AN_IMAGE: Final = (
    "url", "url_expires_at", "seed", "width", "height", "content_type", "sha256", "uri", "renditions"
)  # fmt: skip
# Bytes of files that one answer holds at most; in base64 they are a third more, and in memory several times over.
MOST_BYTES: Final = 64 << 20
TOO_LARGE: Final = "the files are too large for one answer; fetch each by its url"
# What it says of all of them together.
OF_ALL: Final = ("key", "prompt", "missing", "remarks", "model", "adapters", "timings")


class NotJson(Refused):
    """The body cannot be read."""

    event_status = 400
    message = 'the body is no JSON; send a prompt such as {"prompt": "a red star"}'


class ImageGone(Refused):
    """What was drawn for this key is no longer in the image bucket."""

    event_status = 410
    message = "this was drawn before, and the picture has been deleted since; send it with another Idempotency-Key"


@dataclass(frozen=True, slots=True)
class Failure:
    """Why there are no pictures, and with which status to say so."""

    status: int
    code: str
    message: str
    faults: Sequence[Mapping[str, str]] = ()
    again: bool = False

    @classmethod
    def refused(cls, error: DarkroomError) -> Self:
        """The door refuses, and nothing is recorded."""
        code = re.sub(r"(?<!^)(?=[A-Z])", "_", type(error).__name__).lower()
        return cls(error.event_status, code, sentence_for(error), again=isinstance(error, Retry))

    @classmethod
    def recorded(cls, data: Mapping[str, Any]) -> Self:
        """The outcome is a failure, and will be the same under the same key: never a status that is tried again."""
        status = 400 if data["code"] == "invalid_prompt" else 422
        return cls(status, data["code"], data["message"], data.get("faults", ()))


@dataclass(frozen=True, slots=True)
class Drawn:
    """A completion, and the id under which it was asked for."""

    id: str
    event: Mapping[str, Any]

    @property
    def data(self) -> Mapping[str, Any]:
        data: Mapping[str, Any] = self.event["data"]
        return data


class Desk:
    """Takes a prompt and hands out its pictures; a request like every other, with its claim, record and outcome."""

    def __init__(self, darkroom: Darkroom, store: ObjectStore, *, most_bytes: int = MOST_BYTES) -> None:
        self._darkroom = darkroom
        self._store = store
        self._most_bytes = most_bytes

    def __call__(self, source: str, headers: Mapping[str, str], received: object) -> Drawn | Failure:
        """What became of the prompt, now or before under the same `Idempotency-Key`."""
        request = Request(source, request_id(headers.get("idempotency-key")), received)
        event = self._darkroom.answer(request)
        return Failure.recorded(event["data"]) if "code" in event["data"] else Drawn(request.id, event)

    def in_base64(self, images: Sequence[Mapping[str, Any]]) -> list[str] | None:
        """The images' files as they are stored, which is what counts; None where they are too large for one answer."""
        if sum(image["size"] for image in images) > self._most_bytes:
            return None
        return [self._in_base64(image["key"]) for image in images]

    def _in_base64(self, key: str) -> str:
        stored = self._store.read(key)
        if stored is None:
            raise ImageGone
        return b64encode(stored.body).decode()


class GenerateDoor:
    """Answers `POST /generate`: a prompt in, its picture in base64 out."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def __call__(self, headers: Mapping[str, str], body: bytes) -> Response:
        drawn = self._desk(PATH, headers, json_in(body))
        if isinstance(drawn, Failure):
            return self._failed(drawn)
        images = [{name: image[name] for name in OF_AN_IMAGE if name in image} for image in drawn.data["images"]]
        files = self._desk.in_base64(drawn.data["images"])
        if files:
            images = [{"image": file} | image for file, image in zip(files, images, strict=True)]
        pictures = images[0] if drawn.data["prompt"]["num_images"] == 1 else {"images": images}
        of_all = {name: drawn.data[name] for name in OF_ALL if name in drawn.data}
        return json_out(pictures | {"id": drawn.id} | of_all | ({} if files else {"left_out": TOO_LARGE}))

    def refused(self, error: DarkroomError) -> Response:
        """Why nothing was drawn, in the same words as an outcome has."""
        return self._failed(Failure.refused(error))

    @staticmethod
    def _failed(failure: Failure) -> Response:
        error = {"code": failure.code, "message": failure.message, "faults": list(failure.faults)}
        return json_out({"error": error}, failure)


def json_in(body: bytes) -> object:
    """The JSON value in a body; `NotJson` if there is none."""
    try:
        return decode_json(body)
    except ValueError as error:
        raise NotJson(str(error)) from error


def json_out(value: Mapping[str, Any], failure: Failure | None = None) -> Response:
    """The value as a JSON answer; of a failure with its status, and when to come again if that may help."""
    headers = {"Retry-After": RETRY_AFTER} if failure and failure.again else None
    status = failure.status if failure else 200
    return Response(encode_json(value), status=status, content_type="application/json", headers=headers)
