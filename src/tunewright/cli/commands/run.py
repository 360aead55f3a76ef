"""The commands about one run: train, evaluate, show, lr-find, replay."""

from pathlib import Path
from typing import Annotated

import typer

from tunewright.cli.options import (
    FOREIGN,
    TRAIN,
    ConfigDir,
    ConfigFile,
    ConfigName,
    RunsDir,
    Verbose,
    Words,
    app,
    console,
    verbose_logs,
)


@app.command(context_settings=FOREIGN, rich_help_panel=TRAIN)
def train(
    words: Words = None,
    resume: Annotated[
        Path | None, typer.Option("--resume", help="A stopped run to resume: folder or name.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the run folder.")] = None,
    config: ConfigFile = None,
    config_dir: ConfigDir = None,
    config_name: ConfigName = None,
    runs_dir: RunsDir = Path("runs"),
    verbose: Verbose = False,
) -> None:
    """Train one configuration in full, or resume an interrupted run.

    Run the same command again to resume.
    """
    from tunewright import api
    from tunewright.cli.output.results import print_trained
    from tunewright.cli.output.screen import ScreenCallback

    verbose_logs(verbose)
    screen = console()
    with ScreenCallback(screen, verbose=verbose) as watch:
        trained = api.train(
            *(words or []),
            resume=resume,
            name=name,
            config=config,
            config_dir=config_dir,
            config_name=config_name,
            runs_dir=runs_dir,
            watch=watch,
        )
    print_trained(screen, trained)


@app.command(rich_help_panel=TRAIN)
def evaluate(
    run: Annotated[
        Path | None,
        typer.Argument(
            help="A run or study folder, or its name in --runs-dir (default: the newest run)."
        ),
    ] = None,
    split: Annotated[str | None, typer.Option(help="train, valid or test.")] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="Evaluate on this folder of pictures instead (compression)."),
    ] = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option(help="The same as RUN: a run folder, or checkpoints/best.safetensors in one."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    runs_dir: RunsDir = Path("runs"),
    verbose: Verbose = False,
) -> None:
    """Evaluate a trained run, with simple baselines for comparison.

    The default is the test split of the run's own data.
    """
    from tunewright import api
    from tunewright.cli.output.results import print_evaluation
    from tunewright.errors import UsageError

    if run is not None and checkpoint is not None:
        raise UsageError(
            f"the run {run} and --checkpoint {checkpoint}",
            expected="one of them: they mean the same",
        )
    found, result = api.evaluate(run or checkpoint, split=split, data=data, runs_dir=runs_dir)
    print_evaluation(console(), found, result, as_json=as_json)


@app.command(context_settings=FOREIGN, rich_help_panel=TRAIN)
def show(
    words: Words = None,
    config: ConfigFile = None,
    config_dir: ConfigDir = None,
    config_name: ConfigName = None,
    verbose: Verbose = False,
) -> None:
    """Print the configuration and where each value comes from."""
    from tunewright import api
    from tunewright.cli.output.results import print_configuration

    print_configuration(
        api.show(*(words or []), config=config, config_dir=config_dir, config_name=config_name)
    )


@app.command("lr-find", context_settings=FOREIGN, rich_help_panel=TRAIN)
def lr_find(
    words: Words = None,
    low: Annotated[float, typer.Option(help="Lowest learning rate of the sweep.")] = 1e-7,
    high: Annotated[float, typer.Option(help="Highest learning rate of the sweep.")] = 10.0,
    steps: Annotated[int, typer.Option(help="Number of training steps.")] = 100,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    config: ConfigFile = None,
    config_dir: ConfigDir = None,
    config_name: ConfigName = None,
    runs_dir: RunsDir = Path("runs"),
    verbose: Verbose = False,
) -> None:
    """Run a learning-rate sweep and suggest a learning rate.

    Nothing is suggested where the curve is too noisy.
    """
    from tunewright import api
    from tunewright.cli.output.results import print_sweep

    verbose_logs(verbose)
    result = api.lr_find(
        *(words or []),
        low=low,
        high=high,
        steps=steps,
        config=config,
        config_dir=config_dir,
        config_name=config_name,
        runs_dir=runs_dir,
    )
    print_sweep(console(), result, words or [], as_json=as_json)


@app.command(rich_help_panel=TRAIN)
def replay(
    run: Annotated[Path, typer.Argument(help="A run or study folder, or a name in --runs-dir.")],
    options: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="The tracker's options.")
    ] = None,
    to: Annotated[str, typer.Option(help="tensorboard, mlflow or wandb.")] = "mlflow",
    runs_dir: RunsDir = Path("runs"),
    verbose: Verbose = False,
) -> None:
    """Copy a stored run, or a whole study, to an experiment tracker."""
    from tunewright import api
    from tunewright.cli.output.results import print_replayed

    replayed = api.replay(run, *(options or []), to=to, runs_dir=runs_dir)
    print_replayed(replayed, to)
