"""What torch says is taken for what it means: recorded messages, look-alikes, and classifiers that would be wrong."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from function.errors import GpuLost
from function.render.faults import RULES, Fault, fault_of, losses
from tests.render import recorded
from tests.render.recorded import Recorded

Classifier = Callable[[Exception], Fault | None]

ROOT = Path(__file__).parents[2]
SAMPLES = [
    *((sample, Fault.FATAL) for sample in recorded.FATAL),
    *((sample, Fault.OUT_OF_MEMORY) for sample in recorded.OUT_OF_MEMORY),
    *((sample, None) for sample in recorded.NEITHER),
]


def raised(sample: Recorded) -> Exception:
    """The message in the class of torch's that carried it."""
    kind = getattr(torch, sample.kind, RuntimeError)
    error: Exception = kind(sample.text)
    return error


@pytest.mark.parametrize(("sample", "fault"), SAMPLES, ids=str)
def test_a_recorded_message_is_what_it_was(sample: Recorded, fault: Fault | None) -> None:
    assert fault_of(raised(sample)) is fault
    # Releases before 2.8 had one class for all but memory; and the words alone must do.
    assert fault_of(RuntimeError(sample.text)) is fault


def test_there_are_enough_of_them() -> None:
    assert len(recorded.FATAL) >= 12
    assert len({sample.thread for sample, _ in SAMPLES}) == len(SAMPLES)


def test_what_cuda_was_never_seen_to_say_is_fatal() -> None:
    assert fault_of(torch.AcceleratorError("CUDA error: the moon is full")) is Fault.FATAL
    assert fault_of(torch.AcceleratorError("HIP error: the moon is full")) is Fault.FATAL


def test_memory_is_told_by_its_class_alone() -> None:
    assert fault_of(torch.OutOfMemoryError("words of another release")) is Fault.OUT_OF_MEMORY
    assert fault_of(MemoryError()) is Fault.OUT_OF_MEMORY


@pytest.mark.parametrize("kind", [ValueError, TypeError, KeyError, OSError])
def test_the_words_of_a_prompt_end_no_process(kind: type[Exception]) -> None:
    assert fault_of(kind("CUDA error: an illegal memory access was encountered")) is None
    assert fault_of(RuntimeError('no such word: "CUDA error: an illegal memory access was encountered"')) is None


def test_an_error_upon_a_fatal_one_is_fatal() -> None:
    stumbled = KeyError("a handler that stumbled")
    stumbled.__context__ = RuntimeError("CUDA error: unspecified launch failure")
    assert fault_of(stumbled) is Fault.FATAL


def test_only_what_is_fatal_becomes_a_lost_gpu() -> None:
    with pytest.raises(GpuLost, match=r"^the GPU was lost: CUDA error: misaligned address$"), losses():
        raise RuntimeError(f"CUDA error: misaligned address\n{recorded.ASYNCHRONOUS}")
    with pytest.raises(torch.OutOfMemoryError), losses():
        raise torch.OutOfMemoryError
    with pytest.raises(ZeroDivisionError), losses():
        raise ZeroDivisionError


def test_it_needs_no_torch() -> None:
    program = "import sys, function.render.faults; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False).returncode == 0


def saying(words: str, fault: Fault) -> Classifier:
    """A classifier that looks for `words` anywhere in a message first."""
    return lambda error: fault if words in str(error) else fault_of(error)


MUTANTS: dict[str, Classifier] = {
    "memory is out of memory": saying("memory", Fault.OUT_OF_MEMORY),
    "the allocator is out of memory": saying("CUDACachingAllocator", Fault.OUT_OF_MEMORY),
    "an assertion is fatal": saying("assert", Fault.FATAL),
    "a failed assertion is fatal": saying("ASSERT FAILED", Fault.FATAL),
    "every error of CUDA is fatal": lambda error: fault_of(error, (("CUDA( driver)? error", Fault.FATAL), *RULES)),
    "what has no name is no fault": lambda error: fault_of(error, (*RULES[:-2], RULES[-1])),
    "cuDNN is not CUDA": lambda error: fault_of(error, RULES[:-1]),
}


@pytest.mark.parametrize("mutant", MUTANTS)
def test_mutant_is_caught(mutant: str) -> None:
    assert any(MUTANTS[mutant](RuntimeError(sample.text)) is not fault for sample, fault in SAMPLES)
