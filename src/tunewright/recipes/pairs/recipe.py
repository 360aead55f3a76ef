"""The declaration of `pairs`; imports without torch."""

from collections.abc import Mapping
from pathlib import Path

from tunewright.config.dialect import SHARED_ALIASES, Dialect
from tunewright.config.schema import RunConfig
from tunewright.config.tree import Tree, set_leaf
from tunewright.errors import ConfigError
from tunewright.recipes.pairs.config import METRICS, PairsConfig
from tunewright.recipes.recipe import Recipe

HERE = Path(__file__).parent

ALIASES = {
    **SHARED_ALIASES,
    # Flat names of the guide's search space.
    "head_type": "model.type",
    "output_dim": "model.output_dim",
    "hidden_dim": "model.hidden_dim",
    "dropout": "model.dropout",
    "num_heads": "model.num_heads",
    "num_layers": "model.num_layers",
    "tokens": "model.tokens",
    "loss_type": "loss.type",
    "temperature": "loss.temperature",
    "learnable_temp": "loss.learnable_temp",
    "learnable_scale": "loss.learnable_temp",
    "queue_size": "loss.queue_size",
    # Keys of the guide's nested training file.
    "model.learnable_temp": "loss.learnable_temp",
    "model.learnable_scale": "loss.learnable_temp",
    "training.learning_rate": "optim.lr",
    "training.weight_decay": "optim.weight_decay",
    "training.num_epochs": "training.epochs",
    "training.max_patience": "training.patience",
    "training.gradient_clip": "training.clip_norm",
    "training.seed": "seed",
    # Keys of the guide's study file.
    "base_data_dir": "data.dir",
    "data.base_data_dir": "data.dir",
    "data.val_metadata": "data.valid_metadata",
}

VALUE_ALIASES = {
    "loss.type": {
        "sigmoid_infonce": "sigmoid",
        "softmax_infonce": "softmax",
        "queue_infonce": "queue",
    },
}


GUIDE_FILE_NAMES = {
    "best_hyperparams_config.yaml": "best_config.yaml",
    "optuna_results/best_config.yaml": "../best_config.yaml",
    "optuna_results/best_results.json": "../best_results.json",
    "optuna_results/study_summary.json": "../study_summary.json",
    "checkpoints": "trials",
}


def translate_data_section(data: Tree) -> Tree:
    """Translate the guide's `data:` section (one file name a line) into settings.

    `train_image_embeddings: train_tuning_image_embeddings.pt` names the set `train_tuning`, which
    only the explore stage trains on. Raises ConfigError if the image and the text file name
    different sets.
    """
    names: dict[str, str] = {}
    ours: Tree = {}
    for key, value in data.items():
        split, _, kind = key.partition("_")
        if kind in ("image_embeddings", "text_embeddings"):
            name = str(value).rpartition("_" + kind)[0]
            if not name or names.setdefault(split, name) != name:
                raise ConfigError(
                    f"data.{key} = {value!r}",
                    expected=f"a file <name>_{kind}.pt, with one <name> for images and texts",
                )
        elif key != "train_metadata":  # follows from the name; the full set has its own
            set_leaf(ours, f"data.{key}", value)
    for split, name in names.items():
        path = {"train": "stages.explore.data.train", "val": "data.valid"}.get(split)
        set_leaf(ours, path or f"data.{split}", name)
    return ours


def _facts(config: RunConfig) -> Mapping[str, float]:
    from tunewright.recipes.pairs.data.datasets import pairs_facts  # NumPy; `show` needs none of it

    assert isinstance(config, PairsConfig)
    return pairs_facts(config.data)


def _fingerprints(config: RunConfig) -> Mapping[str, str]:
    from tunewright.recipes.pairs.data.datasets import fingerprints

    assert isinstance(config, PairsConfig)
    return fingerprints(config.data)


def _check(config: RunConfig) -> list[str]:
    from tunewright.recipes.pairs.data.datasets import check_sets

    assert isinstance(config, PairsConfig)
    if config.training.batch_size == 1 and config.loss.type != "queue":
        raise ConfigError(
            f"training.batch_size=1 with loss.type={config.loss.type}: a pair alone has no "
            "negatives to be told from, so nothing would be learned",
            expected="batches of two pairs or more",
        )
    notices = check_sets(config.data)
    if config.model.type == "attention" and config.model.tokens == 1:
        notices.append(
            "model.num_heads has no effect: with one token every attention weight is 1; "
            "set model.tokens=4 to attend over several tokens"
        )
    return notices


RECIPE = Recipe(
    name="pairs",
    config=PairsConfig,
    conf=HERE / "conf",
    space=HERE / "space.yaml",
    metrics=METRICS,
    setup="tunewright.recipes.pairs.setup:make_setup",
    data_facts=_facts,
    check_data=_check,
    fingerprints=_fingerprints,
    capabilities={
        "evaluate": "tunewright.recipes.pairs.evaluation:evaluate",
    },
    dialect=Dialect(
        aliases=ALIASES,
        value_aliases=VALUE_ALIASES,
        study_file=translate_data_section,
        guide_file_names=GUIDE_FILE_NAMES,
    ),
)
