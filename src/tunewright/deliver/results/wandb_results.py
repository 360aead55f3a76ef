"""Read offline runs of Weights & Biases as results."""

from pathlib import Path

from tunewright.analysis.grid.run_result import RunResult
from tunewright.deliver.results.parameter_names import flat_parameters
from tunewright.deliver.results.result_set import ResultSet, shorten_notices
from tunewright.errors import DataError
from tunewright.runs.wandb.offline_run import OfflineRun, read_offline_run

WHOLE = 0.95
"""Share of the steps of the longest run from which a run that ended badly is complete."""


def read_wandb_runs(folders: list[Path]) -> ResultSet:
    """Read W&B runs by their whole history, not by the summary, which holds last values.

    A run that crashed or was killed counts, marked so, if it has as many steps as the longest of
    the others: it may have failed while it plotted. One with fewer is left out.
    """
    runs: list[OfflineRun] = []
    notices: list[str] = []
    for folder in folders:
        try:
            runs.append(read_offline_run(folder))
        except DataError as error:
            notices.append(error.came)
    whole = [run for run in runs if run.exit_code == 0] or runs
    last = max((_last(run) for run in whole), default=0)
    results, short = [], []
    for run in runs:
        notices += run.notices
        ended = "" if run.exit_code == 0 else _ending(run)
        if ended and _last(run) < WHOLE * last:
            short.append(
                f"{run.folder} {ended} at step {_last(run)}, others reach {last}: left out"
            )
            continue
        results.append(_result(run, ended))
    notices += shorten_notices(short, "runs of W&B ended early")
    return ResultSet(tuple(results), tuple(notices))


def _last(run: OfflineRun) -> int:
    return max((step for step, _ in run.history), default=0)


def _ending(run: OfflineRun) -> str:
    return "was killed" if run.exit_code is None else f"ended with exit code {run.exit_code}"


def _result(run: OfflineRun, ended: str) -> RunResult:
    reports: list[tuple[int | None, dict[str, float]]] = [*run.history]
    if not reports:  # an older W&B left only its last values
        numbers = {
            name: float(value)
            for name, value in run.summary.items()
            if isinstance(value, int | float) and not isinstance(value, bool) and name[0] != "_"
        }
        reports = [(None, numbers)]
    name = f"{run.folder} ({run.name})" if run.name else str(run.folder)
    return RunResult(name, flat_parameters(run.config), tuple(reports), ended)
