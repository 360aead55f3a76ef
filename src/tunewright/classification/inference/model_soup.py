"""Model soups: one network with the averaged weights of several (Wortsman et al., ICML 2022)."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

from tunewright.classification.inference.ensemble import check_classes
from tunewright.classification.inference.predict import DecodedBatches, square_of, usual_batch_size
from tunewright.classification.losses.config import MULTI_LABEL_METRICS
from tunewright.classification.metrics.multi_label import label_scores
from tunewright.errors import DataError
from tunewright.images.image_table import ImageTable

if TYPE_CHECKING:
    from tunewright.classification.inference.classifier import Classifier

State = Mapping[str, Tensor]
REFRESH_PICTURES = 4096
"""Training pictures used to measure batch-norm statistics again."""


def check_architectures(members: Sequence["Classifier"]) -> None:
    """Raise DataError unless all members have equal classes, input sizes and weight shapes."""
    check_classes(members)
    first = members[0]
    shapes = _shapes(first.model)
    for other in members[1:]:
        found = _shapes(other.model)
        if (
            found == shapes
            and square_of(other) == square_of(first)
            and other.normalise == first.normalise
        ):
            continue
        names = sorted(set(shapes.items()) ^ set(found.items()))
        came = (
            f"for example {names[0][0]}" if names else "their input size or normalisation differs"
        )
        raise DataError(
            f"{first.folder.path} and {other.folder.path} differ in architecture ({came})",
            expected="the same model section, size and normalisation",
            remedy="Average their predictions instead: --method mean.",
        )


def _shapes(model: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}


def mean_weights(states: Sequence[State]) -> dict[str, Tensor]:
    """Average each floating-point tensor; others, such as counters, are the first's.

    Tensors that are equal in all members stay the same, bit for bit.
    """
    mean = {}
    for name, first in states[0].items():
        all_equal = all(torch.equal(state[name], first) for state in states[1:])
        if all_equal or not first.is_floating_point():
            mean[name] = first.clone()
        else:
            stacked = torch.stack([state[name].to(first.device, torch.float64) for state in states])
            mean[name] = stacked.mean(0).to(first.dtype)
    return mean


def soup_of(members: Sequence["Classifier"]) -> "Classifier":
    """Return the first member with the mean of all weights, and new batch-norm statistics.

    Statistics are not measured again if the members are equal.
    """
    check_architectures(members)
    states = [member.model.state_dict() for member in members]
    weights = mean_weights(states)
    model = deepcopy(members[0].model)
    model.load_state_dict(weights)
    soup = replace(members[0], model=model.eval())
    trained = [name for name, _ in model.named_parameters()]
    if any(not torch.equal(weights[name], states[0][name]) for name in trained):
        refresh(soup)
    return soup


def refresh(classifier: "Classifier", *, pictures: int = REFRESH_PICTURES, seed: int = 0) -> None:
    """Measure batch normalisation's running means and variances again, on training pictures.

    Averaged weights give other activations than any of the models. pictures: most pictures used,
    drawn at random, without augmentation. Does nothing for models without such layers.
    """
    if not _norms(classifier.model):
        return
    table = classifier.sets.train
    if len(table) > pictures:
        order = torch.randperm(len(table), generator=torch.Generator().manual_seed(seed))
        table = table.take(order[:pictures].sort().values.numpy())
    refresh_norms(classifier.model, _batches(classifier, table), classifier.logits)


def _batches(classifier: "Classifier", table: ImageTable) -> Iterable[Tensor]:
    size = max(32, usual_batch_size(classifier.size, classifier.device))
    square = square_of(classifier)
    with DecodedBatches(table, [square], size) as batches:
        for batch in batches:
            rows = range(batch.start, batch.stop)
            keep = torch.tensor([row not in batch.bad for row in rows])
            if int(keep.sum()) > 1:  # one picture has no variance where the map is 1 x 1
                yield batch.images[square][keep].to(classifier.device)


def refresh_norms(
    model: nn.Module, batches: Iterable[Tensor], forward: Callable[[Tensor], object]
) -> None:
    """Set the running statistics of batch normalisation to their means over `batches`.

    Each batch [B, ...] is weighted by its rows, also a short last one: the momentum of a batch is
    its rows / rows seen so far, so batches of 32 and 16 weigh 2/3 and 1/3. forward: passes a batch
    through `model`. Source: Izmailov et al. 2018; for batches of one size this is
    `torch.optim.swa_utils.update_bn`.
    """
    norms = _norms(model)
    before = {norm: (norm.momentum, norm.training) for norm in norms}
    for norm in norms:
        norm.reset_running_stats()
        norm.train()  # only these: dropout stays off
    seen = 0
    try:
        with torch.no_grad():
            for images in batches:
                seen += len(images)
                for norm in norms:
                    norm.momentum = len(images) / seen
                forward(images)
    finally:
        for norm, (momentum, training) in before.items():
            norm.momentum = momentum
            norm.train(training)


def _norms(model: nn.Module) -> list[_BatchNorm]:
    return [
        module
        for module in model.modules()
        if isinstance(module, _BatchNorm) and module.track_running_stats
    ]


def rate_labels(goal: str) -> Callable[[Tensor, Tensor], float]:
    """Return what rates logits against targets, bool, [N, C] both, by a goal; higher is better.

    goal: as a run of several labels a picture has it, such as `val_macro_f1` or `val_loss:min`.
    Goals that only a training measures, such as seconds, are rated by mean average precision.
    """
    written, _, direction = goal.partition(":")
    metric = written.removeprefix("val_")
    if metric not in MULTI_LABEL_METRICS:
        metric, direction = "map", ""
    sign = 1.0 if (direction or MULTI_LABEL_METRICS[metric]) == "max" else -1.0

    def rate(logits: Tensor, targets: Tensor) -> float:
        if metric == "loss":
            found = F.binary_cross_entropy_with_logits(logits.double(), targets.double())
            return sign * float(found)
        scores = logits.double().cpu().numpy()
        measured = label_scores(targets.cpu().numpy(), scores, scores >= 0.0)
        return sign * measured[metric] if metric in measured else -math.inf  # no label to rank

    return rate


def greedy_soup(
    members: Sequence["Classifier"],
    score: Callable[["Classifier"], float],
    *,
    mix: Callable[[Sequence["Classifier"]], "Classifier"] = soup_of,
) -> tuple["Classifier", list[int]]:
    """Return the soup of greedy selection, and its members, best first.

    Starting from the best member, each other one in order of its own score is added if the soup's
    score does not fall. score: higher is better. Source: Wortsman et al. 2022, recipe 1.
    """
    own = [score(member) for member in members]
    order = sorted(range(len(members)), key=lambda index: -own[index])
    chosen, soup, best = order[:1], members[order[0]], own[order[0]]
    for index in order[1:]:
        tried = mix([members[i] for i in (*chosen, index)])
        found = score(tried)
        if found >= best:
            chosen, soup, best = [*chosen, index], tried, found
    return soup, chosen
