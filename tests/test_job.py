"""What is written about a run that failed."""

import pytest
import torch

from tunewright.training.state.failure import cause_of, reason_of

CUDA = (
    "CUDA out of memory. Tried to allocate 2.50 GiB. GPU 0 has a total capacity of 79.15 GiB of "
    "which 1.06 GiB is free. Process 12 has 78.08 GiB memory in use. Of the allocated memory 70 "
    "GiB is allocated by PyTorch, and 1 GiB is reserved. If reserved but unallocated memory is "
    "large try setting PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True"
)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            torch.OutOfMemoryError(CUDA),
            "2.50 GiB more were asked for on the GPU, and 1.06 GiB are free",
        ),
        (
            RuntimeError(
                "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate "
                "memory: you tried to allocate 8388608 bytes. Error code 12 (No memory)"
            ),
            "8 MiB more were asked for on the machine",
        ),
        (MemoryError(), "the machine could not give the memory that was asked for"),
        (
            MemoryError("Unable to allocate 7.11 PiB for an array with shape (9,)"),
            "7.11 PiB more were asked for on the machine",
        ),
        (
            RuntimeError("cuBLAS error: CUBLAS_STATUS_ALLOC_FAILED (CUDA)"),
            "the GPU could not give the memory that was asked for",
        ),
    ],
)
def test_a_lack_of_memory_is_told_without_torchs_internals(error: BaseException, said: str) -> None:
    assert cause_of(error) == "out of memory"
    assert reason_of(error) == said
