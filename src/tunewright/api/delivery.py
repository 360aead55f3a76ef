"""Deliverables of trained classifiers: predictions, ensembles, checks, exports, submissions."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunewright.api.requests import RUNS
from tunewright.errors import UsageError

if TYPE_CHECKING:  # imported in the functions: the coordinator has no torch
    from tunewright.deliver.classification.check import CheckReport
    from tunewright.deliver.progress import ProgressCallback


def predict(
    run: Path | str | None = None,
    *words: str,
    data: Path | str | None = None,
    output: Path | str = "predictions.csv",
    checkpoint: Path | str | None = None,
    tta: bool = False,
    views: str | Sequence[str] = (),
    force: bool = False,
    probabilities: Path | str | None = None,
    logit_adjustment: float = 0.0,
    skip_bad: bool = False,
    category_ids: bool = False,
    batch_size: int | None = None,
    runs_dir: Path | str = RUNS,
    on_progress: "ProgressCallback | None" = None,
) -> "Mapping[str, Any]":
    """Predict a label for every picture of `data`, into a CSV file; default: the newest run.

    words: views beside the picture and its mirror image, such as `"tta.rotate=5"`. on_progress:
    called with the piece of work, how much is done, and how much there is; None shows it on
    standard error. See `deliver.classification.predict.predict`.
    """
    from tunewright.deliver.classification.predict import predict as predict_pictures
    from tunewright.deliver.progress import progress_or_default

    run, of_views = _run_and_views(run, words)
    with progress_or_default(on_progress) as report:
        return predict_pictures(
            run,
            data=data,
            output=output,
            checkpoint=checkpoint,
            tta=tta,
            views=views,
            words=of_views,
            force=force,
            probabilities=probabilities,
            logit_adjustment=logit_adjustment,
            skip_bad=skip_bad,
            category_ids=category_ids,
            batch_size=batch_size,
            runs=Path(runs_dir),
            on_progress=report,
        )


def benchmark(
    run: Path | str | None = None,
    *words: str,
    checkpoint: Path | str | None = None,
    input_size: int = 600,
    tta: bool = False,
    views: str | Sequence[str] = (),
    runs_dir: Path | str = RUNS,
    on_progress: "ProgressCallback | None" = None,
) -> "Mapping[str, Any]":
    """Measure the latency of one picture, from its file to its label.

    See `deliver.classification.check.benchmark`.
    """
    from tunewright.deliver.classification.check import benchmark as time_one
    from tunewright.deliver.progress import progress_or_default

    run, of_views = _run_and_views(run, words)
    with progress_or_default(on_progress) as report:
        return time_one(
            run,
            checkpoint=checkpoint,
            input_size=input_size,
            tta=tta,
            views=views,
            words=of_views,
            runs=Path(runs_dir),
            on_progress=report,
        )


def ensemble(
    *named: Path | str,
    method: str = "mean",
    average: str = "probabilities",
    name: str | None = None,
    max_size: str | float = "500MB",
    max_latency: str | float = "100ms",
    runs_dir: Path | str = RUNS,
    on_progress: "ProgressCallback | None" = None,
) -> "Mapping[str, Any]":
    """Average several runs, or the trials of a study.

    See `deliver.classification.ensemble.ensemble`.
    """
    from tunewright.deliver.classification.ensemble import ensemble as join
    from tunewright.deliver.progress import progress_or_default

    with progress_or_default(on_progress) as report:
        return join(
            *named,
            method=method,
            average=average,
            name=name,
            max_size=max_size,
            max_latency=max_latency,
            runs=Path(runs_dir),
            on_progress=report,
        )


def check(
    run: Path | str | None = None,
    *words: str,
    checkpoint: Path | str | None = None,
    max_size: str | float = "500MB",
    max_latency: str | float = "100ms",
    max_params: str | float = "10B",
    input_size: int = 600,
    half: bool = False,
    tta: bool = False,
    views: str | Sequence[str] = (),
    benchmark: bool = False,
    runs_dir: Path | str = RUNS,
    on_progress: "ProgressCallback | None" = None,
) -> "CheckReport":
    """Check size, latency, parameters and input against limits.

    See `deliver.classification.check.check`.
    """
    from tunewright.deliver.classification.check import check as check_limits
    from tunewright.deliver.progress import progress_or_default

    run, of_views = _run_and_views(run, words)
    with progress_or_default(on_progress) as report:
        return check_limits(
            run,
            checkpoint=checkpoint,
            max_size=max_size,
            max_latency=max_latency,
            max_params=max_params,
            input_size=input_size,
            half=half,
            tta=tta,
            views=views,
            words=of_views,
            benchmark=benchmark,
            runs=Path(runs_dir),
            on_progress=report,
        )


def export(
    run: Path | str | None = None,
    *,
    to: str = "safetensors",
    half: bool = False,
    output: Path | str | None = None,
    checkpoint: Path | str | None = None,
    runs_dir: Path | str = RUNS,
    on_progress: "ProgressCallback | None" = None,
) -> "Mapping[str, Any]":
    """Export a run as a file for other programs, with a parity check.

    See `deliver.classification.export.export`.
    """
    from tunewright.deliver.classification.export import export as export_run
    from tunewright.deliver.progress import progress_or_default

    with progress_or_default(on_progress) as report:
        return export_run(
            run,
            to=to,
            half=half,
            output=output,
            checkpoint=checkpoint,
            runs=Path(runs_dir),
            on_progress=report,
        )


def submit(
    run: Path | str | None = None,
    *,
    predictions: Path | str = "predictions.csv",
    output: Path | str = "submission.zip",
    data: Path | str | None = None,
    checkpoint: Path | str | None = None,
    half: bool = False,
    category_ids: bool | None = None,
    verify_only: bool = False,
    runs_dir: Path | str = RUNS,
    on_progress: "ProgressCallback | None" = None,
) -> "Mapping[str, Any]":
    """Pack checked predictions, weights and code in a ZIP.

    See `deliver.classification.submit.submit`.
    """
    from tunewright.deliver.classification.submit import submit as pack
    from tunewright.deliver.progress import progress_or_default

    with progress_or_default(on_progress) as report:
        return pack(
            run,
            predictions=predictions,
            output=output,
            data=data,
            checkpoint=checkpoint,
            half=half,
            category_ids=category_ids,
            verify_only=verify_only,
            runs=Path(runs_dir),
            on_progress=report,
        )


def _run_and_views(
    run: Path | str | None, words: tuple[str, ...]
) -> tuple[Path | str | None, dict[str, str]]:
    """Return the run among the words, and the other words as settings of views.

    `tta.rotate=5`, or `rotate=5` for short.
    """
    from tunewright.classification.inference.tta_views import NAMES

    def of_views(word: str) -> bool:
        name, equals, _ = word.partition("=")
        return bool(equals) and (name.startswith("tta.") or name in NAMES)

    if isinstance(run, str) and of_views(run):
        words = (run, *words)
        run = None
    for word in words:
        if not of_views(word):
            raise UsageError(
                f"{word!r}",
                expected="one run, then views: " + ", ".join(f"tta.{name}" for name in NAMES),
                remedy="The other settings of a run come from its training.",
            )
    return run, dict(word.split("=", 1) for word in words)
