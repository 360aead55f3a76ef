"""The commands that deliver a trained classifier: predict, ensemble, check, export, submit."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tunewright.cli.command import JSON, Switch, command
from tunewright.cli.options import DELIVER, RUNS, RunsDir

if TYPE_CHECKING:
    from tunewright.deliver.classification.check import CheckReport, CostReport
    from tunewright.deliver.classification.ensemble_report import EnsembleReport
    from tunewright.deliver.classification.export import ExportReport
    from tunewright.deliver.classification.predict import Predictions
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
RunPicturesAndViews = Annotated[
    str,
    typer.Argument(
        metavar="RUN [PICTURE]... [tta.KEY=VALUE]...",
        help="A run, study or ensemble folder, or its name in --runs-dir (default: the newest "
        "run). Then single pictures, photo.jpg or 'photos/*.jpg', whose likeliest classes are "
        "printed; and views: tta.hflip, tta.vflip (true, false), tta.rotate (degrees), "
        "tta.brightness (0.1 is 10 %), tta.mean (logits, probabilities).",
        show_default=False,
    ),
]
Like = Annotated[
    Path | str | None,
    typer.Option(help="A sample submission: its header, ids and order are kept."),
]
Form = Annotated[
    str | None,
    typer.Option(
        help="labels, top-k (separated by blanks, best first), probabilities (a column for each "
        "class), or zero-one (the same with 1 for predicted labels, where a picture may have "
        "several); default: as --like shows, else labels."
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
Checkpoint = Annotated[
    Path | str | None,
    typer.Option(help="The same as RUN: a run folder, or checkpoints/best.safetensors in one."),
]
Tta = Annotated[
    bool,
    typer.Option("--tta", help="Average the predictions for each picture and its mirror image."),
]
Views = Annotated[
    str | Sequence[str],
    typer.Option(help="Views to average: any of hflip,vflip,rotate=5,brightness=0.1."),
]
Half = Annotated[bool, typer.Option("--half", help="Store weights in float16.")]
MaxSize = Annotated[
    str | float, typer.Option(help="Size of the exported file: 500MB (10^6), 477MiB.")
]
MaxLatency = Annotated[
    str | float,
    typer.Option(help="95th percentile for one picture, file to label: 100ms, 0.1s."),
]
InputSize = Annotated[int, typer.Option("--input", help="Side of the pictures, in pixels.")]


def benchmark(
    run: Path | str | None = None,
    *words: str,
    checkpoint: Path | str | None = None,
    input_size: int = 600,
    tta: bool = False,
    views: str | Sequence[str] = "",
    runs_dir: Path | str = RUNS,
    on_progress: "ProgressCallback | None" = None,
) -> "CostReport":
    """Measure the latency of one picture, from its file to its label; `predict --benchmark`.

    See `deliver.classification.check.benchmark`; for the arguments, `check`.
    """
    from tunewright.cli.requests import run_and_views
    from tunewright.deliver.classification.check import CheckOptions
    from tunewright.deliver.classification.check import benchmark as time_one

    run, chosen = run_and_views(run, words, tta=tta, views=views)
    options = CheckOptions(views=chosen, input_size=input_size)
    runs = Path(runs_dir)
    return time_one(run, options, checkpoint=checkpoint, runs=runs, on_progress=on_progress)


BENCHMARK = Switch(
    "benchmark",
    "Measure the latency of one picture instead of predicting.",
    "classification:print_benchmark",
    call=benchmark,
)


@command(
    DELIVER,
    prints="classification:print_predicted",
    switches=[BENCHMARK, JSON],
)
def predict(
    run: Path | str | None = None,
    *words: RunPicturesAndViews,
    data: Annotated[
        Path | str | None,
        typer.Option(
            help="A folder, zip, table or manifest (default: the test set of the training data)."
        ),
    ] = None,
    output: Annotated[
        Path | str | None,
        typer.Option(
            help="CSV file to write image_id,label to (default: predictions.csv; single pictures: "
            "none)."
        ),
    ] = None,
    like: Like = None,
    form: Form = None,
    top: Annotated[
        int | None,
        typer.Option(
            help="Classes for each single picture, or labels in a row of top-k (default: as --like "
            "shows, else 5)."
        ),
    ] = None,
    tta: Tta = False,
    views: Views = "",
    force: Annotated[
        bool,
        typer.Option("--force", help="Use the views even if they lower the validation accuracy."),
    ] = False,
    probabilities: Annotated[
        Path | str | None,
        typer.Option(help="CSV file for the probabilities, one column per class."),
    ] = None,
    logit_adjustment: Annotated[
        float,
        typer.Option(help="Logit adjustment for class frequencies: tau, 0 for none, 1 in full."),
    ] = 0.0,
    skip_bad: Annotated[
        bool,
        typer.Option("--skip-bad", help="Give unreadable pictures the most frequent class."),
    ] = False,
    category_ids: Annotated[
        bool, typer.Option("--category-ids", help="Write the ids of category_mapping.csv.")
    ] = False,
    batch_size: Annotated[int | None, typer.Option(help="Pictures per batch.")] = None,
    threshold: Annotated[
        float | None,
        typer.Option(
            help="Where a picture may have several labels: the least probability of those that are "
            "predicted (default: chosen for each label on the validation set)."
        ),
    ] = None,
    checkpoint: Checkpoint = None,
    runs_dir: RunsDir = RUNS,
    on_progress: "ProgressCallback | None" = None,
) -> "Predictions":
    """Predict a label for every picture of a folder, or single pictures.

    Writes image_id,label to predictions.csv, or what a sample submission (--like) shows; ids and
    their order are kept exactly. Of single pictures the likeliest classes are printed.

    In Python, the words after the run are views beside the picture and its mirror image, such as
    `"tta.rotate=5"`. on_progress: called with the piece of work, how much is done, and how much
    there is; None shows it on standard error. Raises DataError for pictures or a model that cannot
    be read, ConfigError for views. See `deliver.classification.predict.predict`.
    """
    from tunewright.cli.requests import path_of, run_pictures_and_views
    from tunewright.deliver.classification.predict import PredictOptions
    from tunewright.deliver.classification.predict import predict as predict_pictures

    run, pictures, chosen = run_pictures_and_views(run, words, tta=tta, views=views)
    options = PredictOptions(
        data=path_of(data),
        pictures=pictures,
        output=path_of(output),
        like=path_of(like),
        form=form,
        top=top,
        views=chosen,
        force=force,
        probabilities=path_of(probabilities),
        logit_adjustment=logit_adjustment,
        skip_bad=skip_bad,
        category_ids=category_ids,
        batch_size=batch_size,
        threshold=threshold,
    )
    runs = Path(runs_dir)
    return predict_pictures(run, options, checkpoint=checkpoint, runs=runs, on_progress=on_progress)


@command(DELIVER, prints="classification:print_ensemble", switches=[JSON], needs_words=True)
def ensemble(
    *runs: Annotated[
        Path | str,
        typer.Argument(
            metavar="RUN...",
            help="Runs, or studies (all of their trials that have weights).",
        ),
    ],
    method: Annotated[
        str,
        typer.Option(
            help="mean; weighted (on validation); greedy (selection with replacement); soup, "
            "greedy-soup (one model with averaged weights)."
        ),
    ] = "mean",
    average: Annotated[
        str, typer.Option(help="What to average: probabilities or logits (geometric mean).")
    ] = "probabilities",
    name: Annotated[
        str | None, typer.Option(help="Name of the ensemble's folder in --runs-dir.")
    ] = None,
    max_size: MaxSize = "500MB",
    max_latency: MaxLatency = "100ms",
    runs_dir: RunsDir = RUNS,
    on_progress: "ProgressCallback | None" = None,
) -> "EnsembleReport":
    """Average several runs and report the gain over the best one.

    In Python, return the members, the gain with its interval, and what all together cost. Raises
    DataError for runs that do not fit together. See `deliver.classification.ensemble.ensemble`.
    """
    from tunewright.deliver.classification.ensemble import ensemble as join
    from tunewright.deliver.classification.limits import read_limits

    return join(
        runs,
        method=method,
        average=average,
        limits=read_limits(max_size, max_latency),
        name=name,
        runs=Path(runs_dir),
        on_progress=on_progress,
    )


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
