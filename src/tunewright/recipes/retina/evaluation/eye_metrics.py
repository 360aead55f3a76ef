"""The metrics of one pass over patients: retrieval in a fixed gallery, classification, AUROC."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tunewright.analysis.score_intervals import (
    RESAMPLES,
    has_no_width,
    percentiles,
    wilson_without_spread,
)
from tunewright.classification.metrics.confusion_scores import ConfusionCounts, confusion_matrix
from tunewright.contrastive.retrieval import RetrievalRanks, retrieval_ranks, scores_of_ranks
from tunewright.errors import DataError, Diverged
from tunewright.recipes.retina.config import RETRIEVAL_METRICS
from tunewright.recipes.retina.evaluation.ranking_scores import auroc, average_precision
from tunewright.training.precision import at_least_float32
from tunewright.training.task import Arrays, Metrics

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
KS = (1, 5, 10)


@dataclass(frozen=True, eq=False)
class ScoredPatients:
    """The patients of a pass that have a label and a picture, in the order of the table.

    labels: int64 [N, C], 0 or 1. scores: float64 [N, C], cosines. patients: int64 [N], equal for
    visits of one patient. single: each has one label. graded: the classes are grades in order.
    """

    labels: Ints
    scores: Floats
    patients: Ints
    single: bool
    graded: bool = False

    @property
    def truth(self) -> Ints:
        """The class of each patient, where each has one: [N]."""
        truth: Ints = self.labels.argmax(axis=1)
        return truth

    @property
    def predictions(self) -> Ints:
        """The class with the highest score: [N]."""
        predictions: Ints = self.scores.argmax(axis=1)
        return predictions

    def take(self, rows: Ints) -> "ScoredPatients":
        """Return some of the patients, in that order; a row may come twice."""
        return replace(
            self,
            labels=self.labels[rows],
            scores=self.scores[rows],
            patients=self.patients[rows],
        )


class EyeMetrics(Metrics):
    """Collects what `TripartiteTask.predict` returns; figures do not depend on batches or order.

    Rows are put into the order of the table first: shuffled rows, another batch size or other
    workers change nothing.
    """

    def __init__(self, *, single: bool, graded: bool = False) -> None:
        self.single, self.graded = single, graded
        self._passed: list[Arrays] = []
        self._columns: dict[str, Tensor] = {}
        self._ranks: RetrievalRanks | None = None
        self._intervals: dict[str, tuple[float, float]] | None = None

    def update(self, arrays: Arrays) -> None:
        """Add a batch."""
        self._passed.append({name: value.detach() for name, value in arrays.items()})

    def compute(self) -> dict[str, float]:
        """Return retrieval scores and, with classes, classification scores.

        Left out is what cannot be measured: retrieval without texts, AUROC of classes that are
        absent or the only ones. Raises Diverged for vectors that are not finite.
        """
        found: dict[str, float] = {}
        ranks = self.ranks()
        if ranks is not None:
            scores = scores_of_ranks(ranks, ks=KS)
            found |= {name: scores[name] for name in RETRIEVAL_METRICS}
            found |= {name: scores[name] for name in ("i2t_gallery", "t2i_gallery")}
        patients = self.scored()
        if patients is not None:
            found |= classification_scores(patients)
        return found

    def interval(self, metric: str) -> tuple[float, float] | None:
        """Return the 95 % bootstrap interval by patient, None for what has none."""
        if metric in ("recall_1", "mean_recall"):
            ranks = self.ranks()
            ks = (1,) if metric == "recall_1" else KS
            return None if ranks is None else recall_interval(ranks, ks)
        return self.intervals().get(metric)

    def intervals(self) -> dict[str, tuple[float, float]]:
        """Return the intervals of all classification scores, from the same draws."""
        if self._intervals is None:
            patients = self.scored()
            self._intervals = {} if patients is None else bootstrap_by_patient(patients)
        return dict(self._intervals)

    def ranks(self) -> RetrievalRanks | None:
        """Return the ranks among all patients of the pass that have a report and a picture."""
        if self._ranks is None:
            columns = self._finish()
            kept = (columns["groups"] >= 0) & columns["seen"]
            if not bool(kept.any()):
                return None
            images, texts, groups, rows = (
                columns[name][kept] for name in ("images", "texts", "groups", "rows")
            )
            self._ranks = retrieval_ranks(images, texts, rows, text_ids=groups)
        return self._ranks

    def scored(self) -> ScoredPatients | None:
        """Return the labelled patients with their scores; None without classes."""
        columns = self._finish()
        if "scores" not in columns or not columns["labels"].shape[1]:
            return None
        kept = (columns["labels"][:, 0] >= 0) & columns["seen"]
        if not bool(kept.any()):
            return None
        return ScoredPatients(
            columns["labels"][kept].cpu().numpy(),
            columns["scores"][kept].double().cpu().numpy(),
            columns["patients"][kept].cpu().numpy(),
            self.single,
            self.graded,
        )

    def column(self, name: str) -> Tensor:
        """Return a column of the pass in the order of the table."""
        return self._finish()[name]

    def _finish(self) -> dict[str, Tensor]:
        if self._columns:
            return self._columns
        if not self._passed:
            raise DataError("nothing to measure: no patients", expected="at least one")
        names = self._passed[0].keys()
        columns = {name: torch.cat([a[name] for a in self._passed]) for name in names}
        order = columns["rows"].argsort()
        columns = {name: values[order] for name, values in columns.items()}
        for name in ("images", "texts"):
            columns[name] = at_least_float32(columns[name])
            if not bool(columns[name].isfinite().all()):
                raise Diverged(
                    "a vector is not finite",
                    expected="finite vectors",
                    remedy="Lower the learning rate, or train in another precision.",
                )
        self._columns = columns
        self._passed.clear()
        return columns


def classification_scores(patients: ScoredPatients) -> dict[str, float]:
    """Return the scores of zero-shot classification.

    With one label a patient: accuracy, balanced accuracy (mean recall of the classes that occur)
    and macro-F1, and where classes are grades quadratic kappa; else per label only.
    `mean_auroc` and `mean_aupr` are means over the classes that have both positives and negatives.
    """
    found = _ranking_means(patients.labels, patients.scores)
    if patients.single:
        found |= _decision_scores(patients)
    return found


def _ranking_means(labels: Ints, scores: Floats) -> dict[str, float]:
    each = [(auroc(labels[:, c], scores[:, c]), c) for c in range(labels.shape[1])]
    measured = [(value, c) for value, c in each if value is not None]
    if not measured:
        return {}
    precision = [average_precision(labels[:, c], scores[:, c]) or 0.0 for _, c in measured]
    return {
        "mean_auroc": float(np.mean([value for value, _ in measured])),
        "mean_aupr": float(np.mean(precision)),
    }


def _decision_scores(patients: ScoredPatients) -> dict[str, float]:
    classes = patients.labels.shape[1]
    confusion = confusion_matrix(patients.truth, patients.predictions, classes)
    scores = ConfusionCounts.of(confusion).scores({})
    found = {name: float(scores[name]) for name in ("accuracy", "balanced_accuracy", "macro_f1")}
    return {**found, "kappa": quadratic_kappa(confusion)} if patients.graded else found


def quadratic_kappa(confusion: Ints) -> float:
    """Return Cohen's kappa with quadratic weights, for classes that are grades in order.

    confusion: [C, C], truth by prediction. 0 where chance alone explains everything. Source:
    Cohen 1968.
    """
    grades = np.arange(len(confusion))
    weights = (grades[:, None] - grades[None, :]) ** 2
    expected = np.outer(confusion.sum(1), confusion.sum(0)) / confusion.sum()
    disagreement = float((weights * expected).sum())
    return 1.0 - float((weights * confusion).sum()) / disagreement if disagreement else 0.0


def bootstrap_by_patient(
    patients: ScoredPatients, *, resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, tuple[float, float]]:
    """Return percentile intervals of all classification scores, patients drawn with replacement.

    All visits of a patient are drawn together. Draws that lack what a score needs are left out of
    its interval; where all are alike it is Wilson's, over patients. Source: Efron and Tibshirani
    1993, section 13.3.
    """
    measured = classification_scores(patients)
    draws: dict[str, list[float]] = {name: [] for name in measured}
    units = len(np.unique(patients.patients))
    for rows in patient_draws(patients.patients, resamples, seed):
        for name, value in classification_scores(patients.take(rows)).items():
            draws[name].append(value)
    found = {name: percentiles(np.array(values)) for name, values in draws.items() if values}
    return {
        name: wilson_without_spread(measured[name], [units]) if has_no_width(ends) else ends
        for name, ends in found.items()
    }


def paired_differences(
    patients: ScoredPatients, other: ScoredPatients, *, resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, dict[str, float]]:
    """Return how much higher each score is than another's on the same patients, with intervals.

    Both are resampled together: patients hard for one are mostly hard for the other. Keys of each
    score: value, low, high.
    """
    ours, theirs = classification_scores(patients), classification_scores(other)
    draws: dict[str, list[float]] = {name: [] for name in ours if name in theirs}
    for rows in patient_draws(patients.patients, resamples, seed):
        one, two = (classification_scores(of.take(rows)) for of in (patients, other))
        for name in draws:
            if name in one and name in two:
                draws[name].append(one[name] - two[name])
    found = {}
    for name, values in draws.items():
        low, high = percentiles(np.array(values))
        found[name] = {"value": ours[name] - theirs[name], "low": low, "high": high}
    return found


def patient_draws(patients: Ints, resamples: int, seed: int = 0) -> Iterator[Ints]:
    """Yield the rows of samples of patients with replacement.

    patients: int64 [N], equal for rows of one patient. Patients a, b, b drawn as b, b give the rows
    1, 2, 1, 2.
    """
    _, numbers, sizes = np.unique(patients, return_inverse=True, return_counts=True)
    order = np.argsort(numbers, kind="stable")
    starts = np.cumsum(sizes) - sizes
    rng = np.random.default_rng(seed)
    for _ in range(resamples):
        drawn = rng.integers(0, len(sizes), len(sizes))
        rows = np.repeat(starts[drawn], sizes[drawn])
        begins = np.cumsum(sizes[drawn]) - sizes[drawn]
        yield order[rows + np.arange(len(rows)) - np.repeat(begins, sizes[drawn])]


def recall_interval(
    ranks: RetrievalRanks, ks: tuple[int, ...] = (1,), *, resamples: int = RESAMPLES, seed: int = 0
) -> tuple[float, float]:
    """Return the percentile interval of the mean of both directions' recalls, by patient.

    ks: the recalls that are averaged. The gallery stays fixed; queries are drawn.
    """
    found = np.zeros((2, len(ranks.i2t)))
    for at, ranked in enumerate((ranks.i2t, ranks.t2i)):
        found[at] = np.mean([(ranked <= k).cpu().numpy() for k in ks], axis=0)
    by_patient = found.mean(axis=0)
    rng = np.random.default_rng(seed)
    rows = rng.integers(0, len(by_patient), (resamples, len(by_patient)))
    interval = percentiles(by_patient[rows].mean(axis=1))
    if has_no_width(interval):
        return wilson_without_spread(float(by_patient.mean()), [len(by_patient)])
    return interval
