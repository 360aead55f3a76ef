"""The arithmetic of writer and reader."""

import pytest
import torch

from tunewright.recipes.compression.codec.codec import deterministic_torch

CPU = torch.device("cpu")


def state() -> tuple[object, ...]:
    cudnn = torch.backends.cudnn
    return (
        torch.get_num_threads(),
        torch.is_grad_enabled(),
        cudnn.deterministic,
        cudnn.benchmark,
        cudnn.allow_tf32,
        torch.backends.cuda.matmul.allow_tf32,
    )


def test_everything_is_as_it_was_after_the_block():
    before = state()
    with deterministic_torch(3, CPU):
        assert state() == (3, False, True, False, False, False)
    assert state() == before


def test_also_after_an_error():
    before = state()
    with pytest.raises(ZeroDivisionError), deterministic_torch(2, CPU):
        raise ZeroDivisionError
    assert state() == before


def test_mixed_precision_around_it_does_not_come_in():
    with torch.autocast("cpu", dtype=torch.bfloat16), deterministic_torch(1, CPU):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32
