"""Ensembles of classifiers: uniform, fitted or greedy weights, and what they gain."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from torch import Tensor

from tunewright.classification.inference.tta import average_label_views, average_views
from tunewright.classification.inference.tta_views import ALONE, Views
from tunewright.classification.losses.logit_adjustment import adjusted_logits
from tunewright.classification.metrics.multi_label import label_scores
from tunewright.errors import DataError

if TYPE_CHECKING:
    from tunewright.classification.inference.classifier import Classifier

Average = Literal["probabilities", "geometric"]
"""The arithmetic mean of probabilities, or their normalised geometric mean."""

ROUNDS = 50
"""Rounds of greedy selection: weights are multiples of 1 / ROUNDS at the finest."""
EM_STEPS = 500
FOLDS = 5


@dataclass(frozen=True)
class Blend:
    """Classifiers with the same classes, and how they are averaged; it may hold only one.

    weights: [M], sum 1. views: test-time views of each. logit_adjustment: tau of `adjusted_logits`.
    """

    members: tuple["Classifier", ...]
    weights: tuple[float, ...] = (1.0,)
    average: Average = "probabilities"
    views: Views = ALONE
    logit_adjustment: float = 0.0

    def __post_init__(self) -> None:
        check_classes(self.members)

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes as the source of the training data writes them."""
        return self.members[0].classes

    @property
    def multi_label(self) -> bool:
        """Whether a picture may have several labels; probabilities then do not add up to 1."""
        return is_multi_label(self.members[0])

    def scores(self, logits: Sequence[Tensor]) -> Tensor:
        """Return log-probabilities [B, C], from logits [V, B, C] of each member's views."""
        if self.multi_label:
            means = [average_label_views(of_views, self.views.mean) for of_views in logits]
            return blend_labels(torch.stack(means), self.weights, self.average)
        found = []
        for member, of_views in zip(self.members, logits, strict=True):
            scores = average_views(of_views, self.views.mean)
            if self.logit_adjustment:
                scores = adjusted_logits(scores, member.class_counts, tau=self.logit_adjustment)
            found.append(scores)
        weights = torch.tensor(self.weights, device=found[0].device)
        return blend(torch.stack(found), weights, self.average)


def is_multi_label(member: "Classifier") -> bool:
    """Return whether it gives several labels; a recipe's own kind of classifier gives one."""
    return bool(getattr(member, "multi_label", False))


def check_classes(members: Sequence["Classifier"]) -> None:
    """Raise DataError unless all members have the same classes in the same order."""
    first = members[0]
    for other in members[1:]:
        if is_multi_label(other) != is_multi_label(first):
            one, several = (first, other) if is_multi_label(other) else (other, first)
            raise DataError(
                f"{several.folder.path} gives several labels a picture, {one.folder.path} one",
                expected="runs that were all trained with the same data.multi_label",
                remedy="Average only models of one kind.",
            )
        if other.classes == first.classes:
            continue
        places = zip(first.classes, other.classes, strict=False)
        where = next((i for i, (a, b) in enumerate(places) if a != b), None)
        came = (
            f"{len(first.classes)} and {len(other.classes)} classes"
            if where is None
            else f"class {where} is {first.classes[where]!r} and {other.classes[where]!r}"
        )
        raise DataError(
            f"{first.folder.path} and {other.folder.path} do not have the same classes: {came}",
            expected="the same classes in the same order",
            remedy="Average only models that were trained on the same labels.",
        )


def blend(logits: Tensor, weights: Tensor, average: Average) -> Tensor:
    """Return log-probabilities [N, C] of a weighted average of M members, from logits [M, N, C].

    weights: [M], sum 1. `geometric` averages log-probabilities, which differ from logits by a
    constant per row, and normalises: softmax(sum of w x), the geometric mean.
    """
    logs = logits.log_softmax(2)
    weights = weights.to(logs)[:, None, None]
    if average == "geometric":
        return (weights * logs).sum(0).log_softmax(1)
    return torch.logsumexp(logs + weights.log(), 0)


def blend_labels(logits: Tensor, weights: Sequence[float] | Tensor, average: Average) -> Tensor:
    """Return log-probabilities [N, C] of a weighted average of yes-or-no labels: `blend` of each.

    logits: [M, N, C], one a label; geometric means are normalised over yes and no.
    """
    members, rows, labels = logits.shape
    pairs = yes_or_no(logits).reshape(members, rows * labels, 2)
    blended = blend(pairs, torch.as_tensor(weights, device=logits.device), average)
    return blended[:, 0].reshape(rows, labels)


def yes_or_no(logits: Tensor) -> Tensor:
    """Return the logits of yes and no, [..., 2], whose softmax is the sigmoid of `logits`."""
    return torch.stack((logits, torch.zeros_like(logits)), -1)


def uniform_weights(logits: Tensor, labels: Tensor, average: Average) -> Tensor:
    """Return the same weight for all: [M]."""
    return torch.full((len(logits),), 1.0 / len(logits), dtype=torch.float64)


def fit_weights(logits: Tensor, labels: Tensor, average: Average) -> Tensor:
    """Return the weights [M] that maximise the likelihood of the labels [N], from logits [M, N, C].

    The likelihood is concave in the weights of either average. For probabilities it is that of a
    mixture, maximised by expectation-maximisation (Dempster et al. 1977); for the geometric mean by
    exponentiated gradients (Kivinen and Warmuth 1997).
    """
    logs = logits.double().log_softmax(2)
    members, rows = logs.shape[:2]
    weights = torch.full((members,), 1.0 / members, dtype=torch.float64)
    true = logs[:, torch.arange(rows), labels]  # [M, N]
    for step in range(EM_STEPS):
        if average == "probabilities":
            likely = true + weights.clamp(min=1e-300).log()[:, None]
            new = likely.softmax(0).mean(1)
        else:
            mixed = torch.einsum("m,mnc->nc", weights, logs).softmax(1)
            slope = true.mean(1) - torch.einsum("nc,mnc->m", mixed, logs) / rows
            new = (weights * torch.exp(slope / math.sqrt(step + 1.0))).clamp(min=1e-300)
            new = new / new.sum()
        moved = float((new - weights).abs().max())
        weights = new
        if moved < 1e-6:
            break
    weights = torch.where(weights < 1e-3, 0.0, weights)  # drop members that only cost time
    return weights / weights.sum()


def greedy_weights(
    logits: Tensor, labels: Tensor, average: Average, *, rounds: int = ROUNDS
) -> Tensor:
    """Return the weights [M] of greedy selection with replacement (Caruana et al. 2004, section 2).

    It starts with the best member, adds in each round the one that makes the average best (by
    accuracy, then likelihood), and keeps the best of all rounds, the earliest on a tie.
    """
    logs = logits.double().log_softmax(2)
    parts = logs if average == "geometric" else logs.exp()
    members = len(parts)
    counts = torch.zeros(members, dtype=torch.float64)
    total = torch.zeros_like(parts[0])
    best, best_counts = (-1.0, -math.inf), counts
    for size in range(1, rounds + 1):
        scores = [_score((total + part) / size, labels, average) for part in parts]
        chosen = max(range(members), key=lambda member: scores[member])
        total = total + parts[chosen]
        counts[chosen] += 1
        if scores[chosen] > best:
            best, best_counts = scores[chosen], counts.clone()
    return best_counts / best_counts.sum()


def _score(mean: Tensor, labels: Tensor, average: Average) -> tuple[float, float]:
    """Return accuracy and mean log-likelihood of an average that is not normalised yet."""
    logs = mean.log_softmax(1) if average == "geometric" else mean.clamp(min=1e-300).log()
    right = float((logs.argmax(1) == labels).double().mean())
    return right, float(logs[torch.arange(len(labels)), labels].mean())


Weigh = Callable[[Tensor, Tensor, Average], Tensor]
METHODS: dict[str, Weigh] = {
    "mean": uniform_weights,
    "weighted": fit_weights,
    "greedy": greedy_weights,
}


@dataclass(frozen=True)
class CrossFit:
    """Cross-fitted predictions of an ensemble and of its best member, int64 [N] each.

    Of several labels a picture they are log-probabilities and logits, [N, C].

    The weights, and the choice of the best member, that predict a row were made without it.
    """

    ensemble: Tensor
    single: Tensor


def cross_fit(
    logits: Tensor, labels: Tensor, weigh: Weigh, average: Average, *, folds: int = FOLDS
) -> CrossFit:
    """Evaluate an ensemble without bias on the rows that also choose its weights.

    Rows are dealt to folds class by class; what predicts a fold was chosen on the others.
    """
    fold = stratified_folds(labels, folds)
    ensemble, single = torch.zeros_like(labels), torch.zeros_like(labels)
    said = logits.argmax(2)
    right = said == labels
    for number in range(int(fold.max()) + 1):
        there = fold == number
        weights = weigh(logits[:, ~there], labels[~there], average)
        scores = blend(logits[:, there].double(), weights, average)
        ensemble[there] = scores.argmax(1)
        best = int(right[:, ~there].double().mean(1).argmax())
        single[there] = said[best, there]
    return CrossFit(ensemble, single)


def weigh_labels(logits: Tensor, targets: Tensor, weigh: Weigh, average: Average) -> Tensor:
    """Return the weights [M] of members that give several labels, each a yes or no.

    logits: [M, N, C]; targets: bool [N, C]. `weigh` gets each label of each picture as a row of two
    classes: likelihood and accuracy are then those of single labels.
    """
    members = len(logits)
    truth = 1 - targets.long().reshape(-1)  # class 0 is yes
    return weigh(yes_or_no(logits).reshape(members, -1, 2), truth, average)


def cross_fit_labels(
    logits: Tensor, targets: Tensor, weigh: Weigh, average: Average, *, folds: int = FOLDS
) -> CrossFit:
    """Evaluate an ensemble of several labels as `cross_fit` does: log-probabilities [N, C].

    The best member is the one with the highest mean average precision on the other folds.
    """
    fold = shuffled_folds(len(targets), folds)
    ensemble, single = (torch.zeros(targets.shape, dtype=torch.float64) for _ in range(2))
    for number in range(int(fold.max()) + 1):
        there = fold == number
        weights = weigh_labels(logits[:, ~there], targets[~there], weigh, average)
        ensemble[there] = blend_labels(logits[:, there].double(), weights, average)
        best = int(np.nanargmax(maps(logits[:, ~there], targets[~there])))
        single[there] = logits[best, there].double()
    return CrossFit(ensemble, single)


def maps(logits: Tensor, targets: Tensor) -> list[float]:
    """Return the mean average precision of each member, [M], from [M, N, C] and bool [N, C]."""
    truth = targets.numpy()
    found = (label_scores(truth, one.double().numpy(), truth) for one in logits)
    return [scores.get("map", 0.0) for scores in found]


def shuffled_folds(rows: int, folds: int) -> Tensor:
    """Return the fold of each row, [N], drawn at random; their sizes differ by one at most."""
    fold = torch.arange(rows) % min(folds, rows)
    return fold[torch.randperm(rows, generator=torch.Generator().manual_seed(0))]


def stratified_folds(labels: Tensor, folds: int) -> Tensor:
    """Return the fold of each row, [N]: the rows of each class in turn, class after class.

    Labels 0, 1, 0, 1 in two folds give 0, 0, 1, 1.
    """
    order = torch.argsort(labels, stable=True)
    fold = torch.empty_like(labels)
    fold[order] = torch.arange(len(labels)) % min(folds, len(labels))
    return fold
