"""What goes wrong behind the doors whose sender waits: an answer in the door's own language, with nothing of ours."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, NoReturn, cast

import pytest

from events.request import Request
from function.config import Settings
from function.doors import generate, openai
from function.doors.app import RETRY_AFTER, WaitingDoor, create_app
from function.doors.generate import Desk, GenerateDoor
from function.doors.openai import OpenAIDoor
from function.health import Health
from function.metrics import Metrics
from function.rendering import Darkroom
from function.slots import Slots
from tests.fakes import MemoryStore

Said = tuple[int, str | None, str, str | None]

OPENAIS_TYPES = {429: "rate_limit_error", 500: "server_error", 503: "server_error"}


class Failing:
    """A darkroom in which something raises."""

    def __init__(self, work: Callable[[], object]) -> None:
        self._work = work

    def answer(self, request: Request) -> NoReturn:
        self._work()
        pytest.fail(f"{request.id} was answered")


def answers(work: Callable[[], object]) -> list[Said]:
    """Status, Retry-After, code and OpenAI's type in the answer of each door."""
    desk = Desk(cast("Darkroom", Failing(work)), MemoryStore())
    doors: Mapping[str, WaitingDoor] = {generate.PATH: GenerateDoor(desk), openai.PATH: OpenAIDoor(desk, "shapes")}
    client = create_app(Settings.from_environment({}), Health(), Metrics(), event=None, waiting=doors).test_client()
    said: list[Said] = []
    for path in doors:
        response = client.post(path, json={"prompt": "a red star"})
        assert b"secret" not in response.data
        error: Mapping[str, Any] = json.loads(response.data)["error"]
        said.append((response.status_code, response.headers.get("Retry-After"), error["code"], error.get("type")))
    return said


def both(status: int, retry_after: str | None, code: str) -> list[Said]:
    return [(status, retry_after, code, None), (status, retry_after, code, OPENAIS_TYPES[status])]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (RuntimeError("secret"), both(500, None, "darkroom_error")),
        (MemoryError("secret"), both(503, RETRY_AFTER, "unavailable")),
    ],
    ids=["a bug", "no memory"],
)
def test_whatever_is_raised_has_an_answer(error: Exception, said: list[Said]) -> None:
    def work() -> NoReturn:
        raise error

    assert answers(work) == said


def test_who_gets_no_slot_in_time_may_come_again() -> None:
    slots = Slots()

    def work() -> None:
        with slots.patient(0.01).take():
            pass

    with slots.take():
        assert answers(work) == both(429, RETRY_AFTER, "busy")
