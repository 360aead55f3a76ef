"""Averages of classifiers, their weights, and an honest gain."""

import itertools
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from tunewright.classification.inference.ensemble import (
    Blend,
    blend,
    check_classes,
    cross_fit,
    fit_weights,
    greedy_weights,
    stratified_folds,
    uniform_weights,
)
from tunewright.classification.inference.tta_views import MIRRORED
from tunewright.errors import DataError


def said(members: int = 4, rows: int = 200, classes: int = 3) -> tuple[Tensor, Tensor]:
    """Logits [M, N, C] of members that see the truth through noise, the later the worse."""
    drawn = torch.Generator().manual_seed(0)
    labels = torch.randint(0, classes, (rows,), generator=drawn)
    truth = 2.0 * torch.nn.functional.one_hot(labels, classes).double()
    noise = torch.randn(members, rows, classes, generator=drawn, dtype=torch.float64)
    return truth + noise * torch.linspace(1.0, 3.0, members)[:, None, None], labels


def likelihood(logits: Tensor, labels: Tensor, weights: Tensor, average: str) -> float:
    scores = blend(logits, weights, average)
    return float(scores[torch.arange(len(labels)), labels].mean())


def test_the_mean_of_probabilities():
    logits, _ = said()
    weights = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64)
    expected = (weights[:, None, None] * logits.softmax(2)).sum(0)
    torch.testing.assert_close(blend(logits, weights, "probabilities").exp(), expected)


def test_the_geometric_mean_is_that_of_logits_normalised():
    logits, _ = said()
    weights = torch.tensor([0.25] * 4, dtype=torch.float64)
    product = logits.softmax(2).prod(0) ** 0.25
    expected = product / product.sum(1, keepdim=True)
    torch.testing.assert_close(blend(logits, weights, "geometric").exp(), expected)
    torch.testing.assert_close(expected, logits.mean(0).softmax(1))


@pytest.mark.parametrize("average", ["probabilities", "geometric"])
def test_one_member_is_itself(average):
    logits, labels = said(members=1)
    alone = blend(logits, torch.ones(1), average)
    torch.testing.assert_close(alone, logits[0].log_softmax(1))
    assert torch.equal(greedy_weights(logits, labels, average), torch.ones(1).double())


def test_a_member_without_weight_says_nothing():
    logits, _ = said(members=2)
    weights = torch.tensor([1.0, 0.0], dtype=torch.float64)
    torch.testing.assert_close(blend(logits, weights, "probabilities"), logits[0].log_softmax(1))


@pytest.mark.parametrize("average", ["probabilities", "geometric"])
def test_fitted_weights_are_the_likeliest(average):
    """No point of a fine grid over all weights of three members is likelier."""
    logits, labels = said(members=3)
    best = fit_weights(logits, labels, average)
    assert float(best.sum()) == pytest.approx(1.0)
    found = likelihood(logits, labels, best, average)
    steps = [step / 20 for step in range(21)]
    for first, second in itertools.product(steps, steps):
        if first + second <= 1.0:
            weights = torch.tensor([first, second, 1.0 - first - second], dtype=torch.float64)
            assert likelihood(logits, labels, weights.clamp(min=0), average) <= found + 2e-4
    assert best[0] > best[2]


@pytest.mark.parametrize("average", ["probabilities", "geometric"])
def test_greedy_selection_is_caruanas(average):
    """The same weights as a plain rewriting of the paper's loop."""
    logits, labels = said()
    parts = logits.log_softmax(2) if average == "geometric" else logits.softmax(2)
    chosen: list[int] = []
    history: list[tuple[tuple[float, float], list[int]]] = []
    for _ in range(12):
        scores = []
        for member in range(len(parts)):
            mean = parts[[*chosen, member]].mean(0)
            logs = mean.log_softmax(1) if average == "geometric" else mean.log()
            right = float((logs.argmax(1) == labels).double().mean())
            scores.append((right, float(logs[torch.arange(len(labels)), labels].mean())))
        chosen = [*chosen, scores.index(max(scores))]
        history.append((max(scores), chosen))
    top = max(score for score, _ in history)
    best = next(members for score, members in history if score == top)
    expected = torch.bincount(torch.tensor(best), minlength=len(parts)).double() / len(best)
    torch.testing.assert_close(greedy_weights(logits, labels, average, rounds=12), expected)


def test_greedy_selection_is_never_worse_where_it_chose():
    logits, labels = said()
    weights = greedy_weights(logits, labels, "probabilities")
    together = (blend(logits, weights, "probabilities").argmax(1) == labels).double().mean()
    assert together >= (logits.argmax(2) == labels).double().mean(1).max()


def test_an_ensemble_is_judged_on_rows_that_did_not_weigh_it():
    logits, labels = said(rows=150)
    seen: list[int] = []

    def weigh(part: Tensor, of_part: Tensor, average: str) -> Tensor:
        seen.append(len(of_part))
        return uniform_weights(part, of_part, "probabilities")

    fitted = cross_fit(logits, labels, weigh, "probabilities", folds=5)
    assert seen == [120] * 5
    whole = blend(logits, torch.full((4,), 0.25), "probabilities").argmax(1)
    assert torch.equal(fitted.ensemble, whole)  # uniform weights are the same everywhere
    assert torch.equal(fitted.single, logits[0].argmax(1))  # the best by far in every fold


def test_folds_have_a_share_of_every_class():
    labels = torch.tensor([0] * 10 + [1] * 5 + [2] * 2)[torch.randperm(17)]
    fold = stratified_folds(labels, 5)
    assert torch.equal(torch.bincount(fold[labels == 0]), torch.full((5,), 2))
    assert torch.equal(torch.bincount(fold[labels == 1]), torch.full((5,), 1))
    assert int(stratified_folds(torch.tensor([0, 1, 0]), 5).max()) == 2


def member(classes: tuple[str, ...], counts: tuple[int, ...] = (10, 10, 10)) -> SimpleNamespace:
    return SimpleNamespace(
        classes=classes, class_counts=torch.tensor(counts), folder=SimpleNamespace(path="run")
    )


def test_classes_must_be_the_same_in_the_same_order():
    check_classes([member(("a", "b")), member(("a", "b"))])
    with pytest.raises(DataError, match="class 0 is 'a' and 'b'"):
        check_classes([member(("a", "b")), member(("b", "a"))])
    with pytest.raises(DataError, match="2 and 3 classes"):
        Blend((member(("a", "b")), member(("a", "b", "c"))), (0.5, 0.5))


def test_a_blend_averages_views_then_adjusts_then_averages_members():
    first, second = member(("a", "b", "c"), (80, 15, 5)), member(("a", "b", "c"), (10, 10, 80))
    blend = Blend((first, second), (0.3, 0.7), "probabilities", MIRRORED, 1.0)
    logits, _ = said(members=4, rows=5)
    found = blend.scores([logits[:2], logits[2:]])
    expected = torch.zeros(5, 3, dtype=torch.float64)
    for weight, of, views in ((0.3, first, logits[:2]), (0.7, second, logits[2:])):
        prior = of.class_counts.double() / of.class_counts.sum()
        expected += weight * (views.mean(0) - prior.log()).softmax(1)
    torch.testing.assert_close(found.exp(), expected)
