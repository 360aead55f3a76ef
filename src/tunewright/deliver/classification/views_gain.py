"""What test-time views are worth: their gain on the validation set, and which of them harm."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from tunewright.deliver.progress import ProgressCallback
from tunewright.errors import ConfigError, DataError

if TYPE_CHECKING:
    from tunewright.classification.inference.ensemble import Blend
    from tunewright.classification.inference.tta import ViewGains


SCORES = {"accuracy": "accuracy", "map": "mean average precision"}
"""What is measured of one label a picture, and of several."""


def views_gain(blend: "Blend", force: bool, on_progress: ProgressCallback) -> dict[str, Any]:
    """Measure what the views change in the validation accuracy, with paired intervals.

    Of several labels a picture it is the mean average precision.

    Raises ConfigError for views whose whole interval lies below 0, DataError when it cannot be
    measured; with `force`, the answer says so instead.
    """
    from tunewright.classification.inference.cached_logits import (
        check_same_pictures,
        validation_labels,
        validation_logits,
    )
    from tunewright.classification.inference.tta import judge, sets_to_judge

    views = blend.views.all()
    try:
        check_same_pictures(blend.members)
        logits = [
            validation_logits(
                member,
                views,
                on_progress=lambda n, total: on_progress("judging the views", n, total),
            )
            for member in blend.members
        ]
        labels = validation_labels(blend.members[0])
    except DataError as error:
        if force:
            return {"unknown": str(error)}
        raise DataError(
            f"the gain of the views cannot be measured: {error}",
            remedy="Use --force to predict with them anyway.",
        ) from None
    scores = {
        name: blend.scores([of_views[chosen] for of_views in logits])
        for name, chosen in sets_to_judge(views).items()
    }
    judged = judge(scores, labels, blend.members[0].class_counts)
    harmful = [name for name in judged.harmful if name != "all"]
    score = SCORES[judged.metric]
    answer = {
        "metric": judged.metric,
        "pictures": len(labels),
        "plain": judged.plain,
        "with_views": judged.together,
        "gain": asdict(judged.gains["all"]),
        "alone": dict(judged.alone),
        "alone_gain": {name: asdict(judged.gains[name]) for name in judged.alone},
        "harmful": harmful,
    }
    worse = harmful or list(judged.harmful)
    if worse and not force:
        raise ConfigError(
            f"views that lower the {score} on the {len(labels)} validation pictures, "
            f"{judged.plain:.4f} without them: {_each(judged, worse)}",
            expected="views without a significant loss",
            remedy="Leave them out (an image-and-flip --tta needs classes that look "
            "alike in a mirror), or --force.",
        )
    lower = [name for name in judged.lower if name in judged.alone]
    if lower and len(judged.alone) > 1:  # of a lone view the gain of all says it
        answer["notice"] = (
            f"views that lower the {score} on the {len(labels)} validation pictures, "
            f"{judged.plain:.4f} without them, but not significantly: "
            f"{_each(judged, lower)}"
        )
    return answer


def _each(judged: "ViewGains", names: Sequence[str]) -> str:
    """Return `hflip 0.6923 (-0.0577 to 0.0000, paired)` for each view."""
    accuracies = {**judged.alone, "all": judged.together}
    shown = {"all": "all of them together"}
    return ", ".join(
        f"{shown.get(name, name)} {accuracies[name]:.4f} "
        f"({judged.gains[name].low:+.4f} to {judged.gains[name].high:+.4f}, paired)"
        for name in names
    )
