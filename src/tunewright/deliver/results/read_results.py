"""Read whatever a folder holds of trainings: studies, result folders, W&B runs, CSV files."""

from collections.abc import Iterator
from pathlib import Path

from tunewright.deliver.results.csv_results import read_csv_results
from tunewright.deliver.results.result_folders import is_result_folder, read_result_folders
from tunewright.deliver.results.result_set import ResultSet
from tunewright.deliver.results.study_results import read_study_results
from tunewright.deliver.results.wandb_results import read_wandb_runs
from tunewright.errors import DataError
from tunewright.runs.regular_files import is_file, is_folder
from tunewright.runs.wandb.offline_run import find_offline_runs

DEPTH = 4
"""Levels of folders that are searched for results."""
EXPECTED = (
    "a study, a folder of studies, folders lambda_<l>_gamma_<g>_wlr_<w> with metrics.json, offline "
    "runs of W&B, or CSV files"
)


def read_results(place: Path) -> ResultSet:
    """Return the results in a folder and the folders in it, or in one CSV file.

    Raises DataError where there are none, with what was found instead.
    """
    if is_file(place) and place.suffix.lower() == ".csv":
        found = read_csv_results(place)
    elif is_folder(place):
        found = _read_folder(place)
    else:
        there = "is no folder and no CSV file" if place.exists() else "does not exist"
        raise DataError(f"{place} {there}", expected=EXPECTED)
    if not found.results:
        why = f"; {'; '.join(found.notices[:3])}" if found.notices else ""
        raise DataError(f"{place} holds no result of a training{why}", expected=EXPECTED)
    return found


def _read_folder(place: Path) -> ResultSet:
    """Read a folder by what its folders are; a study's and a W&B run's insides are their own."""
    studies, results, tables, runs = [], [], [], []
    for folder in _walk(place, DEPTH):
        if (folder / "study.yaml").is_file():
            studies.append(folder)
        elif is_result_folder(folder):
            results.append(folder)
        else:
            tables += sorted(file for file in folder.glob("*.csv") if file.is_file())
            runs += find_offline_runs(folder)
    found = ResultSet()
    for study in studies:
        found += read_study_results(study)
    if results:
        found += read_result_folders(results)
    if runs:
        found += read_wandb_runs(list(dict.fromkeys(runs)))
    for table in tables:
        found += read_csv_results(table)
    return found


def _walk(folder: Path, depth: int) -> Iterator[Path]:
    """Yield a folder and those in it, except inside studies and results; links are not followed."""
    yield folder
    if depth == 0 or (folder / "study.yaml").is_file() or is_result_folder(folder):
        return
    for inner in sorted(folder.iterdir()):
        if inner.is_dir() and not inner.is_symlink() and not inner.name.startswith("."):
            yield from _walk(inner, depth - 1)
