"""The commands `tunewright retina ...`: build an LMDB of patients, and verify one."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None)
SHOWN = 20
"""Problems that are printed."""


@app.command()
def build_lmdb(
    source: Annotated[
        Path, typer.Argument(help="Folder, zip or table of patients, as data.dir names it.")
    ],
    output: Annotated[Path, typer.Option(help="Folder for train, valid and test.")],
    val_split: Annotated[
        float, typer.Option(help="Share of patients for valid, where SOURCE has none.")
    ] = 0.15,
    test_split: Annotated[
        float, typer.Option(help="Share of patients for test, where SOURCE has no splits.")
    ] = 0.15,
    seed: Annotated[int, typer.Option(help="Seed of the split.")] = 42,
    labels: Annotated[
        str | None, typer.Option(help="Columns of a set with several labels, such as N,D,G.")
    ] = None,
    overwrite: Annotated[bool, typer.Option(help="Replace an existing folder.")] = False,
) -> None:
    """Build an LMDB of patients, with splits.

    It holds the picture files as they are, and JSON. The same command continues a build that was
    interrupted.
    """
    from tunewright.errors import UsageError, printable
    from tunewright.images.progress import each_progress
    from tunewright.recipes.retina.config import EyesConfig
    from tunewright.recipes.retina.data.lmdb_build import build_lmdb as build

    if val_split < 0 or test_split < 0 or val_split + test_split >= 1:
        raise UsageError(
            f"--val-split {val_split} --test-split {test_split}",
            expected="shares from 0 on, less than 1 together",
        )
    data = EyesConfig(
        dir=str(source),
        val_split=val_split,
        test_split=test_split,
        split_seed=seed,
        labels=None if labels is None else tuple(labels.split(",")),
    )
    with each_progress() as progress:
        report = build(data, output, overwrite=overwrite, progress=progress)
    for notice in report.notices:
        print(printable(f"note: {notice}"))
    for name, split in report.splits.items():
        there = f", {split.had:,} of them by an earlier build" if split.had else ""
        print(
            f"{name:<6} {split.patients:>9,} patients  {split.pictures:>9,} pictures  "
            f"{split.bytes / 1e6:>9,.1f} MB{there}"
        )
    print(printable(f"next: tunewright train retina data.dir={report.folder}"))


@app.command()
def verify_lmdb(
    place: Annotated[Path, typer.Argument(help="Folder of an LMDB, of all splits or of one.")],
) -> None:
    """Check an LMDB: read and decode everything.

    One of pickled tuples is read without unpickling anything.
    """
    from tunewright.errors import printable
    from tunewright.images.progress import each_progress
    from tunewright.recipes.retina.data.lmdb_verify import verify_apart

    with each_progress() as progress:
        report = verify_apart(place, progress)
    for name, split in report.splits.items():
        print(
            f"{name:<6} {split.patients:>9,} patients  {split.pictures:>9,} pictures  "
            f"{split.reports:>9,} reports" + ("  pickled tuples" if split.pickled else "")
        )
    for problem in report.problems[:SHOWN]:
        print(printable(f"problem: {problem}"))
    if len(report.problems) > SHOWN:
        print(f"and {len(report.problems) - SHOWN:,} more problems")
    if report.problems:
        raise typer.Exit(1)
    print("no problems")
