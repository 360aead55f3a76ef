"""The declaration of `retina`; imports without torch."""

from collections.abc import Mapping
from pathlib import Path

from tunewright.config.dialect import NOT_BUILT, SHARED_ALIASES, Dialect
from tunewright.config.schema import RunConfig
from tunewright.recipes.recipe import Recipe
from tunewright.recipes.retina.config import METRICS, RetinaConfig

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

VALUE_ALIASES = {"training.precision": {"amp": "bf16"}, "goal": {"val_acc": "val_accuracy"}}


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


RECIPE = Recipe(
    name="retina",
    config=RetinaConfig,
    conf=HERE / "conf",
    space=HERE / "space.yaml",
    metrics=METRICS,
    setup="tunewright.recipes.retina.setup:make_setup",
    data_facts=_facts,
    check_data=_check,
    fingerprints=_fingerprints,
    capabilities={
        "evaluate": "tunewright.recipes.retina.evaluation.evaluate:evaluate",
        "evaluate_on": "tunewright.recipes.retina.evaluation.other_data:evaluate_on",
    },
    dialect=Dialect(
        aliases=ALIASES,
        value_aliases=VALUE_ALIASES,
        options={"logs": "runs-dir"},
        not_built=NOT_BUILT["retina"],
    ),
)
