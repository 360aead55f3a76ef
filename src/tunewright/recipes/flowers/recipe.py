"""The declaration of `flowers`; imports without torch."""

from pathlib import Path

from tunewright.classification import data_checks
from tunewright.classification.losses.config import METRICS, MULTI_LABEL_METRICS
from tunewright.config.dialect import SHARED_ALIASES, Dialect
from tunewright.recipes.flowers.config import FlowersConfig
from tunewright.recipes.recipe import Recipe

HERE = Path(__file__).parent

ALIASES = {
    **SHARED_ALIASES,
    # Hydra groups and keys of the guide.
    "dataset.batch_size": "training.batch_size",
    "dataset.val_split": "data.val_split",
    "dataset.image_size": "data.image_size",
    "dataset.input_size": "data.image_size",
    "dataset.num_workers": "data.workers",
    "dataset.data_dir": "data.dir",
    "dataset.root": "data.dir",
    "dataset.seed": "data.split_seed",
    "model.drop_rate": "model.dropout",
    "training.batch_size": "training.batch_size",
    "training.learning_rate": "optim.lr",
    "training.weight_decay": "optim.weight_decay",
    "training.warmup_epochs": "schedule.warmup_epochs",
    "training.gradient_clip": "training.clip_norm",
    "training.accumulation_steps": "training.accumulate",
    "training.early_stopping_patience": "training.patience",
    "training.drop_path_rate": "model.drop_path_rate",
    "training.loss_function": "loss.type",
    "training.focal_alpha": "loss.alpha",
    "training.focal_gamma": "loss.gamma",
    "training.label_smoothing": "loss.label_smoothing",
    "training.use_amp": "training.precision",
    "training.mixup_alpha": "mixing.mixup_alpha",
    "training.cutmix_alpha": "mixing.cutmix_alpha",
    "training.mixup_prob": "mixing.mix_prob",
    "training.seed": "seed",
    # The same without their section, as in a search space or a flag.
    "val_split": "data.val_split",
    "skip_bad": "data.skip_bad",
    "image_size": "data.image_size",
    "input_size": "data.image_size",
    "use_amp": "training.precision",
    "loss_function": "loss.type",
    "focal_alpha": "loss.alpha",
    "focal_gamma": "loss.gamma",
    "label_smoothing": "loss.label_smoothing",
    "drop_path_rate": "model.drop_path_rate",
}

VALUE_ALIASES = {
    "loss.type": {"ce": "cross_entropy", "lsce": "cross_entropy"},
    "training.precision": {"true": "auto", "false": "fp32"},
    "goal": {"val_acc": "val_accuracy"},
    "model": {"swin_transformer": "swin_v2_base"},  # which the guide means by it
}


RECIPE = Recipe(
    name="flowers",
    config=FlowersConfig,
    conf=HERE / "conf",
    groups=(data_checks.GROUPS,),
    space=HERE / "space.yaml",
    switched_spaces={"data.multi_label": HERE / "space_multi_label.yaml"},
    metrics=METRICS | MULTI_LABEL_METRICS,
    setup="tunewright.classification.setup:make_setup",
    data_facts=data_checks.facts,
    check_data=data_checks.check,
    fingerprints=data_checks.fingerprints,
    capabilities={
        "evaluate": "tunewright.recipes.flowers.setup:evaluate",
        "evaluate_on": "tunewright.recipes.flowers.setup:evaluate_on",
        "classifier": "tunewright.recipes.flowers.setup:open_classifier",
        "pictures": "tunewright.classification.data_checks:open_sets",
    },
    dialect=Dialect(
        aliases=ALIASES,
        value_aliases=VALUE_ALIASES,
        group_aliases={"dataset": "data"},
        options={"output_dir": "runs-dir"},
    ),
)
