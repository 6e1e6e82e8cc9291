"""CPU time per event: intake's doors against the handler that the func CLI generates, in one interleaved run.

`python -m tests.intake.bench_dispatch [ROUNDS]`; both are real processes, and neither needs a store for this.
"""

from __future__ import annotations

import http.client
import json
import sys
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from function.demo.process import free_ports
from function.demo.seaweedfs import SeaweedFS
from tests.darkroom import DarkroomProcess
from tests.intake.lean_sink import lean_sink

EVENTS = 200  # in each round

# What `func create --language python --template cloudevents` (1.23) does, under the middleware that its scaffolding
# starts: the event is read, logged, and answered with another.
TEMPLATE = """
import logging
import os

os.environ["LISTEN_ADDRESS"] = "127.0.0.1:" + os.environ["PORT"]

from cloudevents.core.v1.event import CloudEvent
from func_python.cloudevent import serve

class Function:
    async def handle(self, scope, receive, send):
        logging.info("Request Received")
        attributes = {"type": "function.response", "source": "function", "id": "response-" + scope["event"].get_id()}
        await send(CloudEvent(attributes, {"message": "OK"}))

def new():
    return Function()

serve(new)
"""

JSON = {"content-type": "application/json"}
EVENT = JSON | {
    "ce-specversion": "1.0",
    "ce-id": "1",
    "ce-source": "arn:aws:s3:::others",
    "ce-type": "com.amazonaws.s3.ObjectCreated:Put",
    "ce-time": "2026-11-24T12:00:00Z",
    "ce-subject": "in/a+red+star.json",
}


def notification(bucket: str) -> bytes:
    """An S3 notification, as servers write it."""
    found = {"key": "in/a+red+star.json", "size": 512, "eTag": "d41d8cd98f00b204e9800998ecf8427e", "sequencer": "18A0"}
    record = {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": "us-east-1",
        "eventTime": "2026-11-24T12:00:00.000Z",
        "eventName": "ObjectCreated:Put",
        "s3": {"s3SchemaVersion": "1.0", "bucket": {"name": bucket, "arn": f"arn:aws:s3:::{bucket}"}, "object": found},
    }
    return json.dumps({"Records": [record]}).encode()


@dataclass
class Side:
    """One kind of event, the door that it goes to, and the CPU microseconds that each cost, by round."""

    name: str
    process: DarkroomProcess
    path: str
    headers: Mapping[str, str]
    body: bytes
    status: int
    costs: list[float] = field(default_factory=list)

    def round(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.process.port, timeout=60)
        before = cpu_seconds(self.process.pid)
        for _ in range(EVENTS):
            connection.request("POST", self.path, self.body, dict(self.headers))
            answer = connection.getresponse()
            answer.read()
            assert answer.status == self.status, f"{self.name}: {answer.status}"
        self.costs.append((cpu_seconds(self.process.pid) - before) / EVENTS * 1e6)
        connection.close()


def cpu_seconds(pid: int) -> float:
    """Seconds that all threads of the process have run so far."""
    return sum(int(task.read_text().split()[0]) for task in Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e9


def main(rounds: int = 20) -> None:
    """Print medians and ratios."""
    (port,) = free_ports(1)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        # Never started: neither side asks the store.
        store = SeaweedFS(folder)
        environment = {"DARKROOM_PROMPT_BUCKETS": "prompts", "K_SINK": f"http://127.0.0.1:{port}/broker"}
        sink = stack.enter_context(lean_sink(port))
        intake = stack.enter_context(DarkroomProcess("intake", store, folder, environment))
        func = stack.enter_context(DarkroomProcess("intake", store, folder, {}, program=("-c", TEMPLATE)))
        other, ours = notification("others"), notification("prompts")
        sides = [
            Side("func-python's template", func.wait_ready(), "/", EVENT, other, 200),
            Side("expander, nothing to do", intake.wait_ready(), "/", EVENT, other, 204),
            Side("door, nothing to do", intake, "/drop", JSON, other, 204),
            Side("door, published to a sink", intake, "/drop", JSON, ours, 202),
        ]
        # The first round warms up and is not counted.
        for _ in range(rounds + 1):
            for side in sides:
                side.round()
        assert len(sink.bodies) == EVENTS * (rounds + 1)
    print(f"{rounds} rounds of {EVENTS} events each, taking turns; CPU µs (user + system) of the process per event")
    print(f"{'':28}{'median':>8}{'least':>8}{'ratio':>8}")
    template = median(sides[0].costs[1:])
    for side in sides:
        cost = median(side.costs[1:])
        print(f"{side.name:28}{cost:8.0f}{min(side.costs[1:]):8.0f}{cost / template:7.2f}x")


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:2]))
