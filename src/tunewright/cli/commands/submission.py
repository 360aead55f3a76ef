"""The commands that hand a trained classifier over: check, export, submit."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tunewright.cli.command import JSON, command
from tunewright.cli.commands.classification import (
    Checkpoint,
    Form,
    Like,
    MaxLatency,
    MaxSize,
    Tta,
    Views,
)
from tunewright.cli.options import DELIVER, RUNS, RunsDir

if TYPE_CHECKING:
    from tunewright.deliver.classification.check import CheckReport
    from tunewright.deliver.classification.export import ExportReport
    from tunewright.deliver.classification.submit import SubmissionReport
    from tunewright.deliver.progress import ProgressCallback

RunAndView = Annotated[
    str,
    typer.Argument(
        metavar="RUN [tta.KEY=VALUE]",
        help="A run, study or ensemble folder, or its name in --runs-dir (default: the newest "
        "run). Then views: tta.hflip, tta.vflip (true, false), tta.rotate (degrees), "
        "tta.brightness (0.1 is 10 %), tta.mean (logits, probabilities).",
        show_default=False,
    ),
]
OneRun = Annotated[
    Path | str | None,
    typer.Argument(
        metavar="RUN",
        help="A run, study or ensemble folder, or its name in --runs-dir (default: the newest "
        "run).",
        show_default=False,
    ),
]
Half = Annotated[bool, typer.Option("--half", help="Store weights in float16.")]
InputSize = Annotated[int, typer.Option("--input", help="Side of the pictures, in pixels.")]


@command(
    DELIVER,
    prints="classification:print_checked",
    switches=[JSON],
    fails=lambda report: not report.passed,
)
def check(
    run: Path | str | None = None,
    *words: RunAndView,
    max_size: MaxSize = "500MB",
    max_latency: MaxLatency = "100ms",
    max_params: Annotated[
        str | float, typer.Option(help="Number of parameters: 10B (10^9), 28M.")
    ] = "10B",
    input_size: InputSize = 600,
    half: Half = False,
    tta: Tta = False,
    views: Views = "",
    benchmark: Annotated[
        bool, typer.Option("--benchmark", help="Also measure other precisions and memory layouts.")
    ] = False,
    checkpoint: Checkpoint = None,
    runs_dir: RunsDir = RUNS,
    on_progress: "ProgressCallback | None" = None,
) -> "CheckReport":
    """Check size, latency, parameters and input against limits.

    The exit code is 1 when a limit is exceeded.

    In Python, return the rows, the notes, and every figure. Raises UsageError for limits that
    cannot be read. See `deliver.classification.check.check`.
    """
    from tunewright.cli.requests import run_and_views
    from tunewright.deliver.classification.check import CheckOptions
    from tunewright.deliver.classification.check import check as check_limits
    from tunewright.deliver.classification.limits import read_limits

    limits = read_limits(max_size, max_latency, max_params)
    run, chosen = run_and_views(run, words, tta=tta, views=views)
    options = CheckOptions(limits, chosen, input_size, half, benchmark)
    runs = Path(runs_dir)
    return check_limits(run, options, checkpoint=checkpoint, runs=runs, on_progress=on_progress)


@command(DELIVER, prints="classification:print_exported", switches=[JSON])
def export(
    run: OneRun = None,
    *,
    to: Annotated[str, typer.Option(help="safetensors, onnx or torch-export.")] = "safetensors",
    half: Half = False,
    output: Annotated[
        Path | str | None,
        typer.Option(help="File to write (default: in the run's folder, under export/)."),
    ] = None,
    checkpoint: Checkpoint = None,
    runs_dir: RunsDir = RUNS,
    on_progress: "ProgressCallback | None" = None,
) -> "ExportReport":
    """Export a run to safetensors, ONNX or torch.export.

    An ensemble is exported to ONNX, as one graph. The exported file is checked against the run:
    both must give the same logits.

    In Python, return the file and how near it is. Raises ConfigError when ONNX is not installed,
    RunError when the file is not the model. See `deliver.classification.export.export`.
    """
    from tunewright.deliver.classification.export import export as export_run

    return export_run(
        run,
        to=to,
        half=half,
        output=output,
        checkpoint=checkpoint,
        runs=Path(runs_dir),
        on_progress=on_progress,
    )


@command(DELIVER, prints="classification:print_submitted", switches=[JSON])
def submit(
    run: OneRun = None,
    *,
    predictions: Annotated[Path | str, typer.Option(help="CSV file that predict wrote.")] = Path(
        "predictions.csv"
    ),
    output: Annotated[Path | str, typer.Option(help="ZIP file to write.")] = Path("submission.zip"),
    data: Annotated[
        Path | str | None,
        typer.Option(help="The test set (default: the one that predict used last)."),
    ] = None,
    like: Like = None,
    form: Form = None,
    half: Half = False,
    category_ids: Annotated[
        bool | None,
        typer.Option(
            "--category-ids/--labels",
            help="How labels are written (default: as in the file).",
        ),
    ] = None,
    verify_only: Annotated[
        bool,
        typer.Option("--verify-only", help="Check the predictions and the ZIP without writing."),
    ] = False,
    checkpoint: Checkpoint = None,
    runs_dir: RunsDir = RUNS,
    on_progress: "ProgressCallback | None" = None,
) -> "SubmissionReport":
    """Check predictions and pack them with weights and code in a ZIP.

    The same input gives the same bytes. With --like the predictions are checked against a sample
    submission; predictions that predict wrote like one are, too.

    In Python, return the files of the ZIP and their sizes. Raises DataError for predictions that a
    contest would refuse, and for a ZIP that lacks a required file. See
    `deliver.classification.submit.submit`.
    """
    from tunewright.cli.requests import path_of
    from tunewright.deliver.classification.submit import SubmitOptions
    from tunewright.deliver.classification.submit import submit as pack

    options = SubmitOptions(
        Path(predictions),
        Path(output),
        path_of(data),
        half,
        category_ids,
        verify_only,
        path_of(like),
        form,
    )
    runs = Path(runs_dir)
    return pack(run, options, checkpoint=checkpoint, runs=runs, on_progress=on_progress)
