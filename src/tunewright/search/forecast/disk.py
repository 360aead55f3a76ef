"""How much disk a study takes at its largest."""

from pathlib import Path

from tunewright.runs.folder import RunFolder

DATABASE_BYTES = 200_000
"""An empty study file."""
TRIAL_BYTES = 4_000
"""What a trial adds to it, and each fifty of its epochs again."""
EVALUATION_BYTES = 5_000_000
"""What an evaluation is believed to write, a page that opens offline, until one was measured."""


def folder_bytes(folder: Path) -> int:
    """All files below a folder."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def run_bytes(run: RunFolder) -> tuple[int, int]:
    """A run's folder without its checkpoints, and these."""
    weights = folder_bytes(run.checkpoints)
    return folder_bytes(run.path) - weights, weights


def study_bytes(
    run: int, weights: int, *, trials: int, epochs: int, slots: int, final: bool, evaluation: int
) -> int:
    """What a study of such runs takes: losers keep no weights, what runs and the best one do.

    evaluation: what that writes, once.
    """
    database = DATABASE_BYTES + trials * TRIAL_BYTES * (1 + epochs // 50)
    return run * trials + weights * (slots + 1 + final) + evaluation + database
