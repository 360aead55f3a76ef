"""The commands about a study: tune, plan, space, analyze, dashboard, repair."""

from pathlib import Path
from typing import Annotated

import typer

from tunewright.cli.options import (
    FOREIGN,
    SEARCH,
    Budget,
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

From = Annotated[
    str | None,
    typer.Option("--from", help="A study to start from: its best configuration and its trials."),
]
Imports = Annotated[
    list[str] | None,
    typer.Option("--import", help="A CSV file or Optuna storage to import trials from."),
]


@app.command(context_settings=FOREIGN, rich_help_panel=SEARCH)
def tune(
    words: Words = None,
    space: Annotated[Path | None, typer.Option("--space", help="A space file.")] = None,
    trials: Annotated[
        int | None, typer.Option(help="Total number of trials, including those before a resume.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the study and of its folder.")] = None,
    jobs: Annotated[int | None, typer.Option(help="Number of trials to run in parallel.")] = None,
    seeds: Annotated[
        int | None, typer.Option(help="Runs per configuration; the score is their mean.")
    ] = None,
    timeout: Annotated[
        float | None, typer.Option(help="Time limit of the search, in seconds.")
    ] = None,
    budget: Budget = None,
    storage: Annotated[str | None, typer.Option(help="Database URL.")] = None,
    from_: From = None,
    imports: Imports = None,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Run the failed trials again, too.")
    ] = False,
    config: ConfigFile = None,
    config_dir: ConfigDir = None,
    config_name: ConfigName = None,
    runs_dir: RunsDir = Path("runs"),
    verbose: Verbose = False,
) -> None:
    """Search for the best configuration, then train it in full.

    Run the same command again to resume. A study file may follow the recipe.
    """
    from tunewright import api
    from tunewright.cli.output.results import print_tuned
    from tunewright.cli.output.screen import ScreenCallback

    verbose_logs(verbose)
    screen = console()
    with ScreenCallback(screen, verbose=verbose) as watch:
        tuned = api.tune(
            *(words or []),
            space=space,
            trials=trials,
            name=name,
            jobs=jobs,
            seeds=seeds,
            timeout=timeout,
            budget=budget,
            storage=storage,
            from_=from_,
            imports=imports or (),
            retry_failed=retry_failed or None,
            config=config,
            config_dir=config_dir,
            config_name=config_name,
            runs_dir=runs_dir,
            watch=watch,
        )
    print_tuned(screen, tuned)


@app.command(context_settings=FOREIGN, rich_help_panel=SEARCH)
def plan(
    words: Words = None,
    space: Annotated[Path | None, typer.Option("--space", help="A space file.")] = None,
    trials: Annotated[
        int | None, typer.Option(help="Total number of trials, including those before a resume.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the study and of its folder.")] = None,
    jobs: Annotated[int | None, typer.Option(help="Number of trials to run in parallel.")] = None,
    seeds: Annotated[
        int | None, typer.Option(help="Runs per configuration; the score is their mean.")
    ] = None,
    timeout: Annotated[
        float | None, typer.Option(help="Time limit of the search, in seconds.")
    ] = None,
    budget: Budget = None,
    storage: Annotated[str | None, typer.Option(help="Database URL.")] = None,
    from_: From = None,
    imports: Imports = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    config: ConfigFile = None,
    config_dir: ConfigDir = None,
    config_name: ConfigName = None,
    runs_dir: RunsDir = Path("runs"),
    verbose: Verbose = False,
) -> None:
    """Estimate how long tune would take, from a first short trial.

    Give the same arguments as for tune. The first configuration is trained for two epochs, and
    nothing is stored.
    """
    from tunewright import api
    from tunewright.cli.output.plan import print_plan
    from tunewright.cli.output.screen import ScreenCallback

    verbose_logs(verbose)
    screen = console(to_stderr=as_json)
    with ScreenCallback(screen, verbose=verbose) as watch:
        made = api.plan(
            *(words or []),
            space=space,
            trials=trials,
            name=name,
            jobs=jobs,
            seeds=seeds,
            timeout=timeout,
            budget=budget,
            storage=storage,
            from_=from_,
            imports=imports or (),
            config=config,
            config_dir=config_dir,
            config_name=config_name,
            runs_dir=runs_dir,
            watch=watch,
        )
    print_plan(screen, made, as_json=as_json)


@app.command(context_settings=FOREIGN, rich_help_panel=SEARCH)
def space(
    words: Words = None,
    recipe: Annotated[str | None, typer.Option("--recipe", help="The recipe to check for.")] = None,
    as_yaml: Annotated[bool, typer.Option("--yaml", help="Print a space file.")] = False,
    config_dir: ConfigDir = None,
    config_name: ConfigName = None,
    verbose: Verbose = False,
) -> None:
    """Check a space file and print what would be searched.

    The space is checked against the recipe and its data.
    """
    from tunewright import api
    from tunewright.cli.output.results import print_space

    found, notices = api.space(
        *(words or []), recipe=recipe, config_dir=config_dir, config_name=config_name
    )
    print_space(console(), found, notices, as_yaml=as_yaml)


@app.command(rich_help_panel=SEARCH)
def analyze(
    study: Annotated[
        str | None, typer.Argument(help="A study's name or folder, or a database file.")
    ] = None,
    storage: Annotated[str | None, typer.Option("--storage", "--db", help="Database URL.")] = None,
    name: Annotated[
        str | None, typer.Option("--name", "--study-name", help="Name of the study.")
    ] = None,
    top: Annotated[int, typer.Option(help="How many trials to list.")] = 10,
    save_configs: Annotated[
        bool, typer.Option("--save-configs", help="Write the top configurations.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    runs_dir: RunsDir = Path("runs"),
    verbose: Verbose = False,
) -> None:
    """Show what a study found: best trials, importances, failures."""
    from tunewright import api
    from tunewright.cli.output.results import print_analysis

    looked = api.analyze(study, storage=storage, name=name, top=top, runs_dir=runs_dir)
    files = looked.save_configs(top) if save_configs else []
    print_analysis(console(), looked.overview, files, as_json=as_json)


@app.command(rich_help_panel=SEARCH)
def dashboard(
    study: Annotated[
        str | None, typer.Argument(help="A study's name or folder, or a database file.")
    ] = None,
    storage: Annotated[str | None, typer.Option("--storage", "--db", help="Database URL.")] = None,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port; 0 picks a free one.")] = 8080,
    open_browser: Annotated[bool, typer.Option("--open", help="Open a browser.")] = False,
    runs_dir: RunsDir = Path("runs"),
    verbose: Verbose = False,
) -> None:
    """Serve optuna-dashboard for a study until Ctrl-C.

    The study is opened read-only and may be running.
    """
    from tunewright import api

    addresses: list[str] = []

    def show_address(address: str) -> None:
        addresses.append(address)
        print(f"optuna-dashboard: {address}  (press Ctrl-C to stop)", flush=True)

    verbose_logs(verbose)
    try:
        api.dashboard(
            study,
            storage=storage,
            host=host,
            port=port,
            open_browser=open_browser,
            runs_dir=runs_dir,
            on_address=show_address,
        )
    except KeyboardInterrupt:
        if not addresses:
            raise
        print("dashboard stopped")


@app.command(rich_help_panel=SEARCH)
def repair(
    study: Annotated[str | None, typer.Argument(help="A study's name or folder.")] = None,
    storage: Annotated[str | None, typer.Option("--storage", help="Database URL.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    runs_dir: RunsDir = Path("runs"),
    verbose: Verbose = False,
) -> None:
    """Rebuild a study's database from its run folders.

    A database that is intact is compared with the run folders, and missing entries are added.
    """
    from tunewright import api
    from tunewright.cli.output.plan import print_repaired

    print_repaired(api.repair(study, storage=storage, runs_dir=runs_dir), as_json=as_json)
