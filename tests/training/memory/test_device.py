"""What a run takes of a GPU, and what it is allowed to."""

import pytest
import torch

from tunewright.training.memory.device import (
    device_peak_mib,
    free_device_bytes,
    reset_device_peak,
)
from tunewright.training.memory.limit import limit_memory
from tunewright.training.state.failure import cause_of

pytestmark = pytest.mark.gpu
MIB = 2**20


def test_the_peak_is_that_of_the_run() -> None:
    torch.ones(600 * MIB, dtype=torch.uint8, device="cuda")
    torch.cuda.empty_cache()
    reset_device_peak()
    before = device_peak_mib(ask_driver=True)
    torch.ones(300 * MIB, dtype=torch.uint8, device="cuda")
    assert 290 <= device_peak_mib() - before <= 340
    torch.cuda.empty_cache()


def test_a_limit_of_the_device_is_out_of_memory_and_lifted() -> None:
    torch.cuda.empty_cache()
    with limit_memory(0.5):
        assert free_device_bytes(torch.device("cuda", 0)) <= 512 * MIB
        with pytest.raises(torch.OutOfMemoryError) as caught:
            torch.ones(700 * MIB, dtype=torch.uint8, device="cuda")
    assert cause_of(caught.value) == "out of memory"
    torch.ones(700 * MIB, dtype=torch.uint8, device="cuda")
    torch.cuda.empty_cache()
