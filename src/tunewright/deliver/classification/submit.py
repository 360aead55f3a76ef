"""`tunewright submit`: checked predictions, weights and code in a reproducible ZIP."""

import tempfile
import zipfile
from collections.abc import Mapping, Set
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunewright.classification.delivery.contest_form import check_form
from tunewright.classification.delivery.prediction_form import (
    class_texts,
    contest_form,
    label_names,
    several_labels,
)
from tunewright.classification.delivery.predictions_csv import (
    read_predictions,
    read_text,
    rows_text,
)
from tunewright.classification.delivery.submission import (
    PREDICTIONS,
    PackedFile,
    verify_predictions,
    verify_zip,
    write_zip,
)
from tunewright.classification.inference.pictures_to_predict import (
    content_digest,
    ids_digest,
    test_table,
)
from tunewright.deliver.classification.check import in_megabytes
from tunewright.deliver.classification.open_members import open_members
from tunewright.deliver.classification.predict import OUTPUT, RECORD
from tunewright.deliver.classification.submission_contents import submission_contents
from tunewright.deliver.classification.submission_files import (
    names_of_models,
)
from tunewright.deliver.find_run import output_file
from tunewright.deliver.progress import ProgressCallback
from tunewright.deliver.select_runs import RunSelection, resolve_runs, run_in_subprocess
from tunewright.errors import DataError
from tunewright.result import Result
from tunewright.runs.atomic import read_json
from tunewright.runs.folder import RunFolder
from tunewright.runs.machine import temporary_folders

if TYPE_CHECKING:
    from tunewright.classification.inference.ensemble import Blend

PLAIN = {
    "view_words": [],
    "views": ["image"],
    "logit_adjustment": 0.0,
    "category_ids": False,
    "tta": None,
    "form": "labels",
    "like": None,
    "labels_in_a_row": 1,
    "thresholds": None,
}
"""Record for predictions of another program: as if made without views."""


@dataclass(frozen=True)
class SubmitOptions:
    """What to check and pack.

    data: the test set; by default what `predict` last predicted with this run, else the test set
    of the training data. half: weights in float16. category_ids: whether labels are category ids;
    by default as `predict` wrote them. verify_only: check the predictions, and the ZIP if there is
    one, and write nothing. like, form: a sample submission and its form, as for `predict`; by
    default those of predictions that this run made. Raises UsageError for an unknown form.
    """

    predictions: Path = OUTPUT
    output: Path = Path("submission.zip")
    data: Path | None = None
    half: bool = False
    category_ids: bool | None = None
    verify_only: bool = False
    like: Path | None = None
    form: str | None = None

    def __post_init__(self) -> None:
        check_form(self.form, None)


@dataclass(frozen=True)
class SubmissionReport(Result):
    """Checked predictions, and the ZIP that they are in.

    rows: of the predictions; made_here: whether they are the run's latest. output: the ZIP; None
    where there is none. bytes: of it. files: the name and bytes of each file in it; parts: bytes by
    top folder. model: the size of the weights in words. verified_only: nothing was written.
    """

    run: Path
    notes: tuple[str, ...]
    predictions: Path
    rows: int
    made_here: bool
    output: Path | None
    bytes: int
    files: tuple[tuple[str, int], ...]
    parts: Mapping[str, int]
    model: str
    verified_only: bool


def submit(
    run: Path | str | None,
    options: SubmitOptions,
    *,
    checkpoint: Path | str | None = None,
    runs: Path = Path("runs"),
    on_progress: ProgressCallback | None = None,
) -> SubmissionReport:
    """Check predictions against the test set and pack them with weights and code.

    Raises DataError for predictions that a contest would refuse, and for a ZIP that lacks a
    required file; UsageError where a folder is named for either file.
    """
    half, verify_only = options.half, options.verify_only
    archive = output_file(options.output)
    file = output_file(options.predictions, "--predictions")
    selection = resolve_runs(run, checkpoint=checkpoint, runs=runs)
    if not file.exists():
        raise DataError(
            f"{options.predictions} does not exist",
            expected="the predictions to submit",
            remedy=f"tunewright predict {selection.folder} --data DIR "
            f"--output {options.predictions}",
        )
    text = read_text(file)  # what nobody can read is refused before the seconds of the weights
    record = read_json(selection.folder / RECORD) or {}
    made_last = record.get("content") == content_digest(file)
    wanted = _wanted_form(options, record if made_last else {})
    plain = wanted["like"] is None and wanted["form"] == "labels" and not record.get("thresholds")
    said = set(read_predictions(file)[1]) if plain else set()
    ids = options.category_ids
    if ids is None:
        ids = not plain and bool(record.get("category_ids"))  # plain labels tell it themselves
    named = options.data if options.data is not None else record.get("data")
    place = None if named is None else Path(str(named)).expanduser().absolute()
    with tempfile.TemporaryDirectory(prefix=temporary_folders.prefix("submit")) as temporary:
        found = run_in_subprocess(
            selection,
            _collect_weights,
            place,
            ids,
            half,
            None if verify_only else Path(temporary),
            on_progress=on_progress,
        )
        made_here = made_last and record.get("ids") == found["digest"]
        contest = contest_form(
            found["texts"],
            found["ids"],
            found["several"],
            like=None if wanted["like"] is None else Path(wanted["like"]),
            form=wanted["form"],
            top=wanted["labels_in_a_row"],
        )
        if contest is None:
            ids = _are_category_ids(file, said, found, options.category_ids, record, made_here)
            allowed = found["category_ids"] if ids else found["names"]
            count = verify_predictions(file, expected=found["ids"], classes=allowed)
            text = rows_text(file)
        else:
            contest.order(found["ids"])
            count = contest.check(file, text)
            wanted |= {"form": contest.form, "labels_in_a_row": contest.top}
        if verify_only:
            packed = verify_zip(archive) if archive.exists() else []
            if packed:
                _same_predictions(archive, file, text)
        else:
            used = {**PLAIN, "category_ids": ids} | (record if made_here else {}) | wanted
            contents = submission_contents(selection, text, used, found, Path(temporary), half)
            packed = write_zip(archive, contents)
    return SubmissionReport(
        run=selection.folder,
        notes=selection.notes,
        predictions=file,
        rows=count,
        made_here=made_here,
        output=archive if packed else None,
        bytes=archive.stat().st_size if packed else 0,
        files=tuple((one.name, one.bytes) for one in packed),
        parts=_parts(packed),
        model=in_megabytes(sum(one.bytes for one in packed if one.name.startswith("model/"))),
        verified_only=verify_only,
    )


def _wanted_form(options: SubmitOptions, record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the template, the form and the labels in a row that predictions must have.

    record: of the predictions, if this run made them.
    """
    like = record.get("like") if options.like is None else options.like.expanduser().absolute()
    same = options.like is None or str(like) == str(record.get("like"))
    kept = record if same and options.form in (None, record.get("form")) else {}
    form = options.form or kept.get("form") or (None if like is not None else "labels")
    return {
        "like": None if like is None else str(like),
        "form": form,
        "labels_in_a_row": kept.get("labels_in_a_row"),
    }


def _collect_weights(
    selection: RunSelection,
    data: Path | None,
    category_ids: bool,
    half: bool,
    place: Path | None,
    on_progress: ProgressCallback,
) -> dict[str, Any]:
    """Return the test set's ids and what labels may be, and write the weights into `place`.

    category_ids: whether category ids are asked for; where they are not known, DataError is raised.
    """
    from tunewright.classification.delivery.export import write_safetensors
    from tunewright.classification.inference.ensemble import Blend

    on_progress("opening", 0, 1)
    members = open_members(selection)
    blend = Blend(members, selection.weights)
    table = test_table(members[0], data)
    models = []
    if place is not None:
        names = names_of_models(len(members))
        for number, (one, found, name) in enumerate(
            zip(selection.members, members, names, strict=True)
        ):
            on_progress("writing weights", number, len(members))
            tree = RunFolder(one.path).read_config()
            write_safetensors(found, place / name, tree, half=half)
            model = tree.get("model")
            models.append(
                {
                    "weights": name,
                    "recipe": tree.get("recipe"),
                    "model": model.get("name", "-") if isinstance(model, dict) else "-",
                    "parameters": sum(p.numel() for p in found.model.parameters()),
                    "bytes": (place / name).stat().st_size,
                    "size": found.size,
                }
            )
    texts = {name: list(known) for name, known in class_texts(blend, category_ids).items()}
    # The file says which labels were chosen: only their names and separators are checked.
    several = several_labels(blend, [0.5] * len(blend.classes) if blend.multi_label else None)
    return {
        "several": several,
        "ids": list(table.ids),
        "digest": ids_digest(table.ids),
        "labels": texts["labels"],
        "names": list(label_names(blend, category_ids=False)),
        "category_ids": _known_ids(blend, category_ids),
        "texts": texts,
        "models": models,
    }


def _known_ids(blend: "Blend", needed: bool) -> list[str]:
    """Return the category id of each class; empty where they are not known, nor needed."""
    try:
        return list(label_names(blend, category_ids=True))
    except DataError:
        if needed:
            raise
        return []


def _are_category_ids(
    file: Path,
    said: Set[str],
    found: Mapping[str, Any],
    asked: bool | None,
    record: Mapping[str, Any],
    made_here: bool,
) -> bool:
    """Return whether the labels of a file are category ids: as asked, as recorded, or as they fit.

    Raises DataError, with the option that says so, where they are of the other kind than asked.
    """
    ids, names = said <= {*found["category_ids"]}, said <= {*found["names"]}
    if asked is None and made_here:
        return bool(record.get("category_ids"))
    if asked is None:
        return ids if ids != names else bool(record.get("category_ids") and found["category_ids"])
    if asked and names and not ids:
        raise DataError(
            f"{file} holds labels", expected="category ids", remedy="Submit it with --labels."
        )
    if not asked and ids and not names:
        raise DataError(
            f"{file} holds category ids", expected="labels", remedy="Submit it with --category-ids."
        )
    return asked


def _parts(packed: list[PackedFile]) -> dict[str, int]:
    """Return the bytes of `code`, `model`, `result` and the rest, before compression."""
    parts: dict[str, int] = {}
    for one in packed:
        top = one.name.partition("/")[0]
        parts[top] = parts.get(top, 0) + one.bytes
    return parts


def _same_predictions(archive: Path, file: Path, text: str) -> None:
    with zipfile.ZipFile(archive) as opened:
        if opened.read(PREDICTIONS) != text.encode():
            raise DataError(
                f"{archive} holds other predictions than {file}",
                remedy="Pack it again: tunewright submit RUN",
            )
