"""`tunewright ensemble`: several runs as one, or their soup, and whether that gains anything."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tunewright.deliver.classification.average_predictions import average_predictions
from tunewright.deliver.classification.average_weights import average_weights
from tunewright.deliver.classification.ensemble_report import (
    MADE_OF,
    EnsembleOptions,
    EnsembleReport,
    made_of,
    write_made_ensemble,
)
from tunewright.deliver.classification.limits import Limits, read_limits
from tunewright.deliver.find_run import NamedRun, find_run
from tunewright.deliver.progress import ProgressCallback
from tunewright.deliver.select_runs import (
    RunSelection,
    member,
    of_study,
    run_in_subprocess,
    study_of,
    threads,
)
from tunewright.errors import DataError, UsageError, did_you_mean
from tunewright.runs.atomic import read_json
from tunewright.search.reporting.trial_ensemble import predicted_runs, without_weights

AVERAGED = ("mean", "weighted", "greedy")
SOUPS = ("soup", "greedy-soup")
METHODS = (*AVERAGED, *SOUPS)
AVERAGES = {"probabilities": "probabilities", "logits": "geometric", "geometric": "geometric"}
"""What can be averaged; of logits is the geometric mean of probabilities, once normalised."""


def ensemble(
    named: Sequence[Path | str],
    *,
    method: str | None = None,
    average: str = "probabilities",
    limits: Limits | None = None,
    name: str | None = None,
    runs: Path = Path("runs"),
    on_progress: ProgressCallback | None = None,
) -> EnsembleReport:
    """Make one classifier of several; `predict`, `check` and `submit` take it as a run.

    named: runs, or studies, which stand for all of their trials with weights. method: None is
    `greedy` for studies alone, of whose trials nobody has picked any, else `mean`. `weighted`, by
    likelihood on the validation set; `greedy`, Caruana's selection with replacement; `soup` and
    `greedy-soup`, which average weights of one architecture and write a run. name: of the folder in
    `runs`. The gain over the best single run has a paired interval, and is measured on rows that
    did not choose the weights; of one study it stands in its report. Raises DataError for runs that
    do not fit together.
    """
    studies = [study_of(Path(given).expanduser(), runs) for given in named]
    if method is None:
        method = "greedy" if studies and all(studies) else "mean"
    if method not in METHODS:
        raise UsageError(
            f"--method {method}",
            expected=f"one of {', '.join(METHODS)}",
            remedy=did_you_mean(method, METHODS),
        )
    if average not in AVERAGES:
        raise UsageError(f"--average {average}", expected=f"one of {', '.join(AVERAGES)}")
    options = EnsembleOptions(method, AVERAGES[average], limits or read_limits())
    found = _find_runs(named, runs)
    selection = RunSelection(
        runs,
        tuple(member(run.folder) for run in found),
        (1.0 / len(found),) * len(found),
        options.average,
        threads(found[0].folder),
        (
            *(note for run in found for note in run.notes),
            *(note for study in studies if study is not None for note in without_weights(study)),
        ),
    )
    kind = "soup" if method in SOUPS else "ensemble"
    folder = _free(runs / (name or kind), made_of(selection, method), given=name is not None)
    selection = replace(selection, folder=folder)
    work = average_weights if method in SOUPS else average_predictions
    joined: EnsembleReport = run_in_subprocess(selection, work, options, on_progress=on_progress)
    if len(studies) == 1 and studies[0] is not None and joined.runs:
        write_made_ensemble(studies[0], joined)
    return replace(joined, notes=selection.notes)


def _find_runs(named: Sequence[Path | str], runs: Path) -> list[NamedRun]:
    """Return the selected runs, each once, in the order in which they were named."""
    found: list[NamedRun] = []
    for given in named:
        path = Path(given).expanduser()
        of = of_study(path, runs)
        found += map(NamedRun, of) if of is not None else [find_run(path, runs)]
    distinct = list({run.folder.path.resolve(): run for run in found}.values())
    if len(distinct) < 2:
        raise DataError(
            f"{len(distinct)} run(s) with weights in {', '.join(map(str, named)) or 'nothing'}",
            expected="two runs or more, or a study of which several trials kept their weights",
            remedy=_more_weights(named, runs),
        )
    return distinct


def _more_weights(named: Sequence[Path | str], runs: Path) -> str:
    """Return how several runs with weights are made, of a study or of a configuration."""
    study = next((s for given in named if (s := study_of(Path(given), runs)) is not None), None)
    again = "tunewright train CONFIG seeds=[1,2,3]"
    if study is not None:
        ranked = [one.trial for one in predicted_runs(study)] or sorted(study.trial_numbers)[:2]
        place = shlex.quote(str(study.path))
        again = "; ".join(f"tunewright train {place} --trial {n}" for n in ranked[:3]) or again
    return (
        "A search keeps the weights of its best trial, and of more with study.keep_weights=8 from "
        f"its start; train others in full: {again}, and name their folders here."
    )


def _free(wanted: Path, made_of: Mapping[str, Any], *, given: bool) -> Path:
    """`wanted`, or `wanted-2`, ...: the first that is empty or holds the same, to be made again."""
    count = 0
    while True:
        count += 1
        path = wanted if count == 1 else wanted.with_name(f"{wanted.name}-{count}")
        if not path.exists() or read_json(path / MADE_OF) == made_of:
            return path
        if given:
            raise DataError(
                f"{path} holds something else",
                expected="a new name, or the same runs, method and average",
            )
