"""The declaration of `retina`; imports without torch."""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tunewright.config.dialect import NOT_BUILT, SHARED_ALIASES, Dialect
from tunewright.config.schema import RunConfig
from tunewright.errors import UsageError
from tunewright.recipes.recipe import NamedFidelity, Recipe
from tunewright.recipes.retina.config import METRICS, RetinaConfig
from tunewright.recipes.retina.guide_files import write_run_records, write_search_table

HERE = Path(__file__).parent

ALIASES = {
    **SHARED_ALIASES,
    # The guide's flags and keys.
    "warmup": "warmup",
    "warmup_steps": "warmup",
    "temp": "loss.temperature",
    "temperature": "loss.temperature",
    "learnable_temp": "loss.learnable_temp",
    "wd": "optim.weight_decay",
    "lr_scheduler": "schedule.type",
    "optimizer": "optim.type",
    "train_data": "data.dir",
    "train_num_samples": "data.train_rows",
    "vision_model": "model.vision",
    "text_model": "model.text",
    # Flags of the program behind it.
    "max_epochs": "training.epochs",
    "accum_freq": "training.accumulate",
    "resume_visual": "model.vision_weights",
    "clip_weight_path": "model.vision_weights",
    "resume_text": "model.text_weights",
    "bert_weight_path": "model.text_weights",
    "freeze_vision": "model.freeze_vision",
    "freeze_text": "model.freeze_text",
    "context_length": "model.context_length",
    "precision": "training.precision",
    "grad_checkpointing": "model.grad_checkpointing",
    "mask_ratio": "model.mask_ratio",
    "max_grad_norm": "training.clip_norm",
    "beta1": "optim.beta1",
    "beta2": "optim.beta2",
    "eps": "optim.eps",
    "patience": "training.patience",
}

SWITCHES = (
    "learnable_temp", "freeze_vision", "freeze_text", "grad_checkpointing",
    "skip_scheduler", "gather_with_grad", "use_augment",
)  # fmt: skip

VALUE_ALIASES = {"training.precision": {"amp": "bf16"}, "goal": {"val_acc": "val_accuracy"}}


def _save_frequency(value: str) -> list[str]:
    if not value.isdecimal() or int(value) < 1:
        raise UsageError(f"--save-frequency {value}", expected="epochs, from 1 on")
    return ["training.keep_last=all"]  # of every epoch, so also of every second or fifth


def _switch(*overrides: str) -> Callable[[str], Sequence[str]]:
    """Return what stands for a flag without a value; it may be `false`."""
    return lambda value: overrides if value.lower() in ("true", "yes", "on") else ()


EXPANSIONS = {
    "save_frequency": _save_frequency,
    "save_epoch_frequency": _save_frequency,
    "skip_scheduler": _switch("schedule=constant", "warmup=0"),
    "use_augment": _switch("augmentation=eyes"),
    "gather_with_grad": _switch(),  # always so: a step has the gradient of all its negatives
}


def _facts(config: RunConfig) -> Mapping[str, float]:
    from tunewright.recipes.retina.data.datasets import facts  # NumPy; `show` needs none of it

    assert isinstance(config, RetinaConfig)
    return facts(config.data)


def _fingerprints(config: RunConfig) -> Mapping[str, str]:
    from tunewright.recipes.retina.data.datasets import fingerprints

    assert isinstance(config, RetinaConfig)
    return fingerprints(config.data)


def _check(config: RunConfig) -> list[str]:
    from tunewright.recipes.retina.checks import check

    assert isinstance(config, RetinaConfig)
    return check(config)


FEWEST_STEPS = 50
"""Optimiser steps below which a training checks the pipeline and ranks nothing."""
FULL_EPOCHS = 10


def _full_steps(config: RetinaConfig) -> int:
    """Return the steps of the full run, whose last batch of an epoch may be a smaller one."""
    everyone = config.data.model_copy(update={"train_rows": None})
    rows = int(_facts(config.model_copy(update={"data": everyone}))["rows"])
    return math.ceil(rows / config.training.batch_size) * FULL_EPOCHS


def _check_quick(config: RetinaConfig) -> list[str]:
    rows = int(_facts(config)["rows"])
    steps = rows // min(rows, config.training.batch_size) * config.training.epochs
    if steps >= FEWEST_STEPS:
        return []
    return [
        f"fidelity {config.fidelity}: {steps:,} optimiser steps check that everything runs, and "
        f"rank nothing ({FEWEST_STEPS} or more do); scores of trials differ by chance"
    ]


FIDELITIES = {
    # The guide's TEST_MODE: a stratified sample, two epochs, and no training of the winner.
    "quick": NamedFidelity(
        {
            "data.train_rows": 100,
            "data.valid_rows": 50,
            "training.epochs": 2,
            "study.final": False,
        },
        fractions={"warmup": _full_steps},
        check=_check_quick,
    ),
    # Its FULL_MODE: all patients, ten epochs, early stopping.
    "full": NamedFidelity(
        {
            "data.train_rows": None,
            "data.valid_rows": None,
            "training.epochs": FULL_EPOCHS,
            "training.patience": 3,
        }
    ),
}

RECIPE = Recipe(
    name="retina",
    config=RetinaConfig,
    conf=HERE / "conf",
    space=HERE / "space.yaml",
    grid_space=HERE / "grid.yaml",
    fidelities=FIDELITIES,
    metrics=METRICS,
    setup="tunewright.recipes.retina.setup:make_setup",
    data_facts=_facts,
    check_data=_check,
    search_files=write_search_table,
    run_files=write_run_records,
    fingerprints=_fingerprints,
    capabilities={
        "evaluate": "tunewright.recipes.retina.evaluation.evaluate:evaluate",
        "evaluate_on": "tunewright.recipes.retina.evaluation.other_data:evaluate_on",
    },
    dialect=Dialect(
        aliases=ALIASES,
        value_aliases=VALUE_ALIASES,
        options={"logs": "runs-dir"},
        switches=SWITCHES,
        expansions=EXPANSIONS,
        not_built=NOT_BUILT["retina"],
    ),
)
