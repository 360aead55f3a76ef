"""The declaration of `longtail`; imports without torch."""

from pathlib import Path

from tunewright.classification import data_checks
from tunewright.classification.losses.config import METRICS, MULTI_LABEL_METRICS
from tunewright.config.dialect import SHARED_ALIASES, Dialect
from tunewright.recipes.longtail.config import LongtailConfig
from tunewright.recipes.recipe import Recipe

HERE = Path(__file__).parent

ALIASES = {
    **SHARED_ALIASES,
    # Flat names of the guide's search space.
    "backbone": "model.name",
    "fusion": "model.fusion",
    "dropout": "model.dropout",
    "loss_fn": "loss.type",
    "tau": "loss.tau",
    "modulation_type": "loss.modulation_type",
    "focal_gamma": "loss.gamma",
    "focal_alpha": "loss.alpha",
    "label_smoothing": "loss.label_smoothing",
    "image_size": "data.image_size",
    "input_size": "data.image_size",
    # Its fixed settings and flags.
    "patience": "training.patience",
    "use_weighted_sampler": "data.weighted_sampler",
    "objective": "goal",
    "experiment": "study.name",
    "experiment_name": "study.name",
    "manifest": "data.dir",
    "skip_bad": "data.skip_bad",
}

VALUE_ALIASES = {
    "loss.type": {"ce": "cross_entropy", "cb": "class_balanced"},
    "goal": {
        "val_acc": "val_accuracy",
        "macro_f1": "val_macro_f1",
        "balanced_acc": "val_balanced_accuracy",
        "balanced_accuracy": "val_balanced_accuracy",
        "tail_f1": "val_tail_f1",
    },
}

GUIDE_FILE_NAMES = {
    "experiments.db": "study.db",
    "best_configs/colornet_v1_best.yaml": "../best_config.yaml",
}


RECIPE = Recipe(
    name="longtail",
    config=LongtailConfig,
    conf=HERE / "conf",
    groups=(data_checks.GROUPS,),
    space=HERE / "space.yaml",
    space_alone=HERE / "space_alone.yaml",
    switched_spaces={"data.multi_label": HERE / "space_multi_label.yaml"},
    metrics=METRICS | MULTI_LABEL_METRICS,
    setup="tunewright.classification.setup:make_setup",
    data_facts=data_checks.facts,
    check_data=data_checks.check,
    fingerprints=data_checks.fingerprints,
    capabilities={
        "evaluate": "tunewright.recipes.longtail.setup:evaluate",
        "evaluate_on": "tunewright.recipes.longtail.setup:evaluate_on",
        "classifier": "tunewright.recipes.longtail.setup:open_classifier",
        "pictures": "tunewright.classification.data_checks:open_sets",
    },
    dialect=Dialect(
        aliases=ALIASES,
        value_aliases=VALUE_ALIASES,
        options={"hp_config": "space", "output_dir": "runs-dir"},
        guide_file_names=GUIDE_FILE_NAMES,
    ),
)
