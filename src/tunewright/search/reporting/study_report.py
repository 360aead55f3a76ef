"""The report of a study: one page of what was found, or one figure in a file."""

import platform
import shlex
import time
from base64 import b64encode
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from tunewright.analysis.history import default_trial, gain_over
from tunewright.errors import TunewrightError
from tunewright.recipes.registry import can_evaluate, find_recipe, recipe_names
from tunewright.reports.pages.study_page import write_study_page
from tunewright.reports.report_file import ReportFile
from tunewright.reports.study.contents import (
    Command,
    EvaluationFigures,
    EvaluationPicture,
    FailureLog,
    StudyContents,
)
from tunewright.reports.study.kinds import write_figure
from tunewright.runs.atomic import read_json, read_yaml
from tunewright.runs.folder import RunFolder, StudyFolder
from tunewright.search.reporting.study_view import StudyView
from tunewright.search.reporting.trial_ensemble import MADE, stored_ensemble
from tunewright.search.results import winner_folder

LOG_LINES = 12
"""Last lines of a failed trial's log on the page; the error stands there."""
LOG_BYTES = 8192
"""Bytes at the end of a log that are read for them."""
CAUSES = 8
"""Causes of failures whose log is shown."""
PICTURE_BYTES = 700_000
"""Size of a picture that is part of the page, at most."""
PNG = b"\x89PNG"
TITLES = {
    "retrieval": "What is retrieved: a check marks the right image, a cross a wrong one",
    "mistakes": "The most confident mistakes",
}
"""Titles of the pictures that evaluations draw, by the beginning of their names."""
ASKED = 5
"""Trials whose outcome says whether they used a GPU."""
DIGITS = 16
"""Characters of a fingerprint that are shown."""
PACKAGES = ("tunewright", "torch", "optuna", "timm", "numpy")


def report_study(
    view: StudyView,
    *,
    output: Path | None = None,
    figure: str | None = None,
    importance: str = "ped-anova",
) -> ReportFile:
    """Write the report of a study, or one figure of it; nothing is written into the study itself.

    output: the file; None for `report.html` in the study's folder, or in the working folder for a
    study that was read from its database. figure: the kind of figure, see `reports.study.kinds`.
    importance: how importances are computed, see `StudyView.importances`. Raises UsageError for an
    unknown kind, suffix or importance, NotWritten where the disk refuses the file.
    """
    name = view.record.name
    if output is None:
        stem = f"{figure}.html" if figure else "report.html"
        safe = "".join(c if c.isalnum() or c in "-_." else "-" for c in name)
        output = Path(f"{safe}-{stem}")
        if view.folder is not None:
            output = view.folder.path / stem if figure else view.folder.report
    if figure is None or figure in ("importances", "metrics"):
        view = view.with_importances(method=importance)
    contents = study_contents(view, beside=output.parent)
    if figure is not None:
        write_figure(contents, figure, output)
    else:
        write_study_page(contents, output)
    return ReportFile(name, output, figure)


def study_contents(view: StudyView, *, beside: Path | None = None) -> StudyContents:
    """Gather what a report shows. beside: the folder of the page, for links to other files."""
    record, folder = view.record, view.folder
    space = _domains(folder)
    defaults = {path: spec["default"] for path, spec in space.items() if "default" in spec}
    found = None if folder is None else default_trial(record, defaults)
    settings = view.configuration or {}
    return StudyContents(
        record=record,
        overview=view.overview,
        domains=space,
        gain=gain_over(found, record),
        commands=_commands(view),
        failures=_failures(view),
        evaluation=_evaluation(view, beside),
        facts=_facts(view),
        total=(settings.get("study") or {}).get("trials"),
        pairs=_pairs(record.recipe),
        on_gpu=_on_gpu(view),
        made=time.strftime("Written on %Y-%m-%d at %H:%M."),
        audit=view.audit,
        ensemble=stored_ensemble(folder, MADE) or stored_ensemble(folder),
    )


def _pairs(recipe: str) -> Sequence[tuple[str, str]]:
    """Return the parameters that a recipe draws against each other; none of an unknown recipe."""
    if recipe not in recipe_names():
        return ()
    try:
        return find_recipe(recipe).heat_maps
    except TunewrightError:  # of a package that cannot be imported here
        return ()


def _on_gpu(view: StudyView) -> bool | None:
    """Return whether trials used a GPU, by the outcomes of a few of them."""
    if view.folder is None:
        return None
    done = view.record.own[:ASKED]
    outcomes = [view.folder.trial(trial.number).read_outcome() for trial in done]
    known = [outcome for outcome in outcomes if outcome is not None]
    return any(outcome.device_mib > 0.0 for outcome in known) if known else None


def _domains(folder: StudyFolder | None) -> Mapping[str, Mapping[str, Any]]:
    """Return the parameters of a stored space; empty where there is none that can be read."""
    if folder is None or not folder.space.exists():
        return {}
    try:
        found = read_yaml(folder.space).get("parameters") or {}
    except TunewrightError:
        return {}
    return {str(path): spec for path, spec in found.items() if isinstance(spec, Mapping)}


def _commands(view: StudyView) -> Sequence[Command]:
    """Return the commands that reproduce the best trial and go on with the study."""
    folder, record = view.folder, view.record
    if folder is None:
        return ()
    place = shlex.quote(str(folder.path))
    best = shlex.quote(str(folder.best_config))
    found: list[Command] = []
    own_training = not record.is_of_function
    if record.best is not None and own_training:
        train = f"tunewright train {best}"
        found += [
            Command("Train the best configuration again:", train),
            Command(
                "Train it with three seeds, which shows how far it varies:",
                f"{train} seeds=[1,2,3]",
            ),
        ]
        if folder.final.outcome.exists() and can_evaluate(folder.final):
            final = shlex.quote(str(folder.final.path))
            found.append(Command("Evaluate the final model again:", f"tunewright evaluate {final}"))
    again_possible = own_training and not view.context.exhausted
    if again_possible and folder.database.exists():  # the password of a server is typed again
        more = 2 * len(record.own) or 20
        again = f"tunewright tune --resume {place} --trials {more}"
        found.append(Command("Search on, with twice as many trials in all:", again))
    return found


def _failures(view: StudyView) -> Sequence[FailureLog]:
    found: list[FailureLog] = []
    for row in view.overview.failures:
        lines: Sequence[str] = ()
        if view.folder is not None and len(found) < CAUSES:
            lines = last_lines(view.folder.trial(row["trials"][0]).log)
        found.append(FailureLog(row["cause"], row["reason"], row["trials"], lines))
    return found


def last_lines(log: Path) -> list[str]:
    """Return the end of a log; empty where it cannot be read."""
    try:
        with log.open("rb") as stream:
            stream.seek(0, 2)
            stream.seek(max(0, stream.tell() - LOG_BYTES))
            text = stream.read().decode(errors="replace")
    except OSError:
        return []
    return [line[:300] for line in text.splitlines() if line.strip()][-LOG_LINES:]


def _evaluation(view: StudyView, beside: Path | None) -> EvaluationFigures | None:
    """Return the figures of the final model, else of the best trial; None where neither has any."""
    if view.folder is None:
        return None
    best = view.winner
    places: list[tuple[str, RunFolder]] = [
        ("final model", run) for run in view.folder.final.with_seeds()
    ]
    if best is not None and not best.imported_from:
        ran = winner_folder(view.folder, view.record, view.overview.replication)
        places.append((f"trial {best.number}", ran))
    for of, run in places:
        figures = read_json(run.path / "evaluation.json")
        if figures is not None and isinstance(figures.get("metrics"), Mapping):
            return read_evaluation(of, run, figures, beside)
    return None


def read_evaluation(
    of: str, run: RunFolder, figures: Mapping[str, Any], beside: Path | None
) -> EvaluationFigures:
    """Return stored figures of an evaluation as a report shows them.

    of: what they are figures of. beside: as for `study_contents`.
    """
    baselines: Mapping[str, Mapping[str, Any]] = figures.get("baselines") or {}
    rows = [
        {
            "name": name,
            "value": value,
            "interval": figures.get(f"{name}_interval"),
            "others": {other: scores.get(name) for other, scores in baselines.items()},
        }
        for name, value in figures["metrics"].items()
        if isinstance(value, int | float)
    ]
    there = [run.path / name for name in figures.get("files") or ()]
    linked = [
        file.resolve().relative_to(beside.resolve()).as_posix()
        for file in there
        if beside is not None and file.exists() and file.resolve().is_relative_to(beside.resolve())
    ]
    split = figures.get("split")
    named = f"{of}, {split} split" if split else of
    pictures = [
        found for file in there if file.suffix == ".png" and (found := _embed(file)) is not None
    ]
    notes = [str(note).rstrip(".") for note in figures.get("notes") or ()]
    return EvaluationFigures(named, rows, list(baselines), notes, figures, linked, pictures)


def _embed(file: Path) -> EvaluationPicture | None:
    """Return a picture for the page itself; None for a large one, which is a link alone."""
    try:
        if file.stat().st_size > PICTURE_BYTES:
            return None
        content = file.read_bytes()
    except OSError:
        return None
    if not content.startswith(PNG):
        return None
    name = next((text for stem, text in TITLES.items() if file.stem.startswith(stem)), file.stem)
    return EvaluationPicture(name, f"data:image/png;base64,{b64encode(content).decode()}")


def _facts(view: StudyView) -> Sequence[tuple[str, str]]:
    """Return what identifies the study: place, data, seeds, sampler, versions."""
    settings = view.configuration or {}
    study = settings.get("study") or {}
    data = settings.get("data") or {}
    rows: list[tuple[str, Any]] = [
        ("recipe", view.record.recipe),
        ("folder", None if view.folder is None else view.folder.path.resolve()),
        ("storage", view.overview.storage),
        ("data", data.get("dir") or (data and "embedded, drawn by the recipe")),
        *((f"fingerprint of {name}", found[:DIGITS]) for name, found in view.fingerprints.items()),
        ("seed", settings.get("seed")),
        ("seeds a trial", study.get("seeds")),
        ("sampler", (study.get("sampler") or {}).get("type")),
        ("pruner", (study.get("pruner") or {}).get("type")),
        ("epochs trained", view.overview.epochs or None),
        ("trials of other studies", view.overview.carried or None),
    ]
    versions = ", ".join(f"{name} {found}" for name in PACKAGES if (found := _version(name)))
    rows.append(
        ("versions, where this was written", f"Python {platform.python_version()}, {versions}")
    )
    return [(name, str(value)) for name, value in rows if value not in (None, "", {})]


@cache
def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
