"""What an ensemble of a search's trials would gain, from the predictions that they have kept.

Imports torch only when it is called, in a process of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

MOST = 40
"""Trials that are candidates at most, the best ones: greedy selection scores each in each round."""


@dataclass(frozen=True)
class PredictedRun:
    """A trial that kept predictions. seed: of its run, where it has several; empty otherwise."""

    trial: int
    path: Path
    seed: str = ""

    @property
    def name(self) -> str:
        """The trial, and the seed of the run where there are several."""
        return f"trial {self.trial}" + (f", seed {self.seed}" if self.seed else "")


def select_trials(candidates: Sequence[PredictedRun]) -> dict[str, Any]:
    """Select an ensemble greedily, with replacement, and measure what it gains (plain values).

    candidates: best trial first. The gain over the best candidate is measured on rows that chose
    neither it nor the weights, by cross-fitting; its interval is paired. `score` is that on the
    rows that chose, and flatters. Files that are damaged, or of other pictures, are named in
    `notes` and left out. Source: Caruana et al. 2004.
    """
    import torch

    from tunewright.classification.inference import ensemble as parts
    from tunewright.classification.inference.ensemble_gain import (
        measure_gain,
        measure_label_gain,
        score_of,
    )

    notes: list[str] = []
    if len(candidates) > MOST:
        notes.append(f"candidates are the best {MOST} of {len(candidates)} with predictions")
    read = _read_all(candidates[:MOST], notes)
    members = [one for one, _, _ in read]
    found: dict[str, Any] = {"candidates": len(read), "members": [], "gain": None, "notes": notes}
    if len(read) < 2:
        notes.append(f"{len(read)} trials have predictions that can be read; an ensemble needs two")
        return found
    logits, labels = torch.stack([one for _, one, _ in read]), read[0][2]
    weigh = parts.METHODS["greedy"]
    if labels.dim() == 2:
        weights = parts.weigh_labels(logits, labels, weigh, "probabilities")
        blended = parts.blend_labels(logits.double(), weights, "probabilities")
        fitted = parts.cross_fit_labels(logits, labels, weigh, "probabilities")
        gain = measure_label_gain(labels, fitted.ensemble, fitted.single)
    else:
        weights = weigh(logits, labels, "probabilities")
        blended = parts.blend(logits.double(), weights, "probabilities")
        fitted = parts.cross_fit(logits, labels, weigh, "probabilities")
        counts = np.bincount(labels.numpy(), minlength=logits.shape[2])
        gain = measure_gain(labels, fitted.ensemble, fitted.single, counts)
    scores = [score_of(one, labels) for one in logits]
    best = max(range(len(scores)), key=lambda index: scores[index])
    found |= {
        "metric": "map" if labels.dim() == 2 else "accuracy",
        "best": {"trial": members[best].trial, "score": scores[best]},
        "members": [
            {"trial": one.trial, "name": one.name, "score": score, "weight": weight}
            for one, score, weight in zip(members, scores, weights.tolist(), strict=True)
            if weight > 0
        ],
        "score": score_of(blended, labels),
        "gain": gain,
    }
    return found


def _read_all(
    candidates: Sequence[PredictedRun], notes: list[str]
) -> "list[tuple[PredictedRun, Tensor, Tensor]]":
    """Return the candidates whose file can be read, with logits [N, C] and labels."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    found: list[tuple[PredictedRun, Any, Any]] = []
    for one in candidates:
        try:
            stored = load_file(one.path)
            logits, labels = stored["logits"].float(), stored["labels"]
            if logits.dim() != 2 or len(logits) != len(labels) or not logits.isfinite().all():
                raise ValueError("its predictions are not a table of numbers")
        except (OSError, SafetensorError, KeyError, ValueError) as error:
            why = getattr(error, "strerror", None) or str(error) or type(error).__name__
            notes.append(f"{one.name} is left out: {one.path} cannot be read ({why})")
            continue
        if found and (logits.shape != found[0][1].shape or not labels.equal(found[0][2])):
            notes.append(
                f"{one.name} is left out: its validation set is not that of {found[0][0].name}"
            )
            continue
        found.append((one, logits, labels))
    return found
