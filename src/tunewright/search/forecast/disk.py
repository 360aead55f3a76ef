"""Forecast of the largest disk usage of a study."""

from pathlib import Path

from tunewright.analysis.winner.race import count_arms
from tunewright.runs.folder import RunFolder

DATABASE_BYTES = 200_000
"""Bytes of an empty study database."""
TRIAL_BYTES = 4_000
"""Bytes that a trial adds to the database, and again for every fifty of its reports."""
EVALUATION_BYTES = 5_000_000
"""Assumed bytes of an evaluation (a page that opens offline) until one was measured."""
REPORT_BYTES = 5_000_000
"""Bytes of a study's report: mostly the script that draws its charts."""


def folder_bytes(folder: Path) -> int:
    """Return the size of all files below a folder, in bytes."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def run_bytes(run: RunFolder) -> tuple[int, int]:
    """Return the bytes of a run's folder without its checkpoints, and the bytes of these."""
    weights = folder_bytes(run.checkpoints)
    return folder_bytes(run.path) - weights, weights


def study_bytes(
    run: int,
    weights: int,
    *,
    trials: int,
    reports: float,
    slots: int,
    final: bool,
    pages: int,
    replicates: int = 0,
) -> int:
    """Return the peak bytes of a study whose running trials and best trial keep their weights.

    Finished trials other than the best keep no weights. reports: of a whole trial, as measured: a
    function reports when it likes, whatever its last step may be. pages: bytes of the evaluation
    and of the study's report, counted once. replicates: of the best configurations, of which each
    keeps the weights of one until the winner is known.
    """
    database = DATABASE_BYTES + trials * TRIAL_BYTES * (1 + int(reports) // 50)
    kept = slots + 1 + final + count_arms(replicates)
    return run * (trials + replicates) + weights * kept + pages + database
