"""What torch said when a GPU was lost, when memory ran out and when neither was so, as users recorded it.

Each with the thread that it was taken from, word for word.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

ASYNCHRONOUS: Final = (
    "CUDA kernel errors might be asynchronously reported at some other API call, so the stacktrace below might be "
    "incorrect.\nFor debugging consider passing CUDA_LAUNCH_BLOCKING=1"
)
WITHOUT_A_BLANK: Final = ASYNCHRONOUS.replace("call, so", "call,so")
ASSERTIONS: Final = "Compile with `TORCH_USE_CUDA_DSA` to enable device-side assertions."
TYPES: Final = "in https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__TYPES.html for more information."


@dataclass(frozen=True)
class Recorded:
    """A message, its thread, and the class of torch that carried it."""

    thread: str
    text: str
    kind: str = "RuntimeError"

    def __str__(self) -> str:
        return self.thread


FATAL: Final = (
    Recorded(
        "THUDM/slime#1297",
        f"CUDA error: an illegal memory access was encountered\nSearch for `cudaErrorIllegalAddress' {TYPES}\n"
        f"{ASSERTIONS}",
        "AcceleratorError",
    ),
    Recorded(
        "ostris/ai-toolkit#470",
        f"CUDA error: uncorrectable ECC error encountered\nSearch for `cudaErrorECCUncorrectable' {TYPES}\n"
        f"{ASYNCHRONOUS}\n{ASSERTIONS}",
        "AcceleratorError",
    ),
    # Of a fault of the hardware it tells with the name of the allocator.
    Recorded(
        "pytorch/pytorch#58155",
        "CUDA error: uncorrectable NVLink error detected during the execution\nException raised from "
        "create_event_internal at /pytorch/c10/cuda/CUDACachingAllocator.cpp:733 (most recent call first):",
    ),
    Recorded("Acly/krita-ai-diffusion#930", f"CUDA error: unspecified launch failure\n{WITHOUT_A_BLANK}"),
    Recorded(
        "Comfy-Org/ComfyUI#13142",
        f"CUDA error: device-side assert triggered\nSearch for `cudaErrorAssert' {TYPES}\n{ASYNCHRONOUS}\n{ASSERTIONS}",
        "AcceleratorError",
    ),
    Recorded(
        "drubinstein/pokemonred_puffer#8",
        f"CUDA error: misaligned address\n{ASYNCHRONOUS}\n{ASSERTIONS}",
        "RuntimeError",
    ),
    Recorded(
        "lllyasviel/Fooocus#530", f"CUDA error: an illegal instruction was encountered\n{ASYNCHRONOUS}.\n{ASSERTIONS}"
    ),
    Recorded(
        "opendatalab/MinerU#2117", f"CUDA error: the launch timed out and was terminated\n{ASYNCHRONOUS}\n{ASSERTIONS}"
    ),
    Recorded("MohamadZeina/Disco_Diffusion_Local#3", f"CUDA error: unknown error\n{WITHOUT_A_BLANK}."),
    Recorded(
        "daydreamlive/scope#749",
        "CUDA error: Invalid access of peer GPU memory over nvlink or a hardware error",
        "AcceleratorError",
    ),
    Recorded("vladmandic/sdnext#1574", "cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"),
    Recorded(
        "isl-org/DPT#4",
        "CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasGemmEx( handle, opa, opb, m, n, k, &falpha, a, "
        "CUDA_R_16F, lda, b, CUDA_R_16F, ldb, &fbeta, c, CUDA_R_16F, ldc, CUDA_R_32F, CUBLAS_GEMM_DFALT_TENSOR_OP)`",
    ),
    Recorded("NVIDIA/Megatron-LM#1554", "Triton Error [CUDA]: an illegal memory access was encountered"),
    Recorded(
        "Vision-CAIR/MiniGPT-4#89", "CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`"
    ),
)

OUT_OF_MEMORY: Final = (
    # The two look-alikes: an assertion that asks for a bug report, and words that speak of no memory at all.
    Recorded(
        "mberr/torch-max-mem#45",
        '!handles_.at(i) INTERNAL ASSERT FAILED at "/pytorch/c10/cuda/CUDACachingAllocator.cpp":430, please report a '
        "bug to PyTorch.",
    ),
    Recorded("mberr/torch-max-mem#45, second", "CUDA driver error: device not ready"),
    Recorded(
        "fal-ai/fal#478",
        'NVML_SUCCESS == r INTERNAL ASSERT FAILED at "../c10/cuda/CUDACachingAllocator.cpp":830, please report a bug '
        "to PyTorch. ",
    ),
    # Of the class of lost GPUs, and with the words of a device-side assert.
    Recorded(
        "deepbeepmeep/Wan2GP#1083", f"CUDA error: out of memory\n{ASYNCHRONOUS}\n{ASSERTIONS}", "AcceleratorError"
    ),
    Recorded(
        "One-2-3-45/One-2-3-45#25",
        "CUDA out of memory. Tried to allocate 1.69 GiB (GPU 0; 14.56 GiB total capacity; 649.97 MiB already "
        "allocated; 1.31 GiB free; 1.01 GiB reserved in total by PyTorch) If reserved memory is >> allocated memory "
        "try setting max_split_size_mb to avoid fragmentation.  See documentation for Memory Management and "
        "PYTORCH_CUDA_ALLOC_CONF",
        "OutOfMemoryError",
    ),
    Recorded(
        "neurosim/DNN_NeuroSim_V1.3#28",
        "CUDA out of memory. Tried to allocate 1.12 MiB (GPU 0; 22.37 GiB total capacity; 15.87 GiB already allocated; "
        "3.56 MiB free; 787.74 MiB cached)",
    ),
    Recorded("QwenLM/Qwen3#873", "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    Recorded("marqo-ai/marqo#101", "Unable to find a valid cuDNN algorithm to run convolution"),
    Recorded(
        "JingyunLiang/VRT#49",
        "[enforce fail at alloc_cpu.cpp:73] . DefaultCPUAllocator: can't allocate memory: you tried to allocate "
        "116813856768 bytes. Error code 12 (Cannot allocate memory)",
    ),
    Recorded(
        "huggingface/diffusers#787",
        r"[enforce fail at C:\actions-runner\_work\pytorch\pytorch\builder\windows\pytorch\c10\core\impl"
        r"\alloc_cpu.cpp:81] data. DefaultCPUAllocator: not enough memory: you tried to allocate 1073741824 bytes.",
    ),
)

NEITHER: Final = (
    Recorded(
        "Comfy-Org/ComfyUI#10862", f"CUDA error: invalid argument\n{ASYNCHRONOUS}\n{ASSERTIONS}", "AcceleratorError"
    ),
    Recorded("Comfy-Org/ComfyUI#6843", f"CUDA error: operation not supported\n{ASYNCHRONOUS}\n{ASSERTIONS}"),
    Recorded(
        "kohjingyu/gill#39", f"CUDA error: no kernel image is available for execution on the device\n{WITHOUT_A_BLANK}."
    ),
    Recorded("huggingface/tokenizers#537", "Already borrowed"),
)
