"""What a recipe that classifies pictures can say of a configuration without torch."""

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
from tunewright.errors import ConfigError
from tunewright.images.dataset import datasets
from tunewright.images.dataset.datasets import ImageSets
from tunewright.images.loading.placement import choose
from tunewright.images.loading.store import build_store
from tunewright.images.progress import ShowProgress

GROUPS = Path(__file__).parent / "conf"
"""YAML groups that these recipes share: `augmentation`, `loss`."""


def open_sets(config: RunConfig) -> ImageSets:
    """The pictures of `config`; the recipe's embedded ones where it names none."""
    assert isinstance(config, ClassifyConfig)
    return datasets.open_sets(config.data, make_default=config.write_embedded)


def facts(config: RunConfig) -> Mapping[str, float]:
    """What spaces may refer to; see `images.dataset.datasets.facts`."""
    assert isinstance(config, ClassifyConfig)
    return datasets.facts(config.data, make_default=config.write_embedded)


def fingerprints(config: RunConfig) -> Mapping[str, str]:
    """What tells the content of each set."""
    assert isinstance(config, ClassifyConfig)
    return datasets.fingerprints(config.data, make_default=config.write_embedded)


def check(config: RunConfig) -> list[str]:
    """Notices, before anything trains; the pictures are decoded here, where progress is seen.

    Raises DataError for pictures of any set that cannot be used, ConfigError for a model that
    cannot be built, or whose weights cannot be had, and for a loss that does not fit the classes.
    """
    assert isinstance(config, ClassifyConfig)
    check_model(config.model)
    with ShowProgress("reading pictures") as progress:
        found = datasets.open_sets(
            config.data, make_default=config.write_embedded, on_progress=progress
        )
    _check_goals(config, found)
    check_loss(config.loss, len(found.classes))
    size = input_size(config.model, config.data.image_size)
    kept = choose(found.train, size, wanted=config.data.store)
    decoded: tuple[str, ...] = ()
    if kept.store != "stream":
        with ShowProgress("decoding pictures") as progress:
            skip_bad = config.data.skip_bad
            # A trial opens every set; what skip_bad has left out of them is still in the whole.
            every = found.train if skip_bad else found.train.whole or found.train
            decoded = build_store(every, size, on_progress=progress, skip_bad=skip_bad).notices
    return [
        *found.notices,
        *([] if found.test is None else shift_notices(found.valid.counts, found.test.counts)),
        *decoded,
        kept.why,
        *check_weights(config.model),
        *config.mixing.notices,
        *loss_notices(
            config.loss,
            found.class_counts,
            found.train.names,
            weighted_sampler=config.data.weighted_sampler,
        ),
    ]


def _check_goals(config: ClassifyConfig, found: ImageSets) -> None:
    """Refuse a goal that the validation set cannot measure."""
    missing = missing_metrics(found.class_counts, found.valid.counts)
    for goal in config.goals:
        metric = goal.partition(":")[0].removeprefix("val_")
        if metric in missing:
            raise ConfigError(
                f"goal = {goal}: {missing[metric]}",
                expected="a metric that the validation set can measure",
                remedy="val_macro_f1 and val_balanced_accuracy count every class the same.",
            )
