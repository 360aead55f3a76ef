"""What a recipe that classifies pictures can say of a configuration without torch."""

from collections.abc import Mapping
from pathlib import Path

from tunewright.config.schema import RunConfig
from tunewright.errors import ConfigError
from tunewright.parts.classify.class_frequencies import shift_notices
from tunewright.parts.classify.class_groups import unmeasured
from tunewright.parts.classify.config import ClassifyConfig
from tunewright.parts.classify.loss_config import check_loss, loss_notices
from tunewright.parts.classify.model_config import check_model
from tunewright.parts.classify.timm_facts import input_size
from tunewright.parts.classify.weights import check_weights
from tunewright.parts.images import sets
from tunewright.parts.images.progress import ShowProgress
from tunewright.parts.images.room import choose
from tunewright.parts.images.sets import ImageSets
from tunewright.parts.images.store import build_store

GROUPS = Path(__file__).parent / "conf"
"""YAML groups that these recipes share: `augmentation`, `loss`."""


def open_sets(config: RunConfig) -> ImageSets:
    """The pictures of `config`; the recipe's embedded ones where it names none."""
    assert isinstance(config, ClassifyConfig)
    return sets.open_sets(config.data, make_default=config.write_embedded)


def facts(config: RunConfig) -> Mapping[str, float]:
    """What spaces may refer to; see `parts.images.sets.facts`."""
    assert isinstance(config, ClassifyConfig)
    return sets.facts(config.data, make_default=config.write_embedded)


def fingerprints(config: RunConfig) -> Mapping[str, str]:
    """What tells the content of each set."""
    assert isinstance(config, ClassifyConfig)
    return sets.fingerprints(config.data, make_default=config.write_embedded)


def check(config: RunConfig) -> list[str]:
    """Notices, before anything trains; the pictures are decoded here, where progress is seen.

    Raises DataError for pictures of any set that cannot be used, ConfigError for a model that
    cannot be built, or whose weights cannot be had, and for a loss that does not fit the classes.
    """
    assert isinstance(config, ClassifyConfig)
    check_model(config.model)
    with ShowProgress("reading pictures") as progress:
        found = sets.open_sets(config.data, make_default=config.write_embedded, progress=progress)
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
            decoded = build_store(every, size, progress=progress, skip_bad=skip_bad).notices
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
    missing = unmeasured(found.class_counts, found.valid.counts)
    for goal in config.goals:
        metric = goal.partition(":")[0].removeprefix("val_")
        if metric in missing:
            raise ConfigError(
                f"goal = {goal}: {missing[metric]}",
                expected="a metric that the validation set can measure",
                remedy="val_macro_f1 and val_balanced_accuracy count every class the same.",
            )
