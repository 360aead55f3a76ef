"""The commands `tunewright pairs ...`: embed pictures and texts, and split embeddings."""

from pathlib import Path
from typing import Annotated

import typer

from tunewright.errors import printable

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None)


@app.command()
def split(
    source: Annotated[Path, typer.Argument(help="Folder of the embeddings.")],
    name: Annotated[str, typer.Option(help="Name of the set, as in NAME_image_embeddings.")] = (
        "all"
    ),
    output: Annotated[Path | None, typer.Option(help="Folder to write to; default: SOURCE.")] = (
        None
    ),
    valid: Annotated[
        str | None, typer.Option(help="An existing set of SOURCE to use as val, such as val2017.")
    ] = None,
    by: Annotated[
        str, typer.Option(help="groups, or metadata (the split list in the metadata).")
    ] = "groups",
    fractions: Annotated[
        str | None, typer.Option(help="Shares of train,val,test; default .8,.1,.1.")
    ] = None,
    subset: Annotated[int, typer.Option(help="Rows of the tuning subset.")] = 100_000,
    subset_unit: Annotated[
        str, typer.Option(help="images (keep all rows of an image) or rows.")
    ] = "images",
    seed: Annotated[int, typer.Option(help="Seed of the split.")] = 42,
    overwrite: Annotated[bool, typer.Option(help="Replace existing sets.")] = False,
) -> None:
    """Split embeddings into sets, without leaks.

    The sets are train, val, test and the tuning subset. Rows with the same image or the same text
    stay in one of them.
    """
    from tunewright.errors import UsageError, printable
    from tunewright.recipes.pairs.data.pair_files import open_pairs
    from tunewright.recipes.pairs.data.split import SplitRule, TuningSubset, split_pairs

    if by not in ("groups", "metadata") or subset_unit not in ("images", "rows"):
        raise UsageError(
            f"--by {by} --subset-unit {subset_unit}",
            expected="--by groups or metadata, --subset-unit images or rows",
        )
    with _progress("split") as progress:
        report = split_pairs(
            open_pairs(source, name),
            output or source,
            SplitRule(by, _three(fractions), seed=seed),  # type: ignore[arg-type]
            TuningSubset(subset, subset_unit),  # type: ignore[arg-type]
            validation=open_pairs(source, valid) if valid else None,
            overwrite=overwrite,
            progress=progress,
        )
    for part, rows in report.rows.items():
        print(f"{part:<14} {rows:>9,} pairs  {report.images[part]:>9,} images")
    print(
        f"{report.groups:,} groups by {' and '.join(report.grouped_by)}, the largest of "
        f"{report.largest_group} rows"
    )
    for notice in report.notices:
        print(printable(f"note: {notice}"))
    print(f"next: tunewright tune pairs data.dir={report.folder}")


@app.command()
def embed(
    images: Annotated[Path, typer.Argument(help="Folder or zip of pictures.")],
    table: Annotated[Path, typer.Argument(help="CSV or TSV with a file and a text column.")],
    output: Annotated[Path, typer.Option(help="Folder for the embeddings.")],
    name: Annotated[str, typer.Option(help="Name of the set.")] = "all",
    image_encoder: Annotated[str, typer.Option(help="classical (offline) or timm.")] = "classical",
    text_encoder: Annotated[
        str, typer.Option(help="classical (offline) or sentence_transformers.")
    ] = "classical",
    image_model: Annotated[str | None, typer.Option(help="A timm model name.")] = None,
    text_model: Annotated[str | None, typer.Option(help="A sentence-transformers name.")] = None,
    image_column: Annotated[
        str | None, typer.Option(help="Column of the file names (default: file, filepath, ...).")
    ] = None,
    text_column: Annotated[
        str | None, typer.Option(help="Column of the texts (default: text, caption, title).")
    ] = None,
    id_column: Annotated[str | None, typer.Option(help="Column of image ids.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Rows per batch of an encoder.")] = None,
    split_column: Annotated[
        str, typer.Option(help="Column with train, val, test; none leaves a column split aside.")
    ] = "split",
    skip_bad: Annotated[bool, typer.Option(help="Skip and list unusable rows.")] = False,
    overwrite: Annotated[bool, typer.Option(help="Replace an existing set.")] = False,
) -> None:
    """Embed pictures and texts as pairs.

    The classical encoders need no download.
    """
    from tunewright.recipes.pairs.encoders.embed import Encoders, embed_folder
    from tunewright.recipes.pairs.encoders.pair_table import PairTable

    pairs = PairTable(
        images,
        table,
        image_column=image_column,
        text_column=text_column,
        id_column=id_column,
        split_column=None if split_column == "none" else split_column,
        skip_bad=skip_bad,
    )
    encoders = Encoders(image_encoder, text_encoder, image_model, text_model, batch_size=batch_size)
    with _progress("embed") as progress:
        report = embed_folder(
            pairs,
            output,
            name,
            encoders,
            overwrite=overwrite,
            progress=progress,
        )
    print(
        f"{report.rows:,} pairs of {report.images:,} images in {output} "
        f"({report.widths[0]} and {report.widths[1]} wide)"
    )
    for skipped, reason in report.skipped:
        print(printable(f"skipped {skipped}: {reason}"))
    for notice in report.notices:
        print(printable(f"note: {notice}"))
    print(f"next: tunewright pairs split {output} --name {name}")


class _progress:  # noqa: N801 - used as a function
    """A progress bar in a terminal, silent elsewhere; called with the rows done and the total."""

    def __init__(self, title: str) -> None:
        from rich.console import Console
        from rich.progress import Progress

        self._bar = Progress(console=Console(stderr=True), transient=True)
        self._task = self._bar.add_task(title, total=None)

    def __enter__(self) -> "_progress":
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def __call__(self, done: int, total: int) -> None:
        self._bar.update(self._task, completed=done, total=total)


def _three(text: str | None) -> tuple[float, float, float] | None:
    from tunewright.errors import UsageError

    if text is None:
        return None
    try:
        train, valid, test = (float(part) for part in text.split(","))
    except ValueError:
        raise UsageError(
            f"--fractions {text}", expected="three numbers, such as .8,.1,.1"
        ) from None
    return train, valid, test
