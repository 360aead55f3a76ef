"""The commands about one run: train, evaluate, show, schedule, lr-find, replay."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tunewright.cli.command import JSON, command
from tunewright.cli.options import (
    RUNS,
    TRAIN,
    ConfigDir,
    ConfigFile,
    ConfigName,
    RunsDir,
    Word,
    Yes,
)
from tunewright.errors import UsageError

if TYPE_CHECKING:
    from tunewright.config.compose import Composition
    from tunewright.deliver.lr_find import LrSweep
    from tunewright.deliver.progress import ProgressCallback
    from tunewright.deliver.replay import ReplayedRun, ReplayReport
    from tunewright.deliver.schedule import ScheduleTable
    from tunewright.search.callbacks import StudyCallback
    from tunewright.search.evaluate_run import Evaluation
    from tunewright.search.training_run import TrainResult


@command(TRAIN, prints="results:print_trained", guide_flags=True)
def train(
    *words: Word,
    resume: Annotated[
        Path | str | None,
        typer.Option("--resume", help="A run to go on with: folder or name."),
    ] = None,
    trial: Annotated[
        int | None, typer.Option("--trial", help="Train this trial of a study: STUDY --trial 17.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the run folder.")] = None,
    yes: Yes = False,
    config: ConfigFile = None,
    config_dir: ConfigDir = None,
    config_name: ConfigName = None,
    runs_dir: RunsDir = RUNS,
    watch: "StudyCallback | None" = None,
) -> "TrainResult":
    """Train one configuration in full, or resume an interrupted run.

    Run the same command again to resume. A finished run trains longer with --resume RUN
    training.epochs=N. With STUDY --trial N, train a trial of a study in full.

    In Python, return the runs and their scores, several where `seeds` are given. A run that is
    resumed continues with the configuration in its folder. watch: receives the epochs. Raises
    UsageError for words that would change it, besides a larger `training.epochs` and another
    `training.patience`. yes: run a command that only a stored file names.
    """
    from tunewright.cli.confirm import confirm_command
    from tunewright.cli.requests import request_of, runs_of, trial_request
    from tunewright.request import parse_request, parse_resume
    from tunewright.search.resume import find_stopped_run
    from tunewright.search.resume import resume as resume_run
    from tunewright.search.stages import train as train_stage
    from tunewright.typed_arguments import Configs

    configs = Configs(config, config_dir, config_name)
    if resume is not None:
        if name is not None or trial is not None or any(configs):
            raise UsageError(
                f"--resume {resume} with another option that names a run or a configuration",
                expected="the run alone, which has both",
            )
        folder = find_stopped_run(Path(resume), Path(runs_dir))
        before = parse_request((), command="train", configs=Configs(folder.config))
        wanted = parse_resume([str(word) for word in words], folder.config)
        confirm_command(wanted, yes=yes, resumes=True)
        tree = before.composed.tree
        return resume_run(before.recipe, wanted.composed, folder, before=tree, watch=watch)
    if trial is not None:
        request, own_name = trial_request(train, trial, words, configs, runs_dir)
        name = name or own_name
    else:
        request = request_of(train, words, configs)
    confirm_command(request, yes=yes)
    runs = runs_of(request, runs_dir)
    return train_stage(request.recipe, request.composed, name=name, runs=runs, watch=watch)


@command(TRAIN, prints="results:print_evaluation", switches=[JSON])
def evaluate(
    run: Annotated[
        Path | str | None,
        typer.Argument(
            help="A run or study folder, or its name in --runs-dir (default: the newest run)."
        ),
    ] = None,
    *,
    split: Annotated[str | None, typer.Option(help="train, valid or test.")] = None,
    data: Annotated[
        Path | str | None,
        typer.Option(
            help="Evaluate on other data instead: a folder of classes, a zip or a labelled table; "
            "of a compressor, a folder of pictures; of retina, patients in any layout."
        ),
    ] = None,
    checkpoint: Annotated[
        Path | str | None,
        typer.Option(help="The same as RUN: a run folder, or checkpoints/best.safetensors in one."),
    ] = None,
    runs_dir: RunsDir = RUNS,
    on_progress: "ProgressCallback | None" = None,
) -> "Evaluation":
    """Evaluate a trained run, with simple baselines for comparison.

    The default is the test split of the run's own data.

    In Python, return the folder of the run and its metrics. on_progress: called with the piece of
    work, how much is done, how much there is; None shows it on standard error. See
    `deliver.evaluate.evaluate`.
    """
    from tunewright.deliver.evaluate import evaluate as evaluate_run
    from tunewright.deliver.find_run import run_or_checkpoint

    runs = Path(runs_dir)
    named = run_or_checkpoint(run, checkpoint, runs)
    return evaluate_run(named, split=split, data=data, runs=runs, on_progress=on_progress)


@command(TRAIN, prints="configuration:print_configuration", guide_flags=True)
def show(
    *words: Word,
    config: ConfigFile = None,
    config_dir: ConfigDir = None,
    config_name: ConfigName = None,
) -> "Composition":
    """Print the configuration and where each value comes from.

    In Python, return the composed configuration.
    """
    from tunewright.cli.requests import request_of
    from tunewright.typed_arguments import Configs

    return request_of(show, words, Configs(config, config_dir, config_name)).composed


@command(TRAIN, prints="schedule:print_schedule", switches=[JSON], guide_flags=True)
def schedule(
    *words: Word,
    output: Annotated[
        Path | str | None,
        typer.Option(
            help="Draw one file: .png, .svg, .pdf or .html (default: files in --runs-dir)."
        ),
    ] = None,
    config: ConfigFile = None,
    config_dir: ConfigDir = None,
    config_name: ConfigName = None,
    runs_dir: RunsDir = RUNS,
) -> "ScheduleTable":
    """Show the learning rate at key epochs, before training.

    For compression also gamma, under each strategy. Nothing is trained.

    In Python, return the values, by name, and the files that were drawn. See
    `deliver.schedule.schedule`.
    """
    from tunewright.cli.requests import request_of, runs_of
    from tunewright.deliver.schedule import schedule as tabulate
    from tunewright.typed_arguments import Configs

    request = request_of(schedule, words, Configs(config, config_dir, config_name))
    file = None if output is None else Path(output)
    runs = runs_of(request, runs_dir)
    return tabulate(request.recipe, request.composed, output=file, runs=runs)


@command(TRAIN, prints="results:print_sweep", switches=[JSON], guide_flags=True)
def lr_find(
    *words: Word,
    low: Annotated[float, typer.Option(help="Lowest learning rate of the sweep.")] = 1e-7,
    high: Annotated[float, typer.Option(help="Highest learning rate of the sweep.")] = 10.0,
    steps: Annotated[int, typer.Option(help="Number of training steps.")] = 100,
    config: ConfigFile = None,
    config_dir: ConfigDir = None,
    config_name: ConfigName = None,
    runs_dir: RunsDir = RUNS,
) -> "LrSweep":
    """Run a learning-rate sweep and suggest a learning rate.

    Nothing is suggested where the curve is too noisy.

    In Python, return the curve, what it suggests, or why it suggests nothing.
    """
    from tunewright.cli.requests import request_of, runs_of
    from tunewright.deliver.lr_find import lr_find as sweep
    from tunewright.typed_arguments import Configs

    request = request_of(lr_find, words, Configs(config, config_dir, config_name))
    runs = runs_of(request, runs_dir)
    found = sweep(request.recipe, request.composed, runs=runs, low=low, high=high, steps=steps)
    return replace(found, words=tuple(str(word) for word in words))


@command(TRAIN, prints="results:print_replayed")
def replay(
    run: Annotated[
        Path | str, typer.Argument(help="A run or study folder, or a name in --runs-dir.")
    ],
    *options: Annotated[
        str, typer.Argument(metavar="[KEY=VALUE]...", help="The tracker's options.")
    ],
    to: Annotated[str, typer.Option(help="tensorboard, mlflow or wandb.")] = "mlflow",
    runs_dir: RunsDir = RUNS,
    on_replayed: "Callable[[ReplayedRun], None] | None" = None,
) -> "ReplayReport":
    """Copy a stored run, or a whole study, to an experiment tracker.

    In Python, a repeat changes nothing either; `on_replayed` is called after each run.
    """
    from tunewright.deliver.replay import replay as push

    for option in options:
        if "=" not in option:
            raise UsageError(f"{option!r}", expected="options of the tracker as key=value")
    given = dict(option.split("=", 1) for option in options)
    return push(run, to=to, options=given, runs=Path(runs_dir), on_replayed=on_replayed)
