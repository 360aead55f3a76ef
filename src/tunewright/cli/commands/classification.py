"""The commands that use trained classifiers: predict and ensemble."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tunewright.cli.command import JSON, Switch, command
from tunewright.cli.options import DELIVER, RUNS, RunsDir

if TYPE_CHECKING:
    from tunewright.deliver.classification.check import CostReport
    from tunewright.deliver.classification.ensemble_report import EnsembleReport
    from tunewright.deliver.classification.predict import Predictions
    from tunewright.deliver.progress import ProgressCallback

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
MaxSize = Annotated[
    str | float, typer.Option(help="Size of the exported file: 500MB (10^6), 477MiB.")
]
MaxLatency = Annotated[
    str | float,
    typer.Option(help="95th percentile for one picture, file to label: 100ms, 0.1s."),
]


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
        str | None,
        typer.Option(
            help="mean; weighted (on validation); greedy (selection with replacement); soup, "
            "greedy-soup (one model with averaged weights); default: greedy of a study, else mean."
        ),
    ] = None,
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
