"""`tunewright predict`: a label for every picture of a folder, with test-time augmentation."""

import hashlib
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunewright.classification.inference.tta_views import Views, read_views
from tunewright.deliver.classification.open_members import open_blend, window_of
from tunewright.deliver.find_run import output_file
from tunewright.deliver.progress import ProgressCallback
from tunewright.deliver.select_runs import RunSelection, resolve_runs, run_in_subprocess
from tunewright.errors import ConfigError, DataError, NotWritten, UsageError
from tunewright.runs.atomic import write_json

if TYPE_CHECKING:
    from tunewright.classification.inference.classifier import Classifier
    from tunewright.classification.inference.ensemble import Blend
    from tunewright.classification.inference.tta import ViewGains
    from tunewright.images.image_table import ImageTable

RECORD = "predicted.json"
"""In the folder of the run or ensemble: what was predicted last, for `submit`."""
OUTPUT = Path("predictions.csv")


@dataclass(frozen=True)
class PredictOptions:
    """What to predict and how: plain values that are sent to the process that predicts."""

    data: Path | None
    output: Path
    views: Views
    force: bool
    probabilities: Path | None
    logit_adjustment: float
    skip_bad: bool
    category_ids: bool
    batch_size: int | None


def predict(
    run: Path | str | None = None,
    *,
    data: Path | str | None = None,
    output: Path | str = OUTPUT,
    checkpoint: Path | str | None = None,
    tta: bool = False,
    views: str | Iterable[str] = (),
    words: Mapping[str, str] | None = None,
    force: bool = False,
    probabilities: Path | str | None = None,
    logit_adjustment: float = 0.0,
    skip_bad: bool = False,
    category_ids: bool = False,
    batch_size: int | None = None,
    runs: Path = Path("runs"),
    on_progress: ProgressCallback | None = None,
) -> Mapping[str, Any]:
    """Predict every picture of `data` and write `image_id,label` to `output`.

    run: as `select_runs.resolve_runs` takes it. data: a folder, zip, CSV or manifest; None for the
    test set of the training data. views: see `inference.tta_views.read_views`; views that lower the
    accuracy on the validation set are refused unless `force`. logit_adjustment: tau of the post-hoc
    correction for rare classes. category_ids: write the source's category ids, where it has them.
    skip_bad: give unreadable pictures the most frequent class instead of raising. Returns
    what was written, the gain of the views with its interval, and the seconds it took. Raises
    DataError for pictures or a model that cannot be read, ConfigError for views, UsageError for an
    `output` that is a folder, or the same file as `probabilities`.
    """
    if batch_size is not None and batch_size < 1:
        raise UsageError(f"a batch of {batch_size}", expected="1 or more pictures")
    if not 0.0 <= logit_adjustment < float("inf"):
        raise UsageError(f"logit adjustment by {logit_adjustment}", expected="tau of 0 or more")
    chosen = read_views(tta=tta, named=views, words=words)
    if data is not None and not Path(data).expanduser().exists():
        raise DataError(f"{data} does not exist", expected="a folder, zip or table of pictures")
    file = output_file(output)
    shares = None if probabilities is None else output_file(probabilities, "--probabilities")
    if shares is not None and shares.resolve() == file.resolve():
        raise UsageError(
            f"--output {output} and --probabilities {probabilities} are the same file",
            expected="two files: the probabilities would overwrite the labels",
            remedy="Choose another name for one of them.",
        )
    selection = resolve_runs(run, checkpoint=checkpoint, runs=runs)
    wanted = PredictOptions(
        None if data is None else Path(data).expanduser().absolute(),
        file,
        chosen,
        force,
        shares,
        logit_adjustment,
        skip_bad,
        category_ids,
        batch_size,
    )
    result: Mapping[str, Any] = run_in_subprocess(
        selection, _predict, wanted, on_progress=on_progress
    )
    return {**result, "notes": list(selection.notes)}


def _predict(
    selection: RunSelection, wanted: PredictOptions, on_progress: ProgressCallback
) -> dict[str, Any]:
    """Judge the views, predict and write, in a process that may import torch."""
    from tunewright.classification.delivery.predictions_csv import (
        write_predictions,
        write_probabilities,
    )
    from tunewright.classification.inference.predict import predict_table

    began = time.perf_counter()
    blend = open_blend(selection, wanted.views, wanted.logit_adjustment)
    table = test_table(blend.members[0], wanted.data)
    written = label_names(blend, wanted.category_ids)
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
        scores[list(found.bad)] = prior.log_softmax(0)
    labels = [written[index] for index in scores.argmax(1).tolist()]
    write_predictions(wanted.output, table.ids, labels)
    files = [str(wanted.output)]
    if wanted.probabilities is not None:
        rows = scores.exp().tolist()
        write_probabilities(wanted.probabilities, table.ids, written, rows)
        files.append(str(wanted.probabilities))
    notices = list(table.notices)
    if gain is not None and "notice" in gain:
        notices.append(gain.pop("notice"))
    result = {
        "run": str(selection.folder),
        "members": len(selection.members),
        "data": str(table.origin),
        "predictions": len(table),
        "files": files,
        "views": [view.name for view in wanted.views.all()],
        "view_words": list(wanted.views.words),
        "mean": wanted.views.mean,
        "tta": gain,
        "logit_adjustment": wanted.logit_adjustment,
        "category_ids": wanted.category_ids,
        "skipped": {table.ids[row]: found.bad[row] for row in sorted(found.bad)},
        "said": said_labels(labels),
        "notices": notices,
        "seconds": {"opening": opened - began, "predicting": seconds},
    }
    named = None if wanted.data is None else str(wanted.data)
    record = {
        "data": named,
        "ids": ids_digest(table.ids),
        "content": content_digest(wanted.output),
    }
    kept = ("files", "predictions", "views", "view_words", "mean", "logit_adjustment")
    shown = {name: result[name] for name in (*kept, "category_ids", "tta")}
    try:
        write_json(selection.folder / RECORD, record | shown)
    except NotWritten as error:  # a folder that may only be read stays as it is
        notices.append(
            f"{error.came}; submit will know neither the test set (--data) nor the views"
        )
    return result


def test_table(classifier: "Classifier", data: Path | None) -> "ImageTable":
    """Return the pictures to predict: those of `data`, else the test set of the training data.

    That is a folder `test` there, or the test split. Ids that are names of files take the form that
    the training table had: without a suffix, where it had none. Raises DataError when there is
    neither, and for names that no file of predictions can hold.
    """
    from tunewright.classification.delivery.predictions_csv import check_ids
    from tunewright.images.sources.file_matching import with_bare_ids

    table = _test_table(classifier, data)
    if table.named_by_files and _trained_on_bare_ids(classifier):
        table = with_bare_ids(table)
    check_ids(table.origin, table.ids)
    return table


def _trained_on_bare_ids(classifier: "Classifier") -> bool:
    """Return whether the training table wrote ids without suffix; false if nobody knows."""
    from tunewright.classification.classes_file import read_classes
    from tunewright.images.sources.file_matching import has_bare_ids

    known = read_classes(classifier.folder)
    if known is not None and known.bare_ids is not None:
        return known.bare_ids
    try:
        return has_bare_ids(classifier.sets.train)  # a run of an earlier version
    except DataError:
        return False


def _test_table(classifier: "Classifier", data: Path | None) -> "ImageTable":
    from tunewright.images.sources.open_source import open_table

    window = window_of(classifier)
    if data is not None:
        return open_table(data, labelled=False).with_window(window)
    sets = classifier.sets
    if sets.test is not None:
        return sets.test
    origin = sets.train.origin
    folder = (origin if origin.is_dir() else origin.parent) / "test"
    if folder.is_dir():
        return open_table(folder, labelled=False).with_window(window)
    raise DataError(
        f"{origin} has no test set",
        expected="a folder `test` or a test split, where no pictures are named",
        remedy="Give the pictures to predict: --data DIR.",
    )


def label_names(blend: "Blend", category_ids: bool) -> Sequence[str]:
    """Return the text to write for each class: its label in the source, or its category id."""
    if not category_ids:
        return blend.classes
    from tunewright.classification.classes_file import read_classes

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


def views_gain(blend: "Blend", force: bool, on_progress: ProgressCallback) -> dict[str, Any]:
    """Measure what the views change in the validation accuracy, with paired intervals.

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
    answer = {
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
            f"views that lower the accuracy on the {len(labels)} validation pictures, "
            f"{judged.plain:.4f} without them: {_each(judged, worse)}",
            expected="views without a significant loss",
            remedy="Leave them out of --views (an image-and-flip --tta needs classes that look "
            "alike in a mirror), or --force.",
        )
    lower = [name for name in judged.lower if name in judged.alone]
    if lower and len(judged.alone) > 1:  # of a lone view the gain of all says it
        answer["notice"] = (
            f"views that lower the accuracy on the {len(labels)} validation pictures, "
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


def said_labels(labels: Sequence[str]) -> dict[str, int]:
    """Count how often each label was predicted, most frequent first."""
    counts: dict[str, int] = {}
    for label in labels:
        counts[label] = counts.get(label, 0) + 1
    return dict(sorted(counts.items(), key=lambda entry: -entry[1]))


def content_digest(file: Path) -> str:
    """Return a digest of a file, by which a later change is noticed."""
    return hashlib.blake2b(file.read_bytes(), digest_size=16).hexdigest()


def ids_digest(ids: Iterable[str]) -> str:
    """Return a digest that is equal for test sets with the same ids in the same order."""
    found = hashlib.blake2b(digest_size=16)
    for name in ids:
        found.update(name.encode("utf-8", "surrogateescape") + b"\0")
    return found.hexdigest()
