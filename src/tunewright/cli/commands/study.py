"""The commands about studies that were begun: status, analyze, report, audit, dashboard, repair."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tunewright.cli.command import JSON, Switch, command
from tunewright.cli.options import RUNS, SEARCH, RunsDir, Yes
from tunewright.errors import UsageError

if TYPE_CHECKING:
    from tunewright.analysis.audit.judge import FidelityAudit
    from tunewright.config.compose import Composition
    from tunewright.deliver.results.rate_distortion import SearchReport
    from tunewright.reports.report_file import ReportFile
    from tunewright.runs.record import Trial
    from tunewright.search.audit.plan_audit import AuditPlan
    from tunewright.search.callbacks import StudyCallback
    from tunewright.search.coordinator.studies import StudyList
    from tunewright.search.recovery.repair_report import RepairReport
    from tunewright.search.reporting.study_view import StudyView

Study = Annotated[
    str | Path | None,
    typer.Argument(help="A study's name or folder, or a database or journal file."),
]
Storage = Annotated[
    str | None, typer.Option("--storage", "--db", help="Database URL, or journal:PATH.")
]
Jobs = Annotated[int | None, typer.Option(help="Number of trainings to run in parallel.")]


@command(SEARCH, prints="plan:print_status", switches=[JSON])
def status(
    study: Annotated[
        str | Path | None,
        typer.Argument(help="A study's name or folder (default: all in --runs-dir)."),
    ] = None,
    *,
    runs_dir: RunsDir = RUNS,
) -> "StudyList":
    """List studies: state, host, pace, what is left, best score.

    Nothing is opened but small files, so that many studies take no time. Where a coordinator runs
    on another host, it is watched for some seconds.

    In Python, return the studies. Raises StudyError for one that is not there. See
    `search.coordinator.studies.list_studies`.
    """
    from tunewright.search.coordinator.studies import list_studies

    return list_studies(None if study is None else str(study), Path(runs_dir))


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
        typer.Argument(help="A study or a run: name or folder; or a database or journal file."),
    ] = None,
    *,
    figure: Annotated[
        str | None,
        typer.Option(
            metavar="KIND",
            help="Write one figure instead: history, curves, importances, metrics, isolation, "
            "slices, ranks, heatmap, parallel, goals, audit, evaluation, workers or gains.",
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
    `search.reporting.study_report.report_study` and `search.reporting.run_report.report_run`.
    """
    from tunewright.search.read_study import read_study
    from tunewright.search.reporting.run_report import report_run, run_to_report
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


@command(SEARCH, prints="audit:print_audit", switches=[JSON], guide_flags=True)
def audit(
    study: Annotated[
        str | Path | None,
        typer.Argument(help="A study's name or folder; or a CSV of curves: run,epoch,SCORE."),
    ] = None,
    *words: Annotated[
        str,
        typer.Argument(
            metavar="[KEY=VALUE]...",
            help="What full trainings set (default: what the study's final stage sets).",
            show_default=False,
        ),
    ],
    configurations: Annotated[
        int, typer.Option(help="How many configurations are trained in full.")
    ] = 12,
    jobs: Jobs = None,
    curves: Annotated[
        bool,
        typer.Option("--curves", help="Train nothing: compare early epochs with the last ones."),
    ] = False,
    plan: Annotated[
        bool, typer.Option("--plan", help="Show what would be trained, and train nothing.")
    ] = False,
    goal: Annotated[
        str | None, typer.Option("--goal", help="The column of a table: SCORE:max, SCORE:min.")
    ] = None,
    yes: Yes = False,
    runs_dir: RunsDir = RUNS,
    function: Callable[..., Any] | None = None,
    watch: "StudyCallback | None" = None,
) -> "FidelityAudit | AuditPlan":
    """Check whether cheap trials rank as full trainings do.

    Trains a spread of the study's configurations in full, in a folder of its own, and compares the
    rankings. Run the same command again to resume. --curves trains nothing.

    In Python, return the figures, or the plan. function: that of a study of a Python function.
    watch: receives the runs. Raises StudyError for a study with too few trials, ConfigError where
    its trials were trained in full already. See `search.audit.audit_study.audit_study`.
    """
    from tunewright.cli.confirm import confirm_command
    from tunewright.cli.requests import audit_request, study_and_overrides
    from tunewright.search.audit.audit_study import audit_curves, audit_study
    from tunewright.search.audit.curve_table import audit_table, is_table
    from tunewright.search.audit.plan_audit import plan_audit, require_folder
    from tunewright.search.read_study import read_study

    named, overrides = study_and_overrides(audit, study, words)
    table = named is not None and is_table(named)
    if overrides and (curves or table):
        raise UsageError(
            f"{overrides[0]} where nothing is trained",
            expected="nothing that a training would be told",
            remedy="Leave it out." if table else "Leave it out, or leave out --curves.",
        )
    if named is not None and table:
        return audit_table(Path(named).expanduser(), goal)
    if goal is not None:
        raise UsageError(
            f"--goal {goal} of a study", expected="none: a study has its goal, a table has not"
        )
    view = read_study(named, runs=Path(runs_dir))
    if curves:
        return audit_curves(view)
    require_folder(view)
    recipe, request = audit_request(audit, view, overrides, function)

    def compose(trial: "Trial") -> "Composition":
        found = request(trial)
        confirm_command(found, yes=yes)
        return found.composed

    if plan:
        return plan_audit(view, recipe, compose, configurations)[0]
    return audit_study(view, recipe, compose, configurations=configurations, jobs=jobs, watch=watch)


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
