"""Micro-batches of `pairs` give the step of the whole batch: rows, losses, gradients, memory."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tunewright.config.compose import compose
from tunewright.contrastive.cached_backward import cached_backward
from tunewright.recipes.pairs.config import PairsConfig
from tunewright.recipes.pairs.data.datasets import open_sets
from tunewright.recipes.pairs.setup import Batch, PairModel, PairTask, make_model, make_setup
from tunewright.recipes.registry import find_recipe
from tunewright.testing.tasks import plain_context

CPU = torch.device("cpu")
ROWS = 24
HEADS = ["siglip", "clip", "mlp", "attention"]
LOSSES = {
    "sigmoid": ["loss=sigmoid"],
    "sigmoid without bias": ["loss=sigmoid", "loss.sigmoid_bias=false"],
    "softmax": ["loss=softmax"],
    "softmax, fixed": ["loss=softmax", "loss.learnable_temp=false"],
    "queue": ["loss=queue", "loss.queue_size=40", "loss.learnable_temp=true"],
    "queue, smaller than the batch": ["loss=queue", "loss.queue_size=16"],
}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def configured(*overrides: str) -> PairsConfig:
    config = compose(find_recipe("pairs"), ["model.output_dim=8", *overrides]).config
    assert isinstance(config, PairsConfig)
    return config


def model_of(*overrides: str) -> PairModel:
    """Heads and loss in float64, with a queue that is not empty."""
    config = configured(*overrides)
    torch.manual_seed(3)
    model = make_model(config, open_sets(config.data)).double().train()
    if hasattr(model.criterion, "enqueue"):
        model.criterion.enqueue(torch.randn(10, 8, dtype=torch.float64), torch.arange(10))
    return model


def rows(model: PairModel) -> Batch:
    """Pairs of the digits' widths; some share an image."""
    generator = torch.Generator().manual_seed(5)
    config = configured()
    sets = open_sets(config.data).train
    images, texts = (
        torch.randn(ROWS, side.width, generator=generator, dtype=torch.float64)
        for side in (sets.images, sets.texts)
    )
    ids = torch.randint(0, ROWS // 2, (ROWS, 1), generator=generator)
    return images, texts, torch.cat([ids, torch.arange(ROWS)[:, None]], dim=1)


def cut(batch: Batch, parts: int) -> list[Batch]:
    images, texts, ids = (side.tensor_split(parts) for side in batch)
    return list(zip(images, texts, ids, strict=True))


def gradients(model: nn.Module) -> dict[str, Tensor]:
    found = {}
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        found[name] = parameter.grad
    return found


def assert_same(one: PairModel, other: PairModel) -> None:
    """Gradients, and the queue, which the loss has changed."""
    expected, found = gradients(one), gradients(other)
    for name, gradient in expected.items():
        assert torch.allclose(found[name], gradient, rtol=1e-6, atol=1e-12), name
    for name, buffer in one.named_buffers():
        assert torch.allclose(dict(other.named_buffers())[name], buffer, atol=1e-12), name


@pytest.mark.parametrize("parts", [2, 5, ROWS])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("head", HEADS)
def test_the_gradient_is_that_of_the_whole_batch(head: str, loss: str, parts: int) -> None:
    words = [f"model={head}", "model.dropout=0.0", *LOSSES[loss]]
    whole, cached = model_of(*words), model_of(*words)
    batch = rows(whole)
    expected = PairTask().backward(whole, [batch], plain_context(whole))
    found = PairTask().backward(cached, cut(batch, parts), plain_context(cached))
    assert torch.allclose(found.total, expected.total, rtol=1e-9)
    assert found.terms == expected.terms
    assert not found.total.requires_grad
    assert_same(whole, cached)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("head", HEADS)
def test_both_passes_drop_the_same_units(head: str, loss: str) -> None:
    """Against one graph over all micro-batches, which draws each mask once."""
    words = [f"model={head}", "model.dropout=0.4", *LOSSES[loss]]
    if head == "attention":
        words.append("model.tokens=4")
    whole, cached = model_of(*words), model_of(*words)
    batches = cut(rows(whole), 4)
    torch.manual_seed(11)
    vectors = [whole(images, texts) for images, texts, _ in batches]
    images, texts = (torch.cat(side) for side in zip(*vectors, strict=True))
    ids = torch.cat([ids for _, _, ids in batches])
    total = PairTask().contrast(whole, [images, texts], [ids[:, 0]]).total
    total.backward()
    after = torch.get_rng_state()
    torch.manual_seed(11)
    found = PairTask().backward(cached, batches, plain_context(cached))
    assert torch.allclose(found.total, total, rtol=1e-9)
    assert_same(whole, cached)
    assert torch.equal(torch.get_rng_state(), after), "the next step draws other masks"


def test_a_loss_for_each_micro_batch_would_be_another_loss() -> None:
    """What this file guards against: the tests above could not pass by accident."""
    whole, naive = model_of("model.dropout=0.0"), model_of("model.dropout=0.0")
    batch = rows(whole)
    PairTask().backward(whole, [batch], plain_context(whole))
    super(PairTask, PairTask()).backward(naive, cut(batch, 4), plain_context(naive))
    with pytest.raises(AssertionError):
        assert_same(whole, naive)


def test_a_scaled_backward_scales_every_gradient_once() -> None:
    plain, scaled = model_of(), model_of()
    batches = cut(rows(plain), 3)
    for model, factor in ((plain, 1.0), (scaled, 1024.0)):
        torch.manual_seed(1)
        context = replace(plain_context(model), scale=lambda total, f=factor: total * f)
        cached_backward(PairTask(), model, batches, context)
    for name, gradient in gradients(plain).items():
        assert torch.allclose(gradients(scaled)[name], 1024.0 * gradient), name


def test_autocast_keeps_the_gradient_of_the_weights() -> None:
    """Casts made without a graph must not be used again with one."""
    whole, cached = model_of("model.dropout=0.0").float(), model_of("model.dropout=0.0").float()
    images, texts, ids = rows(whole)
    batch = (images.float(), texts.float(), ids)
    with torch.autocast("cpu", torch.bfloat16):
        PairTask().backward(whole, [batch], plain_context(whole))
        PairTask().backward(cached, cut(batch, 2), plain_context(cached))
    for name, gradient in gradients(whole).items():
        difference = (gradients(cached)[name] - gradient).norm()
        assert difference <= 0.02 * gradient.norm() + 1e-8, name


@pytest.mark.parametrize("accumulate", [2, 3, 7])
def test_an_epoch_has_the_same_batches_and_as_many_steps(accumulate: int) -> None:
    one = make_setup(configured("training.batch_size=100"), CPU)
    many = make_setup(
        configured("training.batch_size=100", f"training.accumulate={accumulate}"), CPU
    )
    assert len(many.train) == accumulate * len(one.train)
    whole, parts = list(one.train.epoch(2)), list(many.train.epoch(2))
    assert len(parts) == len(many.train)
    for step, batch in enumerate(whole):
        micro = parts[step * accumulate : (step + 1) * accumulate]
        assert max(map(rows_of, micro)) - min(map(rows_of, micro)) <= 1
        for side, together in zip(batch, zip(*micro, strict=True), strict=True):
            assert torch.equal(torch.cat(together), side)


def rows_of(batch: Sequence[Any]) -> int:
    return len(batch[2])


def test_what_the_heads_keep_for_backward_shrinks() -> None:
    """The floats that autograd saves at once, which is the memory that this is for."""
    most = {}
    for parts in (1, 8):
        model = model_of("model=mlp", "model.hidden_dim=512", "model.dropout=0.0")
        batches = cut(rows(model), parts)
        kept, most[parts] = [0], 0

        class Kept:
            def __init__(self, tensor: Tensor, kept: list[int] = kept) -> None:
                self.tensor, self.kept = tensor, kept
                kept[0] += tensor.numel()

            def __del__(self) -> None:
                self.kept[0] -= self.tensor.numel()

        def pack(tensor: Tensor, parts: int = parts, kept: list[int] = kept) -> Any:
            if tensor.ndim != 2 or len(tensor) not in (ROWS, ROWS // parts):
                return tensor
            packed = Kept(tensor)
            most[parts] = max(most[parts], kept[0])
            return packed

        with torch.autograd.graph.saved_tensors_hooks(
            pack, lambda packed: packed.tensor if isinstance(packed, Kept) else packed
        ):
            PairTask().backward(model, batches, plain_context(model))
    assert most[8] < most[1] / 4


@pytest.mark.gpu
def test_on_a_gpu_both_passes_drop_the_same_units() -> None:
    words = ["model=mlp", "model.dropout=0.4"]
    whole, cached = model_of(*words).cuda(), model_of(*words).cuda()
    batches = [tuple(side.cuda() for side in part) for part in cut(rows(model_of()), 4)]
    torch.manual_seed(11)
    vectors = [whole(images, texts) for images, texts, _ in batches]
    images, texts = (torch.cat(side) for side in zip(*vectors, strict=True))
    ids = torch.cat([b[2] for b in batches])
    PairTask().contrast(whole, [images, texts], [ids[:, 0]]).total.backward()
    torch.manual_seed(11)
    PairTask().backward(cached, batches, plain_context(cached))
    assert_same(whole, cached)
