"""The example with Kafka's own console producer does what docs/examples says."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from events.dialects import Carried, read
from events.envelope import read as read_event
from tests.kafka.route import new_topic, route
from tests.servers.kafka import Kafka

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "kafka-console-producer.sh"


def test_prompt_from_the_console_producer_is_carried(kafka: Kafka) -> None:
    topic, prompt = new_topic(), {"prompt": 'a "red" star \\ caf\u00e9 \u8d64\u3044\u661f \U0001f31f 100%', "seed": 7}
    command = ["sh", str(EXAMPLE), kafka.bootstrap, topic, json.dumps(prompt, ensure_ascii=False)]
    done = subprocess.run(command, env=kafka.with_tools(), capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    with route(kafka.bootstrap, topic) as way:
        _, delivery = way.next()
    assert delivery is not None
    found = read(read_event(delivery.headers, delivery.body))
    assert isinstance(found, Carried)
    assert found.received == prompt
