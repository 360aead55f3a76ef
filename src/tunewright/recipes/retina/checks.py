"""What can be known of a configuration before its training. Imports without torch."""

import math
from pathlib import Path

from tunewright.errors import ConfigError, DataError
from tunewright.images.loading.store import build_store
from tunewright.images.progress import ShowProgress
from tunewright.recipes.retina.config import RetinaConfig
from tunewright.recipes.retina.data.datasets import EyeSets, open_eye_sets
from tunewright.recipes.retina.models.encoder_names import check_text_name, vision_shape
from tunewright.training.schedule import warmup_steps
from tunewright.training.weights.weights_file import (
    EXPECTED,
    SAVE_AGAIN,
    weights_fault,
    weights_of,
)

LONG_WARMUP = 0.2
"""Share of a run above which its warm-up is worth a notice."""
CLASS_METRICS = ("accuracy", "balanced_accuracy", "macro_f1", "kappa", "mean_auroc", "mean_aupr")
OF_SINGLE = CLASS_METRICS[:4]
"""Metrics that need one label a patient."""


def check(config: RetinaConfig) -> list[str]:
    """Check data, goal, model names and warm-up before training, and return notices.

    Pictures are decoded here, with progress. Raises DataError for data that cannot be used,
    ConfigError for what the configuration cannot have: a goal that the data do not measure, an
    unknown encoder, a batch of one patient, a warm-up that is not shorter than the run.
    """
    shape = vision_shape(config.model.vision)
    check_text_name(config.model)
    _check_weights(config)
    with ShowProgress("reading patients") as progress:
        sets = open_eye_sets(config.data, progress)
    _check_goals(config, sets)
    if config.training.batch_size == 1:
        raise ConfigError(
            "training.batch_size = 1: a patient alone has no negatives to be told from",
            expected="batches of two patients or more",
        )
    notices = [
        *sets.notices,
        *_warmup_notices(config, len(sets.train)),
        *_batch_notices(config, sets),
    ]
    with ShowProgress("decoding pictures") as progress:
        store = build_store(
            sets.train.pictures,
            config.data.image_size or shape.side,
            on_progress=progress,
            skip_bad=config.data.skip_bad,
        )
    return [*notices, *store.notices, *_text_notices(config, sets)]


def _check_weights(config: RetinaConfig) -> None:
    """Raise DataError for a file of weights that cannot be used, before any worker starts."""
    for name in ("weights", "vision_weights", "text_weights"):
        given = getattr(config.model, name)
        if given is None:
            continue
        file = weights_of(Path(given))
        if fault := weights_fault(file):
            raise DataError(
                f"model.{name} = {file} ({fault})", expected=EXPECTED, remedy=SAVE_AGAIN
            )


def _check_goals(config: RetinaConfig, sets: EyeSets) -> None:
    for goal in config.goals:
        metric = goal.partition(":")[0].removeprefix("val_")
        if metric not in CLASS_METRICS:
            continue
        if not len(sets.valid.labelled):
            raise ConfigError(
                f"goal = {goal}: the validation set has no classes",
                expected="a metric of retrieval",
                remedy="Set goal=val_recall_1, or add a column label.",
            )
        if metric in OF_SINGLE and not sets.train.single:
            raise ConfigError(
                f"goal = {goal}: patients may have several labels, so there is no one prediction",
                expected="a metric of each label, or of retrieval",
                remedy="Set goal=val_mean_auroc, or goal=val_recall_1.",
            )


def _warmup_notices(config: RetinaConfig, rows: int) -> list[str]:
    """Return a notice on a long warm-up; raise ConfigError for one as long as the run."""
    training = config.training
    batch = min(training.batch_size, rows)
    per_epoch = rows // batch
    steps = per_epoch * training.epochs
    warmup = warmup_steps(config.schedule, training.epochs, per_epoch)
    sum_of_steps = (
        f"{rows:,} patients in batches of {batch:,} are {per_epoch:,} steps an epoch, {steps:,} in "
        f"{training.epochs} epochs"
    )
    if warmup >= steps:
        raise ConfigError(
            f"a warm-up of {warmup:,} steps, and {sum_of_steps}: the learning rate would reach no "
            f"more than {100 * steps / max(warmup, 1):.3g} % of optim.lr = {config.optim.lr:g}",
            expected="a warm-up shorter than the run",
            remedy=f"Set warmup=0.1, a tenth of the run ({math.ceil(steps / 10):,} steps).",
        )
    if warmup > LONG_WARMUP * steps:
        return [f"the warm-up takes {warmup:,} of {steps:,} steps ({warmup / steps:.0%}); 5-10 % "
                "is usual: warmup=0.1"]  # fmt: skip
    return []


def _batch_notices(config: RetinaConfig, sets: EyeSets) -> list[str]:
    rows, batch = len(sets.train), config.training.batch_size
    notices = []
    if rows < batch:
        notices.append(
            f"{rows:,} patients are fewer than training.batch_size = {batch:,}: each step takes "
            f"all {rows:,} of them"
        )
    used = min(rows, batch)
    branches = 3 if config.loss.branches == "all" else 1
    notices.append(
        f"chance: a model that cannot tell the {used:,} patients of a batch apart has a loss of "
        f"{branches * math.log(used):.2f}"
    )
    tau = config.loss.initial_temperature
    how = "learnt" if config.loss.learns_temperature else "fixed"
    notices.append(f"temperature of all branches: {tau:.4g} (scale {1 / tau:.4g}), {how}")
    return notices


def _text_notices(config: RetinaConfig, sets: EyeSets) -> list[str]:
    """Return notices on texts longer than the context, and on prompts of unknown words."""
    if config.model.text != "small":
        return []
    from tunewright.recipes.retina.evaluation.zero_shot_prompts import class_sentences
    from tunewright.recipes.retina.models.word_tokenizer import WordTokenizer

    table = sets.train
    used = sorted({row for rows in table.text_of.tolist() for row in rows if row >= 0})
    texts = [table.texts[row] for row in used]
    words = WordTokenizer.fit(texts, config.model.context_length)
    notices = []
    if cut := words.truncated(texts):
        notices.append(
            f"{cut:,} of {len(texts):,} texts ({cut / len(texts):.0%}) are longer than "
            f"model.context_length = {config.model.context_length} and are cut off"
        )
    if table.classes:
        sentences = class_sentences(config.zero_shot, table.classes, table.class_names)
        names = [text for texts in sentences for text in texts]
        if unknown := words.unknown(names):
            notices.append(
                f"{len(unknown):,} words of the class prompts are in no training text "
                f"({', '.join(unknown[:8])}): the small text encoder cannot tell what they mean"
            )
    return notices
