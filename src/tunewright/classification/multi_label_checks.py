"""Check that settings fit pictures of several labels, or of one. Imports without torch."""

from collections.abc import Sequence

from tunewright.classification.losses.config import (
    METRICS,
    MULTI_LABEL_METRICS,
    OF_SEVERAL_LABELS,
    LossSection,
)
from tunewright.errors import ConfigError
from tunewright.images.augment.config import MixingConfig
from tunewright.images.dataset.config import ImagesConfig

SWITCH = "data.multi_label = true"
OTHER_WAY = "Or leave out data.multi_label, if each picture has one class."


def check_labels(
    data: ImagesConfig, loss: LossSection, mixing: MixingConfig, goals: Sequence[str]
) -> None:
    """Raise ConfigError for settings that make no sense with as many labels a picture."""
    if data.multi_label:
        _check_several(data, loss, mixing, goals)
    else:
        _check_one(data, loss, goals)


def _check_several(
    data: ImagesConfig, loss: LossSection, mixing: MixingConfig, goals: Sequence[str]
) -> None:
    if not isinstance(loss, OF_SEVERAL_LABELS):
        raise ConfigError(
            f"loss.type = {loss.type} with {SWITCH}",
            expected="a loss in which every label is a yes or no of its own: the others compare "
            "classes of which one is right",
            remedy=f"Set loss.type=binary_cross_entropy or loss.type=asymmetric. {OTHER_WAY}",
        )
    if mixing.cutmix_alpha:
        raise ConfigError(
            f"mixing.cutmix_alpha = {mixing.cutmix_alpha:g} with {SWITCH}",
            expected="0: the part of a picture that is kept may not show the labels that it keeps",
            remedy="Set mixing.cutmix_alpha=0; mixing.mixup_alpha blends whole pictures, and fits.",
        )
    if data.weighted_sampler:
        raise ConfigError(
            f"data.weighted_sampler = true with {SWITCH}",
            expected="false: no weight of pictures draws all labels equally often, since frequent "
            "labels come along with rare ones",
            remedy="Set data.weighted_sampler=false; loss.type=asymmetric, or "
            "loss.positive_weight=3 of binary_cross_entropy, favour what is rare.",
        )
    if data.columns.classes and data.columns.label:
        raise ConfigError(
            f"data.columns.label = {data.columns.label!r} and data.columns.classes = "
            f"{list(data.columns.classes)}",
            expected="one of them: a column of labels, or a column for each class",
            remedy="Leave out the other.",
        )
    for goal in goals:
        name = _metric(goal)
        if name in METRICS and name not in MULTI_LABEL_METRICS:
            raise ConfigError(
                f"goal = {goal} with {SWITCH}",
                expected=f"one of {', '.join(f'val_{metric}' for metric in MULTI_LABEL_METRICS)}",
                remedy="Set goal=val_map, the mean average precision, or goal=val_macro_f1.",
            )


def _check_one(data: ImagesConfig, loss: LossSection, goals: Sequence[str]) -> None:
    needs = {
        "data.label_separator": data.label_separator,
        "data.columns.classes": data.columns.classes and list(data.columns.classes),
    }
    given = [f"{key} = {value!r}" for key, value in needs.items() if value is not None]
    if isinstance(loss, OF_SEVERAL_LABELS):
        given.append(f"loss.type = {loss.type}")
    for goal in goals:
        name = _metric(goal)
        if name in MULTI_LABEL_METRICS and name not in METRICS:
            given.append(f"goal = {goal}")
    if given:
        raise ConfigError(
            f"{given[0]} with data.multi_label = false",
            expected="data.multi_label=true, for pictures that may have several labels",
            remedy=f"Set data.multi_label=true, or leave out {given[0].partition(' ')[0]}.",
        )


def _metric(goal: str) -> str:
    return goal.partition(":")[0].removeprefix("val_")
