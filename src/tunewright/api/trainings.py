"""Functions about single trainings: train, evaluate, show, lr_find, augment, replay, models."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunewright.api.requests import RUNS, path_of, request_of, runs_of
from tunewright.config.compose import Composition
from tunewright.errors import UsageError
from tunewright.request import parse_request, parse_resume

if TYPE_CHECKING:  # imported in the functions: `show` needs neither Optuna nor NumPy
    from tunewright.deliver.progress import ProgressCallback
    from tunewright.deliver.replay import ReplayedRun
    from tunewright.runs.folder import RunFolder
    from tunewright.search.callbacks import StudyCallback
    from tunewright.search.training_run import TrainResult


def train(
    *words: str,
    resume: Path | str | None = None,
    name: str | None = None,
    config: Path | str | None = None,
    config_dir: Path | str | None = None,
    config_name: str | None = None,
    runs_dir: Path | str = RUNS,
    watch: "StudyCallback | None" = None,
) -> "TrainResult":
    """Train one configuration in full, by one seed or several; the same call resumes.

    resume: a run that was stopped, by its folder or its name; it continues with the configuration
    in its folder. Raises UsageError for words that would change it.
    """
    if resume is not None:
        if name is not None or any((config, config_dir, config_name)):
            raise UsageError(
                f"--resume {resume} with another option that names a run or a configuration",
                expected="the run alone, which has both",
            )
        return _resume(Path(resume), words, Path(runs_dir), watch)
    from tunewright.search.stages import train as train_stage

    request = request_of(train, words, config, config_dir, config_name)
    runs = runs_of(request, runs_dir)
    return train_stage(request.recipe, request.composed, name=name, runs=runs, watch=watch)


def evaluate(
    run: Path | str | None = None,
    *,
    split: str | None = None,
    data: Path | str | None = None,
    runs_dir: Path | str = RUNS,
    on_progress: "ProgressCallback | None" = None,
) -> "tuple[RunFolder, Mapping[str, Any]]":
    """Evaluate a trained run on a split, by default test; return its folder and its metrics.

    run: a run or study folder, a file in one, or a name in `runs_dir`; None is the newest one.
    data: a folder of pictures to measure it on instead, where its recipe can. on_progress: called
    with the piece of work, how much is done, how much there is; None shows it on standard error.
    """
    from tunewright.deliver.evaluate import evaluate as evaluate_run
    from tunewright.deliver.progress import progress_or_default

    with progress_or_default(on_progress) as report:
        return evaluate_run(run, split=split, data=data, runs=Path(runs_dir), on_progress=report)


def show(
    *words: str,
    config: Path | str | None = None,
    config_dir: Path | str | None = None,
    config_name: str | None = None,
) -> Composition:
    """Return the composed configuration, and where each value comes from."""
    return request_of(show, words, config, config_dir, config_name).composed


def lr_find(
    *words: str,
    low: float = 1e-7,
    high: float = 10.0,
    steps: int = 100,
    config: Path | str | None = None,
    config_dir: Path | str | None = None,
    config_name: str | None = None,
    runs_dir: Path | str = RUNS,
) -> "Mapping[str, Any]":
    """Run a learning-rate sweep; return what it suggests, or why it suggests nothing."""
    from tunewright.deliver.lr_find import lr_find as sweep

    request = request_of(lr_find, words, config, config_dir, config_name)
    runs = runs_of(request, runs_dir)
    return sweep(request.recipe, request.composed, runs=runs, low=low, high=high, steps=steps)


def augment(
    *words: str,
    level: str | None = None,
    output: Path | str | None = None,
    config: Path | str | None = None,
    config_dir: Path | str | None = None,
    config_name: str | None = None,
    runs_dir: Path | str = RUNS,
) -> "Mapping[str, Any]":
    """Draw training pictures beside versions augmented by `level`, or by each level.

    output: a PNG file. See `deliver.classification.augment.augment`.
    """
    from tunewright.deliver.classification.augment import augment as draw

    request = request_of(augment, words, config, config_dir, config_name)
    runs = runs_of(request, runs_dir)
    return draw(request.recipe, request.composed, level=level, output=path_of(output), runs=runs)


def replay(
    run: Path | str,
    *options: str,
    to: str = "mlflow",
    runs_dir: Path | str = RUNS,
    on_replayed: "Callable[[ReplayedRun], None] | None" = None,
) -> "list[ReplayedRun]":
    """Copy a stored run, or all runs of a study, to a tracker; a repeat changes nothing.

    options: the tracker's own, as `key=value`. on_replayed: called after each run.
    """
    from tunewright.deliver.replay import replay as push

    for option in options:
        if "=" not in option:
            raise UsageError(f"{option!r}", expected="options of the tracker as key=value")
    given = dict(option.split("=", 1) for option in options)
    return push(run, to=to, options=given, runs=Path(runs_dir), on_replayed=on_replayed)


def models(wanted: str = "", *, classes: int = 100, limit: int = 40) -> Mapping[str, Any]:
    """List image models with parameters, exported sizes, input size and licence.

    See `deliver.classification.models.models`.
    """
    from tunewright.deliver.classification.models import models as list_models

    return list_models(wanted, classes=classes, limit=limit)


def _resume(
    run: Path, words: tuple[str, ...], runs: Path, watch: "StudyCallback | None"
) -> "TrainResult":
    from tunewright.search.resume import find_stopped_run, resume

    folder = find_stopped_run(run, runs)
    before = parse_request((), command="train", config=folder.config)
    wanted = parse_resume(words, folder.config)
    return resume(before.recipe, wanted.composed, folder, before=before.composed.tree, watch=watch)
