"""The command line: parse, call, print. Everything heavy is imported inside the commands."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tunewright.errors import RunError, TunewrightError
from tunewright.recipes.pairs.commands import app as pairs  # imports Typer and no more

if TYPE_CHECKING:
    from rich.console import Console

app = typer.Typer(
    name="tunewright",
    help="Tune and fine-tune PyTorch models: a search space in, the best model out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

app.add_typer(pairs, name="pairs", help="Data for the recipe pairs: embed, split.")

FOREIGN = {"ignore_unknown_options": True, "allow_interspersed_args": True}
"""Unknown options pass through: the guides' flags are data, looked up by recipe."""

Words = Annotated[
    list[str] | None,
    typer.Argument(metavar="RECIPE|FILE [FILE] [KEY=VALUE]...", show_default=False),
]
RunsDir = Annotated[Path, typer.Option("--runs-dir", help="Where run folders go.")]
ConfigFile = Annotated[Path | None, typer.Option("--config", help="A configuration or study file.")]
ConfigDir = Annotated[Path | None, typer.Option("--config-dir", help="Your folder of YAML groups.")]
ConfigName = Annotated[
    str | None, typer.Option("--config-name", help="A top-level file in place of the recipe's.")
]
Verbose = Annotated[bool, typer.Option("--verbose", help="Say more; tracebacks of errors.")]


@app.command(context_settings=FOREIGN)
def tune(
    words: Words = None,
    space: Annotated[Path | None, typer.Option("--space", help="A space file.")] = None,
    trials: Annotated[int | None, typer.Option(help="Trials in all, also after a resume.")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the study and its folder.")] = None,
    jobs: Annotated[int | None, typer.Option(help="Trials at once.")] = None,
    timeout: Annotated[float | None, typer.Option(help="Seconds for the search.")] = None,
    storage: Annotated[str | None, typer.Option(help="Database URL.")] = None,
    from_: Annotated[
        str | None, typer.Option("--from", help="A study to start from: its best, its trials.")
    ] = None,
    imports: Annotated[
        list[str] | None,
        typer.Option("--import", help="A CSV file or Optuna storage whose trials to take over."),
    ] = None,
    config: ConfigFile = None,
    config_dir: ConfigDir = None,
    config_name: ConfigName = None,
    runs_dir: RunsDir = Path("runs"),
    verbose: Verbose = False,
) -> None:
    """Search for the best configuration, then train it in full.

    Type the same command again to resume. A study file may stand after the recipe.
    """
    from tunewright import api
    from tunewright.cli.output import print_tuned
    from tunewright.cli.screen import ScreenWatch

    _verbose_logs(verbose)
    console = _console()
    with ScreenWatch(console, verbose=verbose) as watch:
        tuned = api.tune(
            *(words or []),
            space=space,
            trials=trials,
            name=name,
            jobs=jobs,
            timeout=timeout,
            storage=storage,
            from_=from_,
            imports=imports or (),
            config=config,
            config_dir=config_dir,
            config_name=config_name,
            runs_dir=runs_dir,
            watch=watch,
        )
    print_tuned(console, tuned)


@app.command(context_settings=FOREIGN)
def train(
    words: Words = None,
    name: Annotated[str | None, typer.Option(help="Name of the run folder.")] = None,
    config: ConfigFile = None,
    config_dir: ConfigDir = None,
    config_name: ConfigName = None,
    runs_dir: RunsDir = Path("runs"),
    verbose: Verbose = False,
) -> None:
    """Train one configuration in full; the same command resumes an interrupted run."""
    from tunewright import api
    from tunewright.cli.output import print_trained
    from tunewright.cli.screen import ScreenWatch

    _verbose_logs(verbose)
    console = _console()
    with ScreenWatch(console, verbose=verbose) as watch:
        trained = api.train(
            *(words or []),
            name=name,
            config=config,
            config_dir=config_dir,
            config_name=config_name,
            runs_dir=runs_dir,
            watch=watch,
        )
    print_trained(console, trained)


@app.command()
def evaluate(
    run: Annotated[Path, typer.Argument(help="A run or study folder, or a name in --runs-dir.")],
    split: Annotated[str | None, typer.Option(help="train, valid or test.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    runs_dir: RunsDir = Path("runs"),
    verbose: Verbose = False,
) -> None:
    """Measure a trained run on its test split, beside simple baselines."""
    from tunewright import api
    from tunewright.cli.output import print_evaluation

    found, result = api.evaluate(run, split=split, runs_dir=runs_dir)
    print_evaluation(_console(), found, result, as_json=as_json)


@app.command("lr-find", context_settings=FOREIGN)
def lr_find(
    words: Words = None,
    low: Annotated[float, typer.Option(help="The first rate of the sweep.")] = 1e-7,
    high: Annotated[float, typer.Option(help="The last one.")] = 10.0,
    steps: Annotated[int, typer.Option(help="Steps of the sweep.")] = 100,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    config: ConfigFile = None,
    config_dir: ConfigDir = None,
    config_name: ConfigName = None,
    runs_dir: RunsDir = Path("runs"),
    verbose: Verbose = False,
) -> None:
    """Sweep the learning rate and suggest one, unless the curve is noise."""
    from tunewright import api
    from tunewright.cli.output import print_sweep

    _verbose_logs(verbose)
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
    print_sweep(_console(), result, words or [], as_json=as_json)


@app.command(context_settings=FOREIGN)
def show(
    words: Words = None,
    config: ConfigFile = None,
    config_dir: ConfigDir = None,
    config_name: ConfigName = None,
    verbose: Verbose = False,
) -> None:
    """Print the composed configuration and where each value came from."""
    from tunewright import api
    from tunewright.cli.output import print_configuration

    print_configuration(
        api.show(*(words or []), config=config, config_dir=config_dir, config_name=config_name)
    )


@app.command(context_settings=FOREIGN)
def space(
    words: Words = None,
    recipe: Annotated[str | None, typer.Option("--recipe", help="The recipe to check for.")] = None,
    as_yaml: Annotated[bool, typer.Option("--yaml", help="Print a space file.")] = False,
    config_dir: ConfigDir = None,
    config_name: ConfigName = None,
    verbose: Verbose = False,
) -> None:
    """Check a space file against a recipe and its data, and print what would be searched."""
    from tunewright import api
    from tunewright.cli.output import print_space

    found, notices = api.space(
        *(words or []), recipe=recipe, config_dir=config_dir, config_name=config_name
    )
    print_space(_console(), found, notices, as_yaml=as_yaml)


@app.command()
def replay(
    run: Annotated[Path, typer.Argument(help="A run or study folder, or a name in --runs-dir.")],
    options: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="The tracker's options.")
    ] = None,
    to: Annotated[str, typer.Option(help="tensorboard, mlflow or wandb.")] = "mlflow",
    runs_dir: RunsDir = Path("runs"),
    verbose: Verbose = False,
) -> None:
    """Push a stored run, or a whole study, to a tracker."""
    from tunewright import api
    from tunewright.cli.output import print_replayed

    replayed = api.replay(run, *(options or []), to=to, runs_dir=runs_dir)
    print_replayed(replayed, to)


@app.command()
def analyze(
    study: Annotated[
        str | None, typer.Argument(help="A study's name or folder, or a database file.")
    ] = None,
    storage: Annotated[str | None, typer.Option("--storage", "--db", help="Database URL.")] = None,
    name: Annotated[str | None, typer.Option("--name", "--study-name", help="Its name.")] = None,
    top: Annotated[int, typer.Option(help="How many trials to list.")] = 10,
    save_configs: Annotated[
        bool, typer.Option("--save-configs", help="Write the top configurations.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    runs_dir: RunsDir = Path("runs"),
    verbose: Verbose = False,
) -> None:
    """What a study found: best, top table, importances, failures by cause."""
    from tunewright import api
    from tunewright.cli.output import print_analysis

    looked = api.analyze(study, storage=storage, name=name, top=top, runs_dir=runs_dir)
    files = looked.save_configs(top) if save_configs else []
    print_analysis(_console(), looked.overview, files, as_json=as_json)


def _console() -> "Console":
    from rich.console import Console

    width = None if sys.stdout.isatty() else 120
    return Console(width=width, highlight=False)


def _verbose_logs(verbose: bool) -> None:
    import logging

    logging.basicConfig(level=logging.DEBUG if verbose else logging.WARNING)


def _exit_code(error: TunewrightError) -> int:
    from tunewright.search.interrupt import Interrupted

    if isinstance(error, Interrupted):
        return 130
    return 1 if isinstance(error, RunError) else 2


def main() -> None:
    """The console script. Exit codes: 0 done, 1 failed work, 2 wrong usage, 130 interrupted."""
    arguments: list[Any] = sys.argv[1:]
    try:
        app()
    except TunewrightError as error:
        if "--verbose" in arguments:
            raise
        print(f"tunewright: {error}", file=sys.stderr)
        sys.exit(_exit_code(error))
    except KeyboardInterrupt:
        print("tunewright: interrupted", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(0)
