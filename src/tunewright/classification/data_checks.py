"""Data facts and checks of a recipe that classifies pictures. Imports without torch."""

from collections.abc import Mapping
from pathlib import Path

from tunewright.classification.config import ClassifyConfig
from tunewright.classification.evaluation.class_frequencies import shift_notices
from tunewright.classification.losses.config import check_loss, loss_notices
from tunewright.classification.metrics.class_groups import missing_metrics
from tunewright.classification.models.config import check_model
from tunewright.classification.models.pretrained import check_weights
from tunewright.classification.models.timm_query import input_size
from tunewright.config.schema import RunConfig
from tunewright.errors import ConfigError, DataError
from tunewright.images.dataset import datasets
from tunewright.images.dataset.datasets import ImageSets
from tunewright.images.image_table import ImageTable
from tunewright.images.loading.near_copy_check import near_copy_notices
from tunewright.images.loading.placement import choose
from tunewright.images.loading.store import build_store
from tunewright.images.progress import ShowProgress

GROUPS = Path(__file__).parent / "conf"
"""YAML groups shared by these recipes: `augmentation`, `loss`."""


def open_sets(config: RunConfig) -> ImageSets:
    """Open the data sets of `config`; the recipe's embedded ones if it names none."""
    assert isinstance(config, ClassifyConfig)
    return datasets.open_sets(config.data, make_default=config.write_embedded)


def facts(config: RunConfig) -> Mapping[str, float]:
    """Return what spaces may refer to; see `images.dataset.datasets.facts`."""
    assert isinstance(config, ClassifyConfig)
    return datasets.facts(config.data, make_default=config.write_embedded)


def fingerprints(config: RunConfig) -> Mapping[str, str]:
    """Return a fingerprint of the content of each set."""
    assert isinstance(config, ClassifyConfig)
    return datasets.fingerprints(config.data, make_default=config.write_embedded)


def check(config: RunConfig) -> list[str]:
    """Check data and model before training, and return notices.

    The pictures are decoded here, where the user sees progress. Raises DataError for pictures of
    any set that cannot be used, ConfigError for a model that cannot be built, for weights that are
    not available, and for a loss that does not fit the classes.
    """
    assert isinstance(config, ClassifyConfig)
    check_model(config.model)
    weights = check_weights(config.model)  # before minutes go into the pictures
    with ShowProgress("reading pictures") as progress:
        found = datasets.open_sets(
            config.data, make_default=config.write_embedded, on_progress=progress
        )
    _check_goals(config, found)
    check_loss(config.loss, len(found.classes))
    size = input_size(config.model, config.data.image_size)
    kept = choose(found.train, size, wanted=config.data.store, resize=config.data.resize)
    decoded: tuple[str, ...] = ()
    if kept.store != "stream":
        with ShowProgress("decoding pictures") as progress:
            skip_bad = config.data.skip_bad
            # A trial opens every set, so decode the whole source; with skip_bad the sets lack
            # the broken pictures, which are still in the whole.
            every = found.train if skip_bad else found.train.whole or found.train
            decoded = build_store(
                every, size, resize=config.data.resize, on_progress=progress, skip_bad=skip_bad
            ).notices
        decoded = (*decoded, *_near_copies(config, found, size))
    return [
        *found.notices,
        *([] if found.test is None else _shift_notices(found.valid, found.test)),
        *decoded,
        kept.why,
        *weights,
        *_norm_notices(config),
        *config.mixing.notices,
        *loss_notices(
            config.loss,
            found.class_counts,
            found.train.names,
            weighted_sampler=config.data.weighted_sampler,
        ),
    ]


def _shift_notices(valid: ImageTable, test: ImageTable) -> list[str]:
    # The frequencies of several labels a picture are not those of independent rows.
    return [] if valid.targets is not None else shift_notices(valid.counts, test.counts)


def _near_copies(config: ClassifyConfig, found: ImageSets, size: int) -> list[str]:
    if config.data.dir is None:  # an embedded set has none, and drawn pictures are much alike
        return []
    parts = {"train": found.train, "valid": found.valid, "test": found.test}
    resize, skip_bad = config.data.resize, config.data.skip_bad
    return near_copy_notices(
        {
            name: (table, build_store(table, size, resize=resize, skip_bad=skip_bad))
            for name, table in parts.items()
            if table is not None
        }
    )


def _norm_notices(config: ClassifyConfig) -> list[str]:
    model = config.model
    if not config.finetune.freeze_batch_norm or model.pretrained or model.weights is not None:
        return []
    return [
        "finetune.freeze_batch_norm with random weights: the norms keep mean 0 and variance 1, "
        "which no picture has measured; it is meant for model.pretrained=true or model.weights=FILE"
    ]


def _check_goals(config: ClassifyConfig, found: ImageSets) -> None:
    """Refuse a goal that the validation set cannot measure."""
    if config.data.multi_label:
        if not found.valid.counts.any():
            raise DataError(
                f"none of the {len(found.valid):,} validation pictures has a label",
                expected="some with a label, to measure by",
                remedy="Raise data.val_split, or correct the column of splits.",
            )
        return
    missing = missing_metrics(found.class_counts, found.valid.counts)
    for goal in config.goals:
        metric = goal.partition(":")[0].removeprefix("val_")
        if metric in missing:
            raise ConfigError(
                f"goal = {goal}: {missing[metric]}",
                expected="a metric that the validation set can measure",
                remedy="val_macro_f1 and val_balanced_accuracy count every class equally.",
            )
