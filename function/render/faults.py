"""What an exception from torch or diffusers means: the GPU is lost, memory ran out, or neither, which is a bug.

Told by texts, since the same fault comes as one class or another, by release and by place; so this needs no torch.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import Enum
from typing import Final

from function.errors import GpuLost


class Fault(Enum):
    """What went wrong below us: FATAL is mended by a new process alone, OUT_OF_MEMORY by asking for less."""

    FATAL = "fatal"
    OUT_OF_MEMORY = "out of memory"


Rule = tuple[str, Fault | None]

_CUDA: Final = r"(CUDA error|CUDA driver error|Triton Error \[CUDA\]): "

# The first that matches the beginning of a message's first line decides. What comes later in a message is advice
# ("Compile with … device-side assertions") and places ("CUDACachingAllocator.cpp"), which messages of every kind have.
RULES: Final[Sequence[Rule]] = (
    ("CUDA out of memory", Fault.OUT_OF_MEMORY),
    # "device not ready" was seen where the allocator was at its end, and nowhere else.
    (_CUDA + "(out of memory|CUBLAS_STATUS_ALLOC_FAILED|device not ready)", Fault.OUT_OF_MEMORY),
    (r'.*INTERNAL ASSERT FAILED at ".*/CUDA(Caching|MallocAsync)Allocator\.cpp"', Fault.OUT_OF_MEMORY),
    ("cuDNN error: CUDNN_STATUS_(ALLOC_FAILED|INTERNAL_ERROR_(DEVICE|HOST)_ALLOCATION_FAILED)", Fault.OUT_OF_MEMORY),
    ("Unable to find a valid cuDNN algorithm to run convolution", Fault.OUT_OF_MEMORY),
    (r"\[enforce fail at .*DefaultCPUAllocator: (can't allocate|not enough) memory", Fault.OUT_OF_MEMORY),
    ("std::bad_alloc", Fault.OUT_OF_MEMORY),
    # Refused before anything ran: the context is sound, and a new process would be refused, too.
    (_CUDA + "invalid (argument|configuration argument|device function|resource handle)", None),
    (_CUDA + "(no kernel image is available|operation not supported|too many resources requested)", None),
    (_CUDA + "CUBLAS_STATUS_(INVALID_VALUE|NOT_SUPPORTED|ARCH_MISMATCH)", None),
    # Whatever else CUDA reports, after it nothing that this process computes can be trusted. That goes for cuBLAS
    # that is not initialised, too: mostly memory was short, but a dead GPU says the same.
    (_CUDA, Fault.FATAL),
    ("cuDNN error: CUDNN_STATUS_(EXECUTION_FAILED|INTERNAL_ERROR|MAPPING_ERROR|NOT_INITIALIZED)", Fault.FATAL),
)


def fault_of(error: BaseException, rules: Sequence[Rule] = RULES) -> Fault | None:
    """What `error` means; a fatal fault that it was raised upon makes it fatal, however it looks itself."""
    own = _own(error, rules)
    earlier = error.__cause__ or error.__context__
    return Fault.FATAL if earlier and fault_of(earlier, rules) is Fault.FATAL else own


def first_line(error: BaseException) -> str:
    """What happened, without the advice and the stack that torch puts below it."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


@contextmanager
def losses() -> Iterator[None]:
    """Make `GpuLost` of whatever is fatal; everything else passes as it is."""
    try:
        yield
    except Exception as error:
        if fault_of(error) is Fault.FATAL:
            raise GpuLost(f"the GPU was lost: {first_line(error)}") from error
        raise


def _own(error: BaseException, rules: Sequence[Rule]) -> Fault | None:
    classes = {kind.__name__ for kind in type(error).__mro__}
    if classes & {"MemoryError", "OutOfMemoryError"}:
        return Fault.OUT_OF_MEMORY
    # Other classes may carry words of a prompt, which must not end the process.
    if "RuntimeError" not in classes:
        return None
    text = first_line(error)
    for pattern, fault in rules:
        if re.match(pattern, text):
            return fault
    return Fault.FATAL if "AcceleratorError" in classes else None
