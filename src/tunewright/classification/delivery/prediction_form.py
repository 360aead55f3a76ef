"""How a run's predictions are written: texts of its classes, thresholds, columns of a contest.

Imports without torch.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tunewright.classification.classes_file import read_classes
from tunewright.classification.delivery.contest_form import (
    ContestForm,
    SeveralLabels,
    plain_form,
    with_several,
)
from tunewright.classification.delivery.sample_submission import Texts, read_form
from tunewright.errors import DataError
from tunewright.runs.callbacks import OnProgress

if TYPE_CHECKING:
    from tunewright.classification.inference.ensemble import Blend
    from tunewright.classification.metrics.thresholds import Thresholds


def label_names(blend: "Blend", category_ids: bool) -> Sequence[str]:
    """Return the text to write for each class: its label in the source, or its category id."""
    if not category_ids:
        return blend.classes
    known = read_classes(blend.members[0].folder)
    ids = {} if known is None else known.category_ids
    missing = [name for name in blend.classes if name not in ids]
    if missing:
        raise DataError(
            f"no category id is known of {len(missing)} classes, for example {missing[0]!r}",
            expected="category_mapping.csv (label,category_id) beside the training data",
            remedy="Leave out --category-ids to write the labels as the training data has them.",
        )
    return tuple(ids[name] for name in blend.classes)


def class_texts(blend: "Blend", category_ids: bool) -> Texts:
    """Return what may be written for each class: labels, and ids and names that all classes have.

    category_ids: the category ids alone. Raises DataError where there are none.
    """
    if category_ids:
        return {"labels": label_names(blend, category_ids=True)}
    texts: dict[str, Sequence[str]] = {"labels": blend.classes}
    known = read_classes(blend.members[0].folder)
    if known is None:
        return texts
    for vocabulary, names in (("category ids", known.category_ids), ("names", known.names)):
        if len({names.get(one) for one in blend.classes} - {None}) == len(blend.classes):
            texts[vocabulary] = tuple(names[one] for one in blend.classes)
    return texts


def label_thresholds(
    blend: "Blend", folder: Path, threshold: float | None, on_progress: OnProgress | None = None
) -> "tuple[Thresholds | None, list[str]]":
    """Return the thresholds of a run of several labels a picture, and notices; else None.

    threshold: the one of all labels, in place of those chosen on the validation set.
    """
    if not blend.multi_label:
        return None, []
    from tunewright.classification.inference.label_thresholds import find_thresholds
    from tunewright.classification.metrics.thresholds import Thresholds

    if threshold is not None:
        return Thresholds.usual(len(blend.classes), threshold), []
    return find_thresholds(blend, folder, on_progress=on_progress)


def several_labels(blend: "Blend", thresholds: Sequence[float] | None) -> SeveralLabels | None:
    """Return how several labels a picture are chosen and written; None for one."""
    if thresholds is None:
        return None
    known = read_classes(blend.members[0].folder)
    return SeveralLabels(tuple(thresholds), "" if known is None else known.label_separator)


def contest_form(
    texts: Texts,
    ids: Sequence[str],
    several: SeveralLabels | None,
    *,
    like: Path | None,
    form: str | None,
    top: int | None,
) -> ContestForm | None:
    """Return the form of a template or of an option; None for one plain label a picture.

    texts: as `class_texts` returns them. like: the template. form, top: what it does not show.
    """
    if like is not None:
        return read_form(like, texts, form=form, top=top, several=several)
    if form in (None, "labels") and several is None:
        return None
    return with_several(plain_form(form or "labels", ids, texts["labels"], top), several)
