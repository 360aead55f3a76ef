import json
import math
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import normalize

from tunewright.contrastive import losses
from tunewright.contrastive.losses import LOSSES, queue, sigmoid, softmax

ORACLE = json.loads((Path(__file__).parents[1] / "oracles/contrastive.json").read_text())
VALUES, INPUTS = ORACLE["values"], ORACLE["inputs"]
IMAGES, TEXTS, QUEUE = (
    torch.tensor(INPUTS[k], dtype=torch.float64) for k in ("images", "texts", "queue")
)
DIAGONAL, MULTI = torch.tensor(INPUTS["diagonal_ids"]), torch.tensor(INPUTS["multi_ids"])


@pytest.fixture
def float64():
    """Modules built with float64 parameters, so that 1 / temperature is not rounded first."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def exactly(value: float) -> object:
    return pytest.approx(value, rel=1e-12)


def batch(rows: int, width: int = 6, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    draw = torch.Generator().manual_seed(seed)
    images, texts = torch.randn(2, rows, width, generator=draw)
    ids = torch.randint(0, max(rows // 2, 1), (rows,), generator=draw)
    return normalize(images, dim=1), normalize(texts, dim=1), ids


# Values


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("learnable", [True, False])
def test_softmax_oracles(learnable):
    def loss(temperature: str, ids: Tensor) -> float:
        module = softmax(3, temperature=float(temperature), learnable_temp=learnable)
        return module(IMAGES, TEXTS, ids).item()

    for temperature, value in VALUES["softmax_diagonal"].items():
        assert loss(temperature, DIAGONAL) == exactly(value)
    for temperature, value in VALUES["softmax_multi"].items():
        assert loss(temperature, MULTI) == exactly(value)


@pytest.mark.usefixtures("float64")
def test_sigmoid_oracles():
    biased = sigmoid(3, temperature=0.1)
    assert biased(IMAGES, TEXTS, DIAGONAL).item() == exactly(VALUES["sigmoid_t10_diagonal"])
    assert biased(IMAGES, TEXTS, MULTI).item() == exactly(VALUES["sigmoid_t10_multi"])
    plain = sigmoid(3, temperature=1.0, sigmoid_bias=False)
    assert plain(IMAGES, TEXTS, DIAGONAL).item() == exactly(VALUES["sigmoid_t1_no_bias_diagonal"])


@pytest.mark.usefixtures("float64")
def test_sigmoid_is_the_batch_size_times_a_mean_cross_entropy():
    plain = sigmoid(3, temperature=0.1, sigmoid_bias=False)
    mean = plain(IMAGES, TEXTS, MULTI).item() / len(MULTI)
    assert mean == exactly(VALUES["mean_bce_t10_no_bias_multi"])


@pytest.mark.usefixtures("float64")
def test_queue_oracles():
    loss = queue(3, queue_size=3)
    assert loss(IMAGES, TEXTS, DIAGONAL).item() == exactly(VALUES["queue_empty"])
    for masked, value in ((True, "queue_masked"), (False, "queue_unmasked")):
        loss = queue(3, queue_size=3, mask_batch_duplicates=masked)
        loss.enqueue(QUEUE, torch.tensor(INPUTS["queue_ids"]))
        assert loss(IMAGES, TEXTS, MULTI).item() == exactly(VALUES[value])


def dense_softmax(images: Tensor, texts: Tensor, ids: Tensor, scale: Tensor) -> Tensor:
    logits = scale * images @ texts.T
    target = (ids[:, None] == ids).to(logits)
    target /= target.sum(1, keepdim=True)
    rows, columns = logits.log_softmax(1), logits.T.log_softmax(1)
    return -(target * (rows + columns)).sum(1).mean() / 2


def dense_sigmoid(
    images: Tensor, texts: Tensor, ids: Tensor, scale: Tensor, bias: Tensor
) -> Tensor:
    sign = torch.where(ids[:, None] == ids, 1.0, -1.0)
    return -torch.nn.functional.logsigmoid(sign * (scale * images @ texts.T + bias)).sum() / len(
        ids
    )


@settings(max_examples=40, deadline=None)
@given(rows=st.integers(1, 23), chunk=st.integers(1, 9), seed=st.integers(0, 99))
def test_fast_forms_equal_the_definitions_in_value_and_gradient(rows, chunk, seed):
    images, texts, ids = batch(rows, seed=seed)
    inputs = images.double().requires_grad_(), texts.double().requires_grad_()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(losses, "CHUNK_ROWS", chunk)
        for name, dense in (("softmax", dense_softmax), ("sigmoid", dense_sigmoid)):
            loss = LOSSES[name](6).double()
            leaves = [*inputs, *loss.parameters()]
            scalars = [loss.log_scale.exp(), *list(loss.parameters())[1:]]
            expected = dense(*inputs, ids, *scalars)
            found = loss(*inputs, ids)
            torch.testing.assert_close(found, expected)
            torch.testing.assert_close(
                torch.autograd.grad(found, leaves), torch.autograd.grad(expected, leaves)
            )


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_gradients_are_those_of_finite_differences(name):
    loss = LOSSES[name](4, temperature=0.3, learnable_temp=True).double().eval()
    images, texts, ids = batch(5, width=4)
    inputs = [images.double().requires_grad_(), texts.double().requires_grad_()]
    assert torch.autograd.gradcheck(lambda i, t, *_: loss(i, t, ids), (*inputs, *loss.parameters()))


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_autocast_multiplies_low_and_sums_high(name):
    images, texts, ids = batch(64, width=32)
    loss = LOSSES[name](32, temperature=0.2).eval()
    images.requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        low = loss(images, texts, ids)
    assert low.dtype == torch.float32
    assert low.item() == pytest.approx(loss(images, texts, ids).item(), rel=0.01)
    low.backward()
    assert images.grad is not None
    assert images.grad.dtype == torch.float32
    assert loss(images.bfloat16(), texts.bfloat16(), ids).dtype == torch.float32


# Temperature


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_temperature_is_in_the_state_whether_learned_or_not(name):
    for learnable in (True, False):
        loss = LOSSES[name](4, temperature=0.05, learnable_temp=learnable)
        assert loss.temperature.item() == pytest.approx(0.05)
        assert loss.state_dict()["log_scale"].item() == pytest.approx(math.log(20))
        assert ("log_scale" in dict(loss.named_parameters())) is learnable


def test_a_scale_at_its_ceiling_can_come_down():
    loss = softmax(6, temperature=0.01)
    loss(*batch(8)).backward()
    assert loss.log_scale.grad is not None
    assert loss.log_scale.grad.item() > 0  # wrong pairs score high: descent lowers the scale


def test_learned_scale_stops_at_100():
    loss = softmax(6, temperature=0.02)
    with torch.no_grad():
        loss.log_scale.fill_(9.0)
    assert loss.temperature.item() == pytest.approx(0.01)
    loss.clamp_()
    assert loss.log_scale.item() == pytest.approx(math.log(100))


@pytest.mark.parametrize("learnable", [True, False])
def test_a_lower_starting_temperature_is_used_as_written(learnable):
    loss = sigmoid(6, temperature=0.005, learnable_temp=learnable)
    loss.clamp_()
    assert loss.temperature.item() == pytest.approx(0.005)


def test_sigmoid_bias_is_learned_or_absent():
    assert set(sigmoid(6).state_dict()) == {"log_scale", "bias"}
    assert set(sigmoid(6, sigmoid_bias=False).state_dict()) == {"log_scale"}
    loss = sigmoid(6)
    loss(*batch(8)).backward()
    assert all(p.grad is not None and p.grad.item() != 0 for p in loss.parameters())


# Queue: each of these is a defect once seen in the field


def contents(loss: torch.nn.Module) -> set[int]:
    return set(loss.queue_ids[: int(loss.enqueued)].tolist())


def enqueue(loss: torch.nn.Module, ids: range) -> None:
    loss.enqueue(torch.tensor([[float(i)] for i in ids]), torch.tensor(list(ids)))


def test_queue_is_first_in_first_out_across_the_wrap():
    loss = queue(1, queue_size=5)
    for start in (0, 3, 6):
        enqueue(loss, range(start, start + 3))
    assert contents(loss) == {4, 5, 6, 7, 8}
    assert loss.queue[:, 0].tolist() == loss.queue_ids.tolist()


@settings(max_examples=60, deadline=None)
@given(size=st.integers(1, 7), batches=st.lists(st.integers(1, 17), max_size=8))
def test_queue_holds_exactly_the_newest_rows(size, batches):
    loss, seen = queue(1, queue_size=size), 0
    for rows in batches:
        enqueue(loss, range(seen, seen + rows))
        seen += rows
    assert contents(loss) == set(range(max(0, seen - size), seen))


def test_slots_never_written_are_never_negatives():
    images, texts, ids = batch(4)
    texts = -images  # every real similarity is below the 0 of an unwritten slot
    empty = queue(6, queue_size=64).eval()(images, texts, ids)
    in_batch = queue(6, queue_size=1).eval()(images, texts, ids)
    assert empty.item() == pytest.approx(in_batch.item())


def test_loss_comes_before_enqueueing_and_gradient_stays_out_of_the_queue():
    loss = queue(6, queue_size=4)
    images, texts, ids = batch(4)
    texts.requires_grad_()
    first = loss(images, texts, ids)
    assert first.item() == pytest.approx(queue(6).eval()(images, texts, ids).item())
    assert torch.equal(loss.queue, texts)
    assert not loss.queue.requires_grad
    second = loss(images, texts, ids + 100)
    second.backward()  # the queue was overwritten in between; its values of the forward count
    assert texts.grad is not None


def test_evaluation_reads_the_queue_and_leaves_it():
    loss = queue(6, queue_size=4)
    loss(*batch(4, seed=1))
    before = {k: v.clone() for k, v in loss.state_dict().items()}
    images, texts, ids = batch(4, seed=2)
    with_queue = loss.eval()(images, texts, ids + 100)
    assert all(torch.equal(before[k], v) for k, v in loss.state_dict().items())
    assert with_queue > queue(6).eval()(images, texts, ids + 100)


def test_queue_continues_from_its_state():
    straight, stopped = queue(6, queue_size=5), queue(6, queue_size=5)
    straight(*batch(3, seed=1))
    stopped.load_state_dict(straight.state_dict())
    for seed in (2, 3):
        assert torch.equal(straight(*batch(3, seed=seed)), stopped(*batch(3, seed=seed)))
    assert torch.equal(straight.queue, stopped.queue)


def test_duplicates_of_the_batch_are_masked():
    images, texts, _ = batch(4)
    same = torch.zeros(4, dtype=torch.int64)
    assert queue(6)(images, texts, same).item() == pytest.approx(0, abs=1e-5)
    assert queue(6, mask_batch_duplicates=False)(images, texts, same) > 0.1
