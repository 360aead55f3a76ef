"""The commands that deliver a trained classifier: predict, ensemble, check, export, submit."""

from pathlib import Path
from typing import Annotated

import typer

from tunewright.cli.options import DELIVER, RunsDir, Verbose, app, console

Words = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="RUN [tta.KEY=VALUE]",
        help="A run, study or ensemble folder, or its name in --runs-dir (default: the newest "
        "run). Then views: tta.hflip, tta.vflip (true, false), tta.rotate (degrees), "
        "tta.brightness (0.1 is 10 %), tta.mean (logits, probabilities).",
        show_default=False,
    ),
]
OneRun = Annotated[
    Path | None,
    typer.Argument(
        metavar="RUN",
        help="A run, study or ensemble folder, or its name in --runs-dir (default: the newest "
        "run).",
        show_default=False,
    ),
]
Checkpoint = Annotated[
    Path | None,
    typer.Option(help="The same as RUN: a run folder, or checkpoints/best.safetensors in one."),
]
Tta = Annotated[
    bool,
    typer.Option("--tta", help="Average the predictions for each picture and its mirror image."),
]
Views = Annotated[
    str,
    typer.Option(help="Views to average: any of hflip,vflip,rotate=5,brightness=0.1."),
]
Half = Annotated[bool, typer.Option("--half", help="Store weights in float16.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
MaxSize = Annotated[str, typer.Option(help="Size of the exported file: 500MB (10^6), 477MiB.")]
MaxLatency = Annotated[
    str, typer.Option(help="95th percentile for one picture, file to label: 100ms, 0.1s.")
]
InputSize = Annotated[int, typer.Option("--input", help="Side of the pictures, in pixels.")]


@app.command(rich_help_panel=DELIVER)
def predict(
    words: Words = None,
    data: Annotated[
        Path | None,
        typer.Option(
            help="A folder, zip, CSV or manifest (default: the test set of the training data)."
        ),
    ] = None,
    output: Annotated[Path, typer.Option(help="CSV file to write image_id,label to.")] = Path(
        "predictions.csv"
    ),
    tta: Tta = False,
    views: Views = "",
    force: Annotated[
        bool,
        typer.Option("--force", help="Use the views even if they lower the validation accuracy."),
    ] = False,
    probabilities: Annotated[
        Path | None, typer.Option(help="CSV file for the probabilities, one column per class.")
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
    benchmark: Annotated[
        bool,
        typer.Option(
            "--benchmark", help="Measure the latency of one picture instead of predicting."
        ),
    ] = False,
    checkpoint: Checkpoint = None,
    as_json: Json = False,
    runs_dir: RunsDir = Path("runs"),
    verbose: Verbose = False,
) -> None:
    """Predict a label for every picture of a folder.

    Writes image_id,label to predictions.csv; ids and their order are kept exactly.
    """
    from tunewright import api
    from tunewright.cli.output.classification import print_benchmark, print_predicted

    if benchmark:
        figures = api.benchmark(
            *(words or []), checkpoint=checkpoint, tta=tta, views=views, runs_dir=runs_dir
        )
        print_benchmark(console(), figures, as_json=as_json)
        return
    found = api.predict(
        *(words or []),
        data=data,
        output=output,
        checkpoint=checkpoint,
        tta=tta,
        views=views,
        force=force,
        probabilities=probabilities,
        logit_adjustment=logit_adjustment,
        skip_bad=skip_bad,
        category_ids=category_ids,
        batch_size=batch_size,
        runs_dir=runs_dir,
    )
    print_predicted(console(), found, output, as_json=as_json)


@app.command(rich_help_panel=DELIVER)
def ensemble(
    runs: Annotated[
        list[Path],
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
    as_json: Json = False,
    runs_dir: RunsDir = Path("runs"),
    verbose: Verbose = False,
) -> None:
    """Average several runs and report the gain over the best one."""
    from tunewright import api
    from tunewright.cli.output.classification import print_ensemble

    found = api.ensemble(
        *runs,
        method=method,
        average=average,
        name=name,
        max_size=max_size,
        max_latency=max_latency,
        runs_dir=runs_dir,
    )
    print_ensemble(console(), found, as_json=as_json)


@app.command(rich_help_panel=DELIVER)
def check(
    words: Words = None,
    max_size: MaxSize = "500MB",
    max_latency: MaxLatency = "100ms",
    max_params: Annotated[str, typer.Option(help="Number of parameters: 10B (10^9), 28M.")] = "10B",
    input_size: InputSize = 600,
    half: Half = False,
    tta: Tta = False,
    views: Views = "",
    benchmark: Annotated[
        bool, typer.Option("--benchmark", help="Also measure other precisions and memory layouts.")
    ] = False,
    checkpoint: Checkpoint = None,
    as_json: Json = False,
    runs_dir: RunsDir = Path("runs"),
    verbose: Verbose = False,
) -> None:
    """Check size, latency, parameters and input against limits.

    The exit code is 1 when a limit is exceeded.
    """
    from tunewright import api
    from tunewright.cli.output.classification import print_checked

    report = api.check(
        *(words or []),
        checkpoint=checkpoint,
        max_size=max_size,
        max_latency=max_latency,
        max_params=max_params,
        input_size=input_size,
        half=half,
        tta=tta,
        views=views,
        benchmark=benchmark,
        runs_dir=runs_dir,
    )
    print_checked(console(), report, as_json=as_json)
    if not report.passed:
        raise typer.Exit(1)


@app.command(rich_help_panel=DELIVER)
def export(
    run: OneRun = None,
    to: Annotated[str, typer.Option(help="safetensors, onnx or torch-export.")] = "safetensors",
    half: Half = False,
    output: Annotated[
        Path | None,
        typer.Option(help="File to write (default: in the run's folder, under export/)."),
    ] = None,
    checkpoint: Checkpoint = None,
    as_json: Json = False,
    runs_dir: RunsDir = Path("runs"),
    verbose: Verbose = False,
) -> None:
    """Export a run to safetensors, ONNX or torch.export.

    An ensemble is exported to ONNX, as one graph. The exported file is checked against the run:
    both must give the same logits.
    """
    from tunewright import api
    from tunewright.cli.output.classification import print_exported

    found = api.export(
        run, to=to, half=half, output=output, checkpoint=checkpoint, runs_dir=runs_dir
    )
    print_exported(console(), found, as_json=as_json)


@app.command(rich_help_panel=DELIVER)
def submit(
    run: OneRun = None,
    predictions: Annotated[Path, typer.Option(help="CSV file that predict wrote.")] = Path(
        "predictions.csv"
    ),
    output: Annotated[Path, typer.Option(help="ZIP file to write.")] = Path("submission.zip"),
    data: Annotated[
        Path | None, typer.Option(help="The test set (default: the one that predict used last).")
    ] = None,
    half: Half = False,
    category_ids: Annotated[
        bool | None,
        typer.Option(
            "--category-ids/--labels",
            help="How labels are written (default: as predict wrote them).",
        ),
    ] = None,
    verify_only: Annotated[
        bool,
        typer.Option("--verify-only", help="Check the predictions and the ZIP without writing."),
    ] = False,
    checkpoint: Checkpoint = None,
    as_json: Json = False,
    runs_dir: RunsDir = Path("runs"),
    verbose: Verbose = False,
) -> None:
    """Check predictions and pack them with weights and code in a ZIP.

    The same input gives the same bytes.
    """
    from tunewright import api
    from tunewright.cli.output.classification import print_submitted

    found = api.submit(
        run,
        predictions=predictions,
        output=output,
        data=data,
        checkpoint=checkpoint,
        half=half,
        category_ids=category_ids,
        verify_only=verify_only,
        runs_dir=runs_dir,
    )
    print_submitted(console(), found, as_json=as_json)
