"""The thresholds of a run or an ensemble: chosen on its validation set, kept in its folder."""

import contextlib
from pathlib import Path

from tunewright.classification.inference.cached_logits import (
    check_same_pictures,
    validation_labels,
    validation_logits,
)
from tunewright.classification.inference.ensemble import Blend
from tunewright.classification.metrics.thresholds import (
    THRESHOLDS,
    USUAL,
    Thresholds,
    choose_thresholds,
    read_thresholds,
    thresholds_file,
)
from tunewright.errors import DataError, NotWritten
from tunewright.runs.atomic import write_json
from tunewright.runs.callbacks import OnProgress


def find_thresholds(
    blend: Blend, folder: Path, *, on_progress: OnProgress | None = None
) -> tuple[Thresholds, list[str]]:
    """Return the thresholds of a blend, and notices.

    They are chosen on the validation set, in the blend's views, and written into `folder`. Where
    the pictures are gone, those in the folder are taken; without these 0.5.
    """
    try:
        check_same_pictures(blend.members)
        views = blend.views.all()
        logits = [
            validation_logits(member, views, on_progress=on_progress) for member in blend.members
        ]
    except DataError as error:
        stored = read_thresholds(folder, blend.classes)
        if stored is not None:
            return stored, []
        notice = f"every label is predicted from probability {USUAL:g} on: no better threshold is "
        return Thresholds.usual(len(blend.classes)), [f"{notice}known ({error})"]
    probabilities = blend.scores(logits).double().exp().cpu().numpy()
    chosen = choose_thresholds(validation_labels(blend.members[0]).numpy(), probabilities)
    named = dict(zip(blend.classes, chosen.each, strict=True))
    with contextlib.suppress(NotWritten):  # a folder that may only be read stays as it is
        write_json(folder / THRESHOLDS, thresholds_file(named))
    return chosen, []
