"""The result files that the guide promises: a table of a search, and a record of each run.

Imports without torch.
"""

import csv
import io
import re
import time
from statistics import fmean
from typing import Any

from tunewright.config.tree import Tree, get
from tunewright.runs.atomic import read_json, write_json, write_text
from tunewright.runs.folder import RunFolder, StudyFolder
from tunewright.runs.progress import read_progress
from tunewright.runs.record import Outcome, StudyRecord

TABLE = "grid_search_results.csv"
COLUMNS = {"lr": "optim.lr", "batch_size": "training.batch_size", "warmup": "warmup"}
CONFIG = {**COLUMNS, "weight_decay": "optim.weight_decay"}
ACCURACY = "val_accuracy"


def write_search_table(study: StudyFolder, record: StudyRecord) -> None:
    """Write `grid_search_results.csv`: a row for each finished trial, in the order of numbers.

    The columns are the guide's lr, batch_size, warmup and accuracy, which is plain accuracy on the
    validation set and empty where patients have no single class; and the goal where it is another
    metric. Several seeds count as their mean.
    """
    goal = record.goal if record.goal != ACCURACY else ""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow([*COLUMNS, "accuracy", *([goal] if goal else [])])
    for trial in sorted(record.own, key=lambda one: one.number):
        folder = study.trial(trial.number)
        if trial.state != "done" or not folder.config.exists():
            continue
        tree, outcomes = folder.read_config(), [outcome for _, outcome in _finished_runs(folder)]
        table.writerow(
            [
                *(get(tree, path) for path in COLUMNS.values()),
                _mean([outcome.metrics.get(ACCURACY) for outcome in outcomes]),
                *([trial.score] if goal else []),
            ]
        )
    write_text(study.path / TABLE, text.getvalue())


def write_run_records(folder: RunFolder) -> None:
    """Write `run_<time of its end>.json` into a finished run's folder and those of its seeds.

    It holds config, train_loss and val_accuracy of the best epoch, and test_accuracy, which is null
    until the run is evaluated on its test patients. What a run does not measure is null.
    """
    for run, outcome in _finished_runs(folder):
        moment = time.localtime(run.outcome.stat().st_mtime)
        file = run.path / f"run_{time.strftime('%Y%m%d-%H%M%S', moment)}.json"
        for former in run.path.glob("run_*.json"):
            if former != file and re.fullmatch(r"run_\d{8}-\d{6}", former.stem):
                former.unlink()
        write_json(file, _run_record(run, outcome))


def _run_record(run: RunFolder, outcome: Outcome) -> dict[str, Any]:
    tree: Tree = run.read_config()
    best = [one for one in read_progress(run.progress) if one.step == outcome.best_step]
    evaluation = read_json(run.path / "evaluation.json") or {}
    measured = evaluation.get("metrics", {}) if evaluation.get("split") == "test" else {}
    return {
        "config": {name: get(tree, path) for name, path in CONFIG.items()},
        "train_loss": best[0].metrics.get("train_loss") if best else None,
        "val_accuracy": outcome.metrics.get(ACCURACY),
        "test_accuracy": measured.get("accuracy"),
    }


def _finished_runs(folder: RunFolder) -> list[tuple[RunFolder, Outcome]]:
    """Return the finished ones of a run and the runs with its other seeds, with their outcomes."""
    ended = ((run, run.read_outcome()) for run in folder.with_seeds())
    return [(run, outcome) for run, outcome in ended if outcome and outcome.state == "done"]


def _mean(values: list[float | None]) -> float | str:
    known = [value for value in values if value is not None]
    return fmean(known) if known else ""
