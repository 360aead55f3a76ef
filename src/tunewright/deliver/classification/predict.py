"""`tunewright predict`: a label for every picture of a folder, with test-time augmentation."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tunewright.classification.delivery.contest_form import TOP, check_form
from tunewright.classification.delivery.prediction_form import (
    class_texts,
    contest_form,
    label_names,
    label_thresholds,
    several_labels,
)
from tunewright.classification.inference.pictures_to_predict import (
    content_digest,
    ids_digest,
    test_table,
    window_of,
)
from tunewright.classification.inference.tta_views import ALONE, Views
from tunewright.deliver.classification.open_members import open_blend
from tunewright.deliver.classification.views_gain import views_gain
from tunewright.deliver.find_run import output_file
from tunewright.deliver.progress import ProgressCallback
from tunewright.deliver.select_runs import RunSelection, resolve_runs, run_in_subprocess
from tunewright.errors import DataError, NotWritten, UsageError
from tunewright.result import Result
from tunewright.runs.atomic import write_json

if TYPE_CHECKING:
    from tunewright.classification.inference.ensemble import Blend
    from tunewright.classification.metrics.thresholds import Thresholds

FORM = ("form", "like", "labels_in_a_row")
"""What is remembered of the form of the predictions."""
RECORD = "predicted.json"
"""In the folder of the run or ensemble: what was predicted last, for `submit`."""
OUTPUT = Path("predictions.csv")


@dataclass(frozen=True)
class PredictOptions:
    """What to predict and how: plain values that are sent to the process that predicts.

    data: a folder, zip, table or manifest; None for the test set of the training data. pictures:
    single ones in place of `data`. output, probabilities: CSV files; without an output the labels
    are written to `predictions.csv`, those of single pictures nowhere. like: a sample submission,
    whose header, ids and order are kept. form: one of `contest_form.FORMS`, where the template does
    not show it. top: classes for each single picture, or labels in a row of the form `top-k`.
    views: those that lower the accuracy on the validation set are refused unless `force`.
    logit_adjustment: tau of the post-hoc correction for rare classes. skip_bad: give unreadable
    pictures the most frequent class instead of raising. category_ids: write the source's category
    ids, where it has them. Raises UsageError for numbers out of range.
    """

    data: Path | None = None
    pictures: tuple[Path, ...] = ()
    output: Path | None = None
    like: Path | None = None
    form: str | None = None
    top: int | None = None
    views: Views = ALONE
    force: bool = False
    probabilities: Path | None = None
    logit_adjustment: float = 0.0
    skip_bad: bool = False
    category_ids: bool = False
    batch_size: int | None = None
    threshold: float | None = None

    def __post_init__(self) -> None:
        check_form(self.form, self.top)
        if self.threshold is not None and not 0.0 < self.threshold < 1.0:
            raise UsageError(
                f"--threshold {self.threshold:g}", expected="a probability between 0 and 1"
            )
        if self.data is not None and self.pictures:
            raise UsageError(
                f"--data {self.data} and the picture {self.pictures[0]}", expected="one of them"
            )
        if self.batch_size is not None and self.batch_size < 1:
            raise UsageError(f"a batch of {self.batch_size}", expected="1 or more pictures")
        if not 0.0 <= self.logit_adjustment < float("inf"):
            raise UsageError(
                f"logit adjustment by {self.logit_adjustment}", expected="tau of 0 or more"
            )


@dataclass(frozen=True)
class Predictions(Result):
    """What was predicted and written: the labels are in the first of `files`, if there are any.

    members: how many models were averaged. data: what was predicted; predictions: how many. views,
    view_words, mean: the views, as arguments too, and what of them was averaged. tta: the gain of
    the views on the validation set; None without any. skipped: why pictures could not be read, by
    id. said: how often each label was predicted. seconds: of `opening` and `predicting`. notes:
    what to know about the run. form, like, labels_in_a_row: of what was written. top: of single
    pictures, the likeliest classes with their probabilities, best first. thresholds: the least
    probability at which each label is predicted, where a picture may have several, and separator:
    what stands between them; None and empty for one label a picture.
    """

    run: Path
    members: int
    data: str
    predictions: int
    files: tuple[Path, ...]
    views: tuple[str, ...]
    view_words: tuple[str, ...]
    mean: str
    tta: Mapping[str, Any] | None
    logit_adjustment: float
    category_ids: bool
    skipped: Mapping[str, str]
    said: Mapping[str, int]
    notices: tuple[str, ...]
    seconds: Mapping[str, float]
    form: str = "labels"
    like: Path | None = None
    labels_in_a_row: int = 1
    top: tuple[Mapping[str, Any], ...] = ()
    notes: tuple[str, ...] = ()
    thresholds: Mapping[str, float] | None = None
    separator: str = ""


def predict(
    run: Path | str | None,
    options: PredictOptions,
    *,
    checkpoint: Path | str | None = None,
    runs: Path = Path("runs"),
    on_progress: ProgressCallback | None = None,
) -> Predictions:
    """Predict every picture of the data and write `image_id,label`, or what a template shows.

    run: as `select_runs.resolve_runs` takes it. Raises DataError for pictures or a model that
    cannot be read, ConfigError for views, UsageError for an output that is a folder, or the same
    file as the probabilities.
    """
    data, output, probabilities = options.data, options.output, options.probabilities
    if data is not None and not data.expanduser().exists():
        raise DataError(f"{data} does not exist", expected="a folder, zip or table of pictures")
    if output is None and (not options.pictures or options.like is not None):
        output = OUTPUT
    file = None if output is None else output_file(output)
    if options.like is not None and not options.like.expanduser().is_file():
        raise DataError(f"--like {options.like} does not exist", expected="a sample submission")
    shares = None if probabilities is None else output_file(probabilities, "--probabilities")
    if shares is not None and file is not None and shares.resolve() == file.resolve():
        raise UsageError(
            f"--output {output} and --probabilities {probabilities} are the same file",
            expected="two files: the probabilities would overwrite the labels",
            remedy="Choose another name for one of them.",
        )
    selection = resolve_runs(run, checkpoint=checkpoint, runs=runs)
    place = None if data is None else data.expanduser().absolute()
    like = None if options.like is None else options.like.expanduser().absolute()
    wanted = replace(options, data=place, output=file, probabilities=shares, like=like)
    found: Predictions = run_in_subprocess(selection, _predict, wanted, on_progress=on_progress)
    return replace(found, notes=selection.notes)


def _predict(
    selection: RunSelection, wanted: PredictOptions, on_progress: ProgressCallback
) -> Predictions:
    """Judge the views, predict and write, in a process that may import torch."""
    from tunewright.classification.delivery.predictions_csv import (
        write_predictions,
        write_probabilities,
        write_rows,
    )
    from tunewright.classification.inference.predict import predict_table
    from tunewright.images.sources.picture_files import table_of_files

    began = time.perf_counter()
    blend = open_blend(selection, wanted.views, wanted.logit_adjustment)
    table = (
        table_of_files(wanted.pictures).with_window(window_of(blend.members[0]))
        if wanted.pictures
        else test_table(blend.members[0], wanted.data)
    )
    written = label_names(blend, wanted.category_ids)
    _check_labels_a_picture(blend, wanted)
    thresholds, doubts = label_thresholds(
        blend,
        selection.folder,
        wanted.threshold,
        lambda count, total: on_progress("choosing thresholds", count, total),
    )
    form = contest_form(
        class_texts(blend, wanted.category_ids),
        table.ids,
        several_labels(blend, None if thresholds is None else thresholds.each),
        like=wanted.like,
        form=wanted.form,
        top=wanted.top,
    )
    order = None if form is None else form.order(table.ids)
    if wanted.top is not None and not wanted.pictures and (form is None or form.form != "top-k"):
        raise UsageError(
            f"--top {wanted.top} with {'labels' if form is None else form.form}",
            expected="single pictures, or the form top-k",
            remedy="Add --form top-k to write several labels in a row.",
        )
    gain = None if wanted.views.plain else views_gain(blend, wanted.force, on_progress)
    opened = time.perf_counter()
    found = predict_table(
        blend.members,
        table,
        blend.scores,
        views=wanted.views.all(),
        batch_size=wanted.batch_size,
        skip_bad=wanted.skip_bad,
        on_progress=lambda count, total: on_progress("predicting", count, total),
    )
    seconds = time.perf_counter() - opened
    scores = found.scores
    if found.bad:  # answered all the same: a missing id makes a submission invalid
        counts = blend.members[0].class_counts.double().cpu()
        prior = (counts / counts.sum()).log().clamp(min=-50.0).to(scores)
        # Of several labels a picture that nobody can see has none.
        scores[list(found.bad)] = -np.inf if blend.multi_label else prior.log_softmax(0)
    if thresholds is None:
        labels = [written[index] for index in scores.argmax(1).tolist()]
    else:
        chosen = thresholds.choose(scores.double().exp().numpy())
        labels = [written[index] for index in np.nonzero(chosen)[1].tolist()]
    files = []
    if wanted.output is not None:
        if form is None or order is None:
            write_predictions(wanted.output, table.ids, labels)
        else:
            answers = form.table(scores.exp()[order].tolist())
            write_rows(wanted.output, answers, form.delimiter)
        files.append(wanted.output)
    if wanted.probabilities is not None:
        rows = scores.exp().tolist()
        write_probabilities(wanted.probabilities, table.ids, written, rows)
        files.append(wanted.probabilities)
    notices = [*table.notices, *doubts, *(() if form is None else form.notices)]
    if gain is not None and "notice" in gain:
        notices.append(gain.pop("notice"))
    result = Predictions(
        run=selection.folder,
        members=len(selection.members),
        data=str(table.origin),
        predictions=len(table),
        files=tuple(files),
        views=tuple(view.name for view in wanted.views.all()),
        view_words=wanted.views.words,
        mean=wanted.views.mean,
        tta=gain,
        logit_adjustment=wanted.logit_adjustment,
        category_ids=wanted.category_ids,
        skipped={table.ids[row]: found.bad[row] for row in sorted(found.bad)},
        said=said_labels(labels),
        notices=tuple(notices),
        seconds={"opening": opened - began, "predicting": seconds},
        form="labels" if form is None else form.form,
        like=wanted.like,
        labels_in_a_row=1 if form is None else form.top,
        top=_likeliest(blend, table.ids, scores.exp().tolist(), wanted.top or TOP, thresholds)
        if wanted.pictures
        else (),
        thresholds=None
        if thresholds is None
        else dict(zip(blend.classes, thresholds.each, strict=True)),
        separator="" if form is None or not form.thresholds else form.separator,
    )
    if wanted.pictures or wanted.output is None:  # no test set, which a submission would be of
        return result
    return _remember(selection.folder, wanted, table.ids, result)


def _remember(
    folder: Path, wanted: PredictOptions, ids: Sequence[str], result: Predictions
) -> Predictions:
    """Store in the run what `submit` needs to know of the predictions of a test set."""
    assert wanted.output is not None
    record = {
        "data": None if wanted.data is None else str(wanted.data),
        "ids": ids_digest(ids),
        "content": content_digest(wanted.output),
    }
    kept = ("files", "predictions", "views", "view_words", "mean", "logit_adjustment")
    stored = result.as_json()
    shown = {name: stored[name] for name in (*kept, "category_ids", "tta", "thresholds", *FORM)}
    try:
        write_json(folder / RECORD, record | shown)
    except NotWritten as error:  # a folder that may only be read stays as it is
        unknown = f"{error.came}; submit will know neither the test set (--data) nor the views"
        return replace(result, notices=(*result.notices, unknown))
    return result


def _check_labels_a_picture(blend: "Blend", wanted: PredictOptions) -> None:
    """Refuse options that make no sense with as many labels a picture."""
    if blend.multi_label and wanted.logit_adjustment:
        raise UsageError(
            f"--logit-adjustment {wanted.logit_adjustment:g} with a run of several labels a "
            "picture",
            expected="a run that compares classes: here each label has a threshold of its own",
            remedy="Leave it out: thresholds are chosen on the validation set, or set by "
            "--threshold.",
        )
    several = {"--threshold": wanted.threshold, "--form zero-one": wanted.form == "zero-one"}
    given = [name for name, value in several.items() if value not in (None, False)]
    if given and not blend.multi_label:
        raise UsageError(
            f"{given[0]} with a run of one label a picture",
            expected="a run that was trained with data.multi_label=true",
            remedy="Leave it out; --form probabilities writes what a threshold would be set on.",
        )


def _likeliest(
    blend: "Blend",
    ids: Sequence[str],
    shares: Sequence[Sequence[float]],
    top: int,
    thresholds: "Thresholds | None",
) -> tuple[Mapping[str, Any], ...]:
    """Return the likeliest classes of each picture with their probabilities.

    Of several labels a picture also whether each is predicted.
    """
    names = class_texts(blend, False).get("names", blend.classes)
    found = []
    for one, values in zip(ids, shares, strict=True):
        best = sorted(range(len(values)), key=lambda number: -values[number])[:top]
        classes = [
            {"class": blend.classes[n], "name": names[n], "probability": values[n]}
            | ({} if thresholds is None else {"predicted": values[n] >= thresholds.each[n]})
            for n in best
        ]
        found.append({"picture": one, "classes": classes})
    return tuple(found)


def said_labels(labels: Sequence[str]) -> dict[str, int]:
    """Count how often each label was predicted, most frequent first."""
    counts: dict[str, int] = {}
    for label in labels:
        counts[label] = counts.get(label, 0) + 1
    return dict(sorted(counts.items(), key=lambda entry: -entry[1]))
