"""The commands about a study that was begun: analyze, report, dashboard, repair."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tunewright.cli.command import JSON, Switch, command
from tunewright.cli.options import RUNS, SEARCH, RunsDir
from tunewright.errors import UsageError

if TYPE_CHECKING:
    from tunewright.deliver.results.rate_distortion import SearchReport
    from tunewright.reports.report_file import ReportFile
    from tunewright.search.read_study import StudyView
    from tunewright.search.recovery.repair_report import RepairReport

Study = Annotated[
    str | Path | None, typer.Argument(help="A study's name or folder, or a database file.")
]
Storage = Annotated[str | None, typer.Option("--storage", "--db", help="Database URL.")]


def _analyze_rate_distortion(
    study: str | Path | None = None,
    *,
    metric: str = "psnr",
    lambda_value: float | None = None,
    heatmap: str = "gamma,w_lr",
    top: int = 5,
    output: Path | str | None = None,
    runs_dir: Path | str = RUNS,
) -> "SearchReport":
    from tunewright.deliver.results.rate_distortion import analyze_rate_distortion

    return analyze_rate_distortion(
        study,
        metric=metric,
        lambda_value=lambda_value,
        heatmap=heatmap,
        top=top,
        output=output,
        runs_dir=runs_dir,
    )


Importance = Annotated[
    str, typer.Option("--importance", help="How importances are computed: ped-anova or fanova.")
]

RATE_DISTORTION = Switch(
    "rate_distortion",
    "Rank a search over gamma and w_lr: studies, folders lambda_L_gamma_G_wlr_W, W&B runs, CSVs.",
    prints="search_report:print_search_report",
    call=_analyze_rate_distortion,
    alone=True,
)


@command(SEARCH, prints="results:print_analysis", switches=[RATE_DISTORTION, JSON])
def analyze(
    study: Study = None,
    *,
    storage: Storage = None,
    name: Annotated[
        str | None, typer.Option("--name", "--study-name", help="Name of the study.")
    ] = None,
    top: Annotated[int, typer.Option(help="How many trials to list.")] = 10,
    trial: Annotated[int | None, typer.Option("--trial", help="List this trial alone.")] = None,
    note: Annotated[
        str | None, typer.Option("--note", help="Store a note on --trial; '' removes it.")
    ] = None,
    save_configs: Annotated[
        bool, typer.Option("--save-configs", help="Write the top configurations.")
    ] = False,
    heatmap: Annotated[
        str | None,
        typer.Option("--heatmap", metavar="X,Y", help="Draw the goal by two parameters."),
    ] = None,
    metric: Annotated[
        str | None,
        typer.Option(
            "--metric", help="Importances for, draw, or rank by this metric; as psnr or NAME:max."
        ),
    ] = None,
    importance: Importance = "ped-anova",
    output: Annotated[
        Path | str | None,
        typer.Option("--output", help="File of the heat map: .png, .svg, .pdf, .html."),
    ] = None,
    lambda_value: Annotated[
        float | None,
        typer.Option("--lambda", help="With --rate-distortion: the only lambda to draw."),
    ] = None,
    runs_dir: RunsDir = RUNS,
) -> "StudyView":
    """Show what a study found: best trials, importances, failures.

    With --trial N --note TEXT, store a note on a trial, which the dashboard shows as well. With
    --heatmap X,Y, draw the goal by the values of two parameters. With --metric NAME, show which
    parameters move another metric than the goal.

    In Python, return its record, its overview and the files written. Raises StudyError for a study
    that is not there. For --rate-distortion there is `tunewright.HyperparameterAnalyzer`. See
    `search.read_study.read_study`.
    """
    from tunewright.search.read_study import read_study

    if (heatmap is None and output is not None) or lambda_value is not None:
        raise UsageError(
            "--lambda alone" if lambda_value is not None else "--output alone",
            expected="--rate-distortion"
            + ("" if lambda_value is not None else ", or --heatmap with two parameters"),
        )
    named = None if study is None else str(study)
    found = read_study(
        named, storage=storage, name=name, runs=Path(runs_dir), top=top, trial=trial, note=note
    )
    if trial is None:
        found = found.with_importances(metric if heatmap is None else None, importance)
    if heatmap is not None:
        from tunewright.deliver.results.study_heatmap import heat_map_names, write_study_heat_map

        file = None if output is None else Path(output).expanduser()
        drawn, files = write_study_heat_map(found, heat_map_names(heatmap), metric, file)
        found = replace(found, heat_map=drawn, plots=tuple(files))
    return replace(found, files=tuple(found.save_configs(top))) if save_configs else found


@command(SEARCH, prints="results:print_report", switches=[JSON])
def report(
    study: Annotated[
        str | Path | None,
        typer.Argument(help="A study or a run: name or folder; or a database file."),
    ] = None,
    *,
    figure: Annotated[
        str | None,
        typer.Option(
            metavar="KIND",
            help="Write one figure instead: history, curves, importances, metrics, isolation, "
            "slices, ranks, heatmap, parallel, goals, evaluation or workers.",
        ),
    ] = None,
    output: Annotated[
        Path | str | None,
        typer.Option(help="The file; of a figure: .png, .svg, .pdf or .html."),
    ] = None,
    storage: Storage = None,
    name: Annotated[
        str | None, typer.Option("--name", "--study-name", help="Name of the study.")
    ] = None,
    importance: Importance = "ped-anova",
    open_browser: Annotated[bool, typer.Option("--open", help="Open it in a browser.")] = False,
    runs_dir: RunsDir = RUNS,
) -> "ReportFile":
    """Write the report of a study or a run, or one figure.

    The report is one page that needs no other file and no network. A study may be running, and
    nothing is written into its database. --storage reads any Optuna study.

    In Python, return the file. Raises StudyError for a study that is not there. See
    `search.reporting.study_report.report_study` and `deliver.run_report.report_run`.
    """
    from tunewright.deliver.run_report import report_run, run_to_report
    from tunewright.search.read_study import read_study
    from tunewright.search.reporting.study_report import report_study

    runs, file = Path(runs_dir), None if output is None else Path(output).expanduser()
    run = None if storage is not None or name is not None else run_to_report(study, runs)
    if run is not None:
        written = report_run(run, output=file, figure=figure)
    else:
        named = None if study is None else str(study)
        view = read_study(named, storage=storage, name=name, runs=runs)
        written = report_study(view, output=file, figure=figure, importance=importance)
    if open_browser:
        import webbrowser

        webbrowser.open(written.file.resolve().as_uri())
    return written


@command(SEARCH)
def dashboard(
    study: Study = None,
    *,
    storage: Storage = None,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port; 0 picks a free one.")] = 8080,
    open_browser: Annotated[bool, typer.Option("--open", help="Open a browser.")] = False,
    runs_dir: RunsDir = RUNS,
    on_address: Callable[[str], None] | None = None,
) -> None:
    """Serve optuna-dashboard for a study until Ctrl-C.

    The study is opened read-only and may be running.

    In Python, `on_address` is called with the address once the server listens; None prints it. See
    `deliver.dashboard.dashboard`.
    """
    from tunewright.deliver.dashboard import dashboard as serve

    serve(
        study,
        storage=storage,
        host=host,
        port=port,
        open_browser=open_browser,
        runs=Path(runs_dir),
        on_address=on_address,
    )


@command(SEARCH, prints="plan:print_repaired", switches=[JSON])
def repair(
    study: Annotated[str | Path | None, typer.Argument(help="A study's name or folder.")] = None,
    *,
    storage: Annotated[str | None, typer.Option("--storage", help="Database URL.")] = None,
    runs_dir: RunsDir = RUNS,
) -> "RepairReport":
    """Rebuild a study's database from its run folders.

    A database that is intact is compared with the run folders, and missing entries are added.

    In Python, return what was found and changed. See `search.recovery.repair.repair`.
    """
    from tunewright.search.recovery.repair import repair as repair_study

    named = None if study is None else str(study)
    return repair_study(named, storage=storage, runs=Path(runs_dir))
