"""Task weights: the reference values of a balanced step, torchjd's, and the quadratic program."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tunewright.recipes.compression.balance.task_weights import (
    FamoWeights,
    QpWeights,
    gram_matrix,
    minimum_norm_weights,
)
from tunewright.training.optimizers.cautious_adam import CautiousAdam

ORACLE = json.loads((Path(__file__).parents[3] / "oracles/balance.json").read_text())
TARGET = torch.tensor(ORACLE["inputs"]["target"], dtype=torch.float64)
GAMMA, W_LR, LR = (ORACLE["inputs"][key] for key in ("gamma", "w_lr", "lr"))


def losses(p: Tensor) -> Tensor:
    return torch.stack([(p - TARGET).square().mean(), p.abs().sum()])


def start() -> nn.Parameter:
    return nn.Parameter(torch.tensor(ORACLE["inputs"]["start"], dtype=torch.float64))


def balanced_steps(
    p: nn.Parameter, weights: FamoWeights, steps: int, clip: float | None
) -> tuple[float, list[float]]:
    """Take balanced steps with Cautious Adam; return the first objective and its gradient."""
    optimizer = CautiousAdam([p], lr=LR)
    first: tuple[float, list[float]] | None = None
    for _ in range(steps):
        before = losses(p)
        total = weights.objective(before)
        total.backward()
        assert p.grad is not None
        first = first or (float(total.detach()), p.grad.tolist())
        if clip is not None:
            nn.utils.clip_grad_norm_([p], clip)
        optimizer.step()
        optimizer.zero_grad()
        weights.update(before.detach(), losses(p).detach(), GAMMA)
    assert first is not None
    return first


@pytest.mark.parametrize(
    ("clip", "moved", "third"),
    [
        (
            1.0,
            [1.0999999955111956, -1.9000000011600282, 0.400000002196649],
            [0.46253074, 0.53746926],
        ),
        (
            None,
            [1.0999999967391305, -1.9000000008426965, 0.4000000015957446],
            [0.46253206, 0.53746794],
        ),
    ],
)
def test_the_reference_values_of_a_balanced_step(
    clip: float | None, moved: list[float], third: list[float]
) -> None:
    p, weights = start(), FamoWeights(2, w_lr=W_LR, minimum=0.0)
    objective, gradient = balanced_steps(p, weights, 1, clip)
    assert objective == pytest.approx(3.4871203969525792, rel=1e-12)
    expected = [-0.3066666662186666, -1.1866666666026666, 0.6266666667946666]
    assert gradient == pytest.approx(expected, rel=1e-12)
    assert weights.logits.tolist() == pytest.approx(
        [-0.02499998787174, 0.02499998787174], rel=1e-12
    )
    assert p.tolist() == pytest.approx(moved, rel=1e-12)
    p, weights = start(), FamoWeights(2, w_lr=W_LR, minimum=0.0)
    balanced_steps(p, weights, 3, clip)
    assert weights.weights.tolist() == pytest.approx(third, abs=5e-9)


def test_the_least_losses_are_minus_one_by_default() -> None:
    weights = FamoWeights(2, w_lr=W_LR)
    assert float(weights.objective(losses(start()).detach())) == pytest.approx(
        5.780113463070332, rel=1e-12
    )


@pytest.mark.parametrize("minimum", [0.0, -1.0])
def test_famo_is_that_of_torchjd(minimum: float) -> None:
    expected = ORACLE["values"][f"famo_minimum_{minimum:g}"]
    p, weights = start(), FamoWeights(2, w_lr=W_LR, minimum=minimum)
    for step in range(ORACLE["inputs"]["steps"]):
        before = losses(p)
        total = weights.objective(before)
        total.backward()
        assert p.grad is not None
        assert float(total.detach()) == pytest.approx(expected["objective"][step], rel=1e-12)
        assert p.grad.tolist() == pytest.approx(expected["gradient"][step], rel=1e-11)
        with torch.no_grad():
            p -= LR * p.grad
        p.grad = None
        weights.update(before.detach(), losses(p).detach(), GAMMA)
        assert weights.logits.tolist() == pytest.approx(expected["logits"][step], rel=1e-11)


def test_the_shares_are_the_derivative_of_the_objective() -> None:
    weights = FamoWeights(2, w_lr=1.0)
    weights.update(torch.tensor([3.0, 2.0]), torch.tensor([2.0, 2.0]), GAMMA)
    given = torch.tensor([4.0, 0.5], dtype=torch.float64, requires_grad=True)
    weights.objective(given).backward()
    assert given.grad is not None
    assert weights.shares(given).tolist() == pytest.approx(given.grad.tolist(), rel=1e-12)
    assert float(weights.shares(given).sum()) == pytest.approx(1.0)


def test_the_task_that_decreased_more_loses_weight() -> None:
    weights = FamoWeights(2, w_lr=W_LR)
    weights.update(torch.tensor([4.0, 1.0]), torch.tensor([2.0, 0.9]), GAMMA)
    distortion, bpp = weights.weights.tolist()
    assert distortion < 0.5 < bpp


def test_gamma_pulls_to_equal_parts() -> None:
    """Without any difference between the tasks only the decay is left."""
    weights = FamoWeights(2, w_lr=W_LR)
    weights.logits.copy_(torch.tensor([1.0, -1.0]))
    same = torch.tensor([2.0, 2.0])
    for _ in range(30):
        weights.update(same, same, 0.01)
    assert abs(float(weights.logits[0])) < 0.5


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_losses_that_are_not_finite_change_nothing(bad: float) -> None:
    famo, qp = FamoWeights(2, w_lr=W_LR), QpWeights()
    good, other = torch.tensor([2.0, 1.0]), torch.tensor([1.9, 0.5])
    famo.update(good, other, GAMMA)
    qp.solve(good, [[torch.tensor([1.0, 0.0])], [torch.tensor([0.0, 3.0])]])
    before = plain(famo.state_dict()), qp.weights.tolist()
    famo.update(torch.tensor([bad, 1.0]), other, GAMMA)
    famo.update(good, torch.tensor([1.0, bad]), GAMMA)
    qp.solve(torch.tensor([bad, 1.0]), [[torch.tensor([1.0])], [torch.tensor([1.0])]])
    qp.solve(good, [[torch.tensor([bad])], [torch.tensor([1.0])]])
    assert (plain(famo.state_dict()), qp.weights.tolist()) == before


def plain(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.tolist()
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    return [plain(inner) for inner in value] if isinstance(value, list | tuple) else value


def test_more_than_two_tasks_and_a_gamma_of_each() -> None:
    weights = FamoWeights(3, w_lr=W_LR)
    weights.logits.copy_(torch.tensor([0.5, 0.5, 0.5]))
    same = torch.tensor([1.0, 2.0, 3.0])
    weights.update(same, same, torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64))
    moved = (torch.tensor([0.5, 0.5, 0.5]) - weights.logits).tolist()
    assert moved == pytest.approx([W_LR, 0.0, 0.0], abs=1e-6)


# --- the quadratic program ------------------------------------------------------------------------


@pytest.mark.parametrize("name", ORACLE["values"]["shortest"])
def test_the_shortest_combination_is_that_of_torchjd(name: str) -> None:
    first, second = (
        [torch.tensor(row, dtype=torch.float64)] for row in ORACLE["inputs"]["gradients"][name]
    )
    found = minimum_norm_weights(gram_matrix(first, second))
    assert found.tolist() == pytest.approx(ORACLE["values"]["shortest"][name], abs=1e-9)


def test_inside_the_simplex_it_is_the_inverse_of_the_gram_matrix() -> None:
    draw = torch.Generator().manual_seed(0)
    for _ in range(200):
        gradients = torch.randn(2, 5, generator=draw, dtype=torch.float64)
        gram = gradients @ gradients.T
        found = minimum_norm_weights(gram)
        ones = torch.ones(2, dtype=torch.float64)
        free = torch.linalg.solve(gram, ones)
        free = free / free.sum()
        if bool((free >= 0).all()):
            assert found.tolist() == pytest.approx(free.tolist(), rel=1e-9)
        assert float(found.sum()) == pytest.approx(1.0)
        assert bool((found >= 0.0).all())
        grid = torch.linspace(0.0, 1.0, 201, dtype=torch.float64)
        every = torch.stack([grid, 1.0 - grid], 1)
        norms = torch.einsum("ni,ij,nj->n", every, gram, every)
        assert float(found @ gram @ found) <= float(norms.min()) + 1e-12


def test_equal_gradients_and_none_at_all_have_equal_parts() -> None:
    for size in (0.0, 2.0):
        gram = torch.full((2, 2), size, dtype=torch.float64)
        assert minimum_norm_weights(gram).tolist() == [0.5, 0.5]


def test_the_gradients_are_those_of_the_logarithms() -> None:
    """With orthogonal gradients, weights go as D_i^2 / |grad_i|^2."""
    weights = QpWeights(minimum=0.0)
    first = [torch.tensor([2.0]), torch.tensor([0.0])]
    second = [torch.tensor([0.0]), torch.tensor([3.0])]
    weights.solve(torch.tensor([4.0, 1.0]), [first, second])
    ratio = (4.0 / 2.0) ** 2 / (1.0 / 3.0) ** 2
    assert float(weights.weights[0] / weights.weights[1]) == pytest.approx(ratio, rel=1e-6)
