"""Findings on how a study was set up: warm-up, batch size, the split it is tuned on."""

import re
import shlex
from collections.abc import Mapping
from statistics import median
from typing import Any

import numpy as np

from tunewright.analysis.findings.changes import continue_study, new_study, setting
from tunewright.analysis.findings.evidence import Evidence
from tunewright.analysis.findings.finding import Finding
from tunewright.analysis.findings.significance import (
    p_text,
)
from tunewright.analysis.findings.wording import figure, join_words, percent, trials
from tunewright.spaces.domain import is_number

LEVEL = 0.03
"""Of the test whether the best rate depends on the batch size, which assumes a parabola."""
SECTIONS = ("", "schedule", "scheduler", "lr_scheduler", "optim", "optimizer", "training")
"""Sections with the schedule of the learning rate."""


def find_long_warmup(found: Evidence) -> list[Finding]:
    """Return whether the warm-up of the learning rate takes more than half of the training."""
    shares = []
    for trial in found.record.trials:
        share = _warmup_share({**found.context.configuration, **trial.parameters})
        if share is not None:
            shares.append((share, trial.number))
    long = [(share, number) for share, number in shares if share > 0.5]
    if not long or len(long) < 0.25 * len(shares):
        return []
    share, whole = max(long)[0], [s for s, _ in long if s >= 1.0]
    change = "schedule.warmup_fraction=0.1"
    if not found.context.needs_python:
        change = new_study(found.context, found.record.name, "warm", change)
    else:
        change = "warmup_epochs = epochs // 10"
    return [
        Finding(
            "warmup",
            "the warm-up is longer than the training"
            if whole
            else f"the warm-up takes {percent(share)} of the training",
            f"in {len(long)} of {trials(len(shares))} the learning rate climbs for more than half "
            "of the epochs, so that the searched rate is hardly ever in effect and the scores say "
            "little about it.",
            f"{percent(share)} of the epochs",
            "counted",
            change,
            0.92,
            trials=tuple(number for _, number in long[:50]),
        )
    ]


def _warmup_share(values: Mapping[str, Any]) -> float | None:
    """Return the share of the epochs that are warm-up; None where it is not known."""
    by_name = {
        path.rpartition(".")[2]: value
        for path, value in values.items()
        if path.rpartition(".")[0] in SECTIONS  # other schedules have a warm-up of their own
    }
    epochs = values.get("training.epochs")
    for name in ("epochs", "num_epochs", "n_epochs", "max_epochs"):
        epochs = by_name.get(name) if epochs is None else epochs
    warmup = by_name.get("warmup_epochs", by_name.get("num_warmup_epochs"))
    if is_number(warmup) and is_number(epochs) and epochs > 0:
        return float(warmup) / float(epochs)
    fraction = by_name.get("warmup_fraction", by_name.get("warmup_ratio", by_name.get("warmup")))
    if is_number(fraction) and 0 <= fraction < 1 and by_name.get("warmup_steps") is None:
        return float(fraction)
    return None


def find_test_split(found: Evidence) -> list[Finding]:
    """Return whether the goal was measured on the test split."""
    goal, given = found.record.goal, found.context.configuration
    words = re.split(r"[^a-z0-9]+", goal.lower())
    valid, test = given.get("data.valid"), given.get("data.test")
    sets = found.context.fingerprints
    if "test" in words:
        why, word = f"the goal is called {goal}", f"goal={goal.replace('test', 'val')}"
    elif isinstance(valid, str) and (valid == test or "test" in re.split(r"[^a-z0-9]+", valid)):
        why, word = f"the validation set is {valid}", "data.valid=val"
    elif sets.get("test") is not None and sets["test"] in (sets.get("valid"), sets.get("val")):
        why, word = "the validation set and the test set are the same", "data.valid=val"
    else:
        return []
    change = "return valid_score  # and measure the test split once, for the winner"
    if not found.context.needs_python:
        change = new_study(found.context, found.record.name, "valid", shlex.quote(word))
    return [
        Finding(
            "test_split",
            "the search is tuned on the test split",
            f"{why}: the best of {trials(len(found.done))} is chosen by the rows that were to "
            "judge it, so that its score is too good and nothing is left to find out by how much.",
            "the best of 100 equal trials looks about 2.5 standard errors too good",
            "equal fingerprints" if "same" in why else "by name",
            change,
            1.0,
        )
    ]


def find_batch_size(found: Evidence) -> list[Finding]:
    """Return whether the batch size changes and the learning rate is not tuned with it."""
    columns = found.table.ended_columns
    batch = next((p for p in columns if _last(p) in ("batch_size", "batch", "bs")), None)
    rate = next((p for p in columns if _last(p) in ("lr", "learning_rate")), None)
    context = found.context
    final = context.final.get("training.batch_size")
    searched = context.configuration.get("training.batch_size")
    if batch is None and is_number(final) and is_number(searched) and final != searched:
        why = f"the search trains with {searched} rows a batch and the final training with {final}"
        return [_retune(found, why, "counted", "training.batch_size", searched)]
    if batch is None or sum(found.table.done) < 10:
        return []
    if rate is None:
        values = [trial.parameters.get(batch) for trial in found.done]
        shown = join_words(sorted({figure(v) for v in values if v is not None}, key=_number))
        why = f"batch sizes {shown} were compared with one learning rate, which suits one of them"
        return [_retune(found, why, "counted", batch, _best_value(found, batch))]
    chance = _interaction(found, batch, rate)
    if chance > LEVEL:
        return []
    why = f"which {rate} is best depends on {batch}: {_rates_by_batch(found, batch, rate)}"
    certainty = f"{p_text(chance)}, F test of the product"
    return [_retune(found, why, certainty, batch, _best_value(found, batch))]


def _last(path: str) -> str:
    return path.rpartition(".")[2].lower()


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


def _best_value(found: Evidence, path: str) -> Any:
    best = found.table.best()
    return None if best is None else best.parameters.get(path)


def _retune(found: Evidence, why: str, certainty: str, batch: str, value: Any) -> Finding:
    change = "suggest the learning rate within each batch size"
    if not found.context.needs_python:
        word = setting(found.context, batch, value)
        change = (
            continue_study(found.context, f"stages.final.{word}")
            if batch not in found.table.columns
            else new_study(found.context, found.record.name, "lr", word)
        )
    return Finding(
        "batch_size",
        "the learning rate has to be tuned again for each batch size",
        f"{why}. Compare batch sizes only at the best rate of each.",
        "the best rate differs" if "depends" in why else "one rate for all",
        certainty,
        change,
        0.5,
        (batch,),
    )


def _interaction(found: Evidence, batch: str, rate: str) -> float:
    """Return the chance that the best rate is the same for all batch sizes."""
    from scipy.special import fdtrc

    effects = found.effects
    if batch not in effects.columns or rate not in effects.columns:
        return 1.0
    column = effects.columns[batch]
    size = column.units if column.is_ordered else column.codes.astype(np.float64)
    lr = effects.columns[rate].units
    keep = np.isfinite(size) & np.isfinite(lr)
    if int(keep.sum()) < 20:
        return 1.0
    size, lr = size[keep] - size[keep].mean(), lr[keep] - lr[keep].mean()
    response = effects.residuals(rate)[keep]
    main = np.stack([np.ones(len(lr)), lr, lr**2, size, size**2], axis=1)
    whole = np.concatenate([main, (lr * size)[:, None]], axis=1)
    rests = [
        float(((response - x @ np.linalg.lstsq(x, response, rcond=None)[0]) ** 2).sum())
        for x in (main, whole)
    ]
    second = len(lr) - whole.shape[1]
    if rests[1] <= 0 or second < 8:
        return 1.0
    return float(fdtrc(1, second, (rests[0] - rests[1]) / (rests[1] / second)))


def _rates_by_batch(found: Evidence, batch: str, rate: str) -> str:
    """Return the best learning rates with small and with large batches."""
    rows = found.record.rank_trials()
    sizes = sorted({size for t in rows if is_number(size := t.parameters.get(batch))})
    parts = []
    for size in dict.fromkeys((sizes[0], sizes[-1]) if sizes else ()):
        rates = [t.parameters[rate] for t in rows if t.parameters.get(batch) == size]
        best = [r for r in rates if is_number(r)][:3]
        if best:
            parts.append(f"{figure(float(median(best)))} with {size}")
    return " and ".join(parts)
