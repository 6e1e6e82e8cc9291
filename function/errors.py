"""The one error tree, which is the answer table.

DarkroomError
├─ Refused  the sender must not repeat it: NotAnEvent 400, Unauthorized 401, TooLarge 413, WouldExpand · Lacking 422
├─ Retry    the sender should repeat it later: InProgress 409, Busy 429
│  └─ Unavailable 503: Starting · Draining · GpuLost · Unmarked · SinkDown · SinkRefused
│     └─ StoreDown: AccessDenied · BucketMissing
└─ Failed   the request's own outcome: answered 200, told and recorded, by the attempt's owner alone; but
            InvalidRequest · InvalidFile need no claim, and PromptMismatch · ObjectGone are not recorded
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from events.outcome import Code
from events.prompt import Fault


class DarkroomError(Exception):
    """Anything that keeps a request from completing.

    `case` is its row in the answer table; `event_status` answers `POST /`, `drop_status` answers `POST /drop`.
    `counts` says whether an attempt that ends this way counts towards the three that a request has.
    """

    case: ClassVar[str] = ""
    event_status: ClassVar[int] = 500
    drop_status: ClassVar[int] = 500
    counts: ClassVar[bool] = False
    message: ClassVar[str] = "something went wrong"

    def __str__(self) -> str:
        return super().__str__() or self.message


class Refused(DarkroomError):
    """The message cannot be taken, now or later."""


class NotAnEvent(Refused):
    """Not a CloudEvent 1.0, broken JSON, or a required attribute is missing."""

    case = "not a CloudEvent, broken JSON, missing attribute"
    event_status, drop_status = 400, 204
    message = "not a CloudEvent 1.0 with JSON data"


class Unauthorized(Refused):
    """The door's token is missing or wrong."""

    case = "token missing or wrong (at `POST /` only in standalone)"
    event_status, drop_status = 401, 401
    message = "the Authorization header does not carry the door's token"


class TooLarge(Refused):
    """The body is over the limit."""

    case = "body over 1 MiB"
    event_status, drop_status = 413, 413
    message = "the body is larger than 1 MiB"


class WouldExpand(Refused):
    """More than one prompt where exactly one can be rendered."""

    case = "would expand, where pictures are drawn"
    event_status, drop_status = 422, 422
    message = "this asks for more than one picture file; only one prompt can be rendered per event"


class Lacking(Refused):
    """The prompt needs what this installation has not, or does not allow; the message says what there is."""

    case = "needs what this installation lacks: an input bucket, a refiner, an adapter, a destination"
    event_status, drop_status = 422, 422
    message = "this installation lacks what the prompt asks for"


class Retry(DarkroomError):
    """It did not work now; the same message is welcome later."""


class InProgress(Retry):
    """Another delivery of the same request is being rendered."""

    case = "being rendered elsewhere"
    event_status, drop_status = 409, 409
    message = "this request is being rendered"


class Busy(Retry):
    """Every slot is taken."""

    case = "all slots busy"
    event_status, drop_status = 429, 503
    message = "all slots are busy"


class Unavailable(Retry):
    """The process, or something that it needs, is away."""

    case = "store, sink or broker down, access denied, GPU lost, starting, draining"
    event_status, drop_status = 503, 503
    message = "not available now"


class Starting(Unavailable):
    """The model is not loaded yet."""

    message = "the model is still loading"


class Draining(Unavailable):
    """The process is shutting down."""

    message = "this process is shutting down"


class GpuLost(Unavailable):
    """The GPU failed in a way that only a new process mends."""

    counts = True
    message = "the GPU was lost"


class Unmarked(Unavailable):
    """Files are to be signed and cannot be: a fault of the installation, never of the request."""

    message = "the picture cannot be marked"


class StoreDown(Unavailable):
    """Object storage does not answer, or answers with its own trouble."""

    message = "object storage is not available"


class AccessDenied(StoreDown):
    """Object storage refuses us: a fault of the installation, never of the request."""

    message = "object storage denies access"


class BucketMissing(StoreDown):
    """A bucket named in the settings is not there: a fault of the installation."""

    message = "a bucket does not exist"


class SinkDown(Unavailable):
    """The event could not be delivered; a redelivery of what caused it tries again."""

    message = "the sink did not take the event"


class SinkRefused(SinkDown):
    """The sink answered that this one event is not for it, or not now."""


class Failed(DarkroomError):
    """The request itself ends here: an outcome with a code, a sentence and its faults."""

    case = "expired, attempts used up, input unusable, render limit exceeded, out of memory, no picture but NaN"
    event_status, drop_status = 200, 202
    code: ClassVar[Code]

    def __init__(self, message: str = "", faults: Sequence[Fault] = ()) -> None:
        super().__init__(message or self.message)
        self.faults = tuple(faults)


class InvalidRequest(Failed):
    """The prompt cannot be drawn."""

    case = "prompt invalid (all faults at once)"
    code: ClassVar[Code] = "invalid_prompt"
    message = "the prompt is invalid"


class InvalidFile(Failed):
    """The dropped file as a whole cannot be read."""

    case = "prompt file unreadable"
    code: ClassVar[Code] = "invalid_prompt_file"
    message = "the prompt file is invalid"


class ObjectGone(Failed):
    """The dropped object was deleted before it was read; not recorded, for it may be dropped again."""

    case = "object gone before it was read"
    code: ClassVar[Code] = "object_gone"
    message = "the prompt file was gone before it was read; drop it again"


class AttemptsExhausted(Failed):
    """Too many attempts at this request died."""

    code: ClassVar[Code] = "attempts_exhausted"
    message = "three renders of this prompt died, or 32 could not be finished; it is not tried again"


class Expired(Failed):
    """The request's expirytime had passed when its render would have begun."""

    code: ClassVar[Code] = "expired"
    message = "the event's expirytime passed before it was drawn; send it with a new id and a later one"


class InputUnusable(Failed):
    """A picture that the prompt names is not there, or none that can be used."""

    code: ClassVar[Code] = "input_unusable"


class RenderLimitExceeded(Failed):
    """The render took longer than the limit."""

    code: ClassVar[Code] = "render_limit_exceeded"
    message = "the render took longer than the limit; ask for fewer steps or a smaller picture"


class OutOfMemory(Failed):
    """The picture does not fit into memory even after the ladder."""

    code: ClassVar[Code] = "out_of_memory"
    message = "the picture does not fit into memory; ask for a smaller one"


class NoPicture(Failed):
    """The model gave what is no picture, and would again for the same prompt and seed."""

    code: ClassVar[Code] = "no_picture"
    message = "the model gave no picture for this prompt and seed; try another seed"


class PromptMismatch(Failed):
    """The same source and id came with another prompt."""

    case = "another prompt under the same key"
    code: ClassVar[Code] = "prompt_mismatch"
    message = "another prompt was already sent with the same source and id; send it with a new id"


def of_the_machine(error: BaseException) -> bool:
    """Whether memory, threads, files or disk have run out: no fault of the request, and it may go well elsewhere."""
    return isinstance(error, MemoryError | OSError) or str(error) == "can't start new thread"
