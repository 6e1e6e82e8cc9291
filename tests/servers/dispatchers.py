"""Knative's two dispatchers as data: what each repeats, when, and what becomes of answers that it does not like.

`GO` is that of channels and of the channel-based broker, knative/eventing: codes and backoff in
pkg/kncloudevents/retries.go (`SelectiveRetry`, `RetryConfigFromDeliverySpec`), replies and error extensions in
pkg/kncloudevents/event_dispatcher.go, replies that are no events in pkg/broker/filter/filter_handler.go
(`writeResponse`). `KAFKA` is knative-extensions/eventing-kafka-broker: `WebClientCloudEventSender.java`,
`BaseResponseHandler.java`, `ResponseToKafkaTopicHandler.java`, `RecordDispatcherImpl.java`, and defaults in
reconciler/consumer/consumer.go.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

# The delivery of every Trigger of ours, word for word as a manifest has it, but for the address of its dead letters.
DELIVERY: Final[Mapping[str, Any]] = {
    "retry": 12,
    "backoffPolicy": "exponential",
    "backoffDelay": "PT1S",
    "timeout": "PT11M",
}
# Characters or bytes of an answer's body that go with a dead letter.
ERROR_DATA: Final = 1024


class DeliverySpec(BaseModel):
    """A `delivery` block; what names no field of it is refused, as by Knative's webhook."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    retry: int = Field(0, ge=0)
    backoffPolicy: Literal["linear", "exponential"] | None = None  # noqa: N815  # Knative's own word
    backoffDelay: timedelta | None = None  # noqa: N815  # "
    timeout: timedelta | None = None

    @classmethod
    def of(cls, delivery: Mapping[str, Any]) -> Self:
        """The block as a manifest has it, durations in ISO 8601."""
        return cls.model_validate(dict(delivery))


@dataclass(frozen=True)
class Dispatcher:
    """One dispatcher's rules; all times in seconds."""

    name: str
    # The first retry's number in the formulas delay·2ⁿ and delay·n.
    first: int
    # When a retry is asked for without a policy or a delay.
    default_delay: float
    # When no timeout is asked for; None for ever.
    default_timeout: float | None
    # The status that a 2xx counts as whose body is no event; None: it counts as itself, and is not repeated.
    no_event: int | None
    # Whether a reply is POSTed to the broker, and repeated like an event; else it is produced straight into its topic.
    posts_replies: bool
    # `knativeerrorcode` where there was no answer.
    no_answer: int | None
    # Whether `knativeerrordata` is cut after it was encoded.
    cut_encoded: bool
    # Beside these, everything from 500 on and no answer at all.
    repeated: frozenset[int] = frozenset({404, 408, 409, 429})

    def repeats(self, status: int | None) -> bool:
        """Whether an answer of this status, None for no answer, is followed by another try."""
        return status is None or status >= 500 or status in self.repeated

    def backoff(self, spec: DeliverySpec, retry: int) -> float:
        """How long retry 0, 1, 2… waits."""
        if spec.backoffDelay is None or (spec.backoffPolicy is None and not self.default_delay):
            delay = self.default_delay
        else:
            delay = spec.backoffDelay.total_seconds()
        number = self.first + retry
        return delay * (number if spec.backoffPolicy == "linear" else 2**number)

    def backoffs(self, spec: DeliverySpec) -> list[float]:
        """How long each retry waits."""
        return [self.backoff(spec, retry) for retry in range(spec.retry)]

    def timeout(self, spec: DeliverySpec) -> float | None:
        return spec.timeout.total_seconds() if spec.timeout else self.default_timeout

    def error_extensions(self, url: str, status: int | None, body: bytes) -> dict[str, str]:
        """What is added to an event that goes to the dead-letter sink after such an answer of `url`."""
        code = self.no_answer if status is None else status
        data = body if self.cut_encoded else body[:ERROR_DATA]
        encoded = base64.b64encode(data).decode()
        extensions = {
            "knativeerrordest": url,
            "knativeerrorcode": "" if code is None else str(code),
            "knativeerrordata": encoded[:ERROR_DATA] if self.cut_encoded else encoded,
        }
        return {name: text for name, text in extensions.items() if text}


GO: Final = Dispatcher(
    "go",
    first=0,
    default_delay=0,
    default_timeout=None,
    no_event=502,
    posts_replies=True,
    no_answer=500,
    cut_encoded=True,
)
KAFKA: Final = Dispatcher(
    "kafka",
    first=1,
    default_delay=0.2,
    default_timeout=600,
    no_event=None,
    posts_replies=False,
    no_answer=None,
    cut_encoded=False,
)
BOTH: Final = (GO, KAFKA)
