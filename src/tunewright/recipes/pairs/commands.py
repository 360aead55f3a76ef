"""`tunewright pairs ...`: from pictures and texts to embeddings, from embeddings to splits."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None)


@app.command()
def split(
    source: Annotated[Path, typer.Argument(help="Folder of the embeddings.")],
    name: Annotated[str, typer.Option(help="The set: NAME_image_embeddings and so on.")] = "all",
    output: Annotated[Path | None, typer.Option(help="Where to write; default: SOURCE.")] = None,
    valid: Annotated[
        str | None, typer.Option(help="A ready set of SOURCE that becomes val, such as val2017.")
    ] = None,
    by: Annotated[str, typer.Option(help="groups, or the metadata's own split list.")] = "groups",
    fractions: Annotated[
        str | None, typer.Option(help="Of the rows, for train,val,test; default .8,.1,.1.")
    ] = None,
    subset: Annotated[int, typer.Option(help="Rows of the tuning subset.")] = 100_000,
    subset_unit: Annotated[str, typer.Option(help="images (whole ones) or rows.")] = "images",
    seed: Annotated[int, typer.Option(help="Seed of the split.")] = 42,
    overwrite: Annotated[bool, typer.Option(help="Replace sets that are there.")] = False,
) -> None:
    """Split embeddings into train, val, test and the tuning subset, without leaks.

    Rows that show one image, or share a text, stay on one side.
    """
    from tunewright.errors import UsageError
    from tunewright.recipes.pairs.data.pair_files import open_pairs
    from tunewright.recipes.pairs.data.split import split_pairs

    if by not in ("groups", "metadata") or subset_unit not in ("images", "rows"):
        raise UsageError(
            f"--by {by} --subset-unit {subset_unit}",
            expected="--by groups or metadata, --subset-unit images or rows",
        )
    with _progress("split") as progress:
        report = split_pairs(
            open_pairs(source, name),
            output or source,
            by=by,  # type: ignore[arg-type]
            fractions=_three(fractions),
            validation=open_pairs(source, valid) if valid else None,
            subset=subset,
            subset_unit=subset_unit,  # type: ignore[arg-type]
            seed=seed,
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
        print(f"note: {notice}")
    print(f"next: tunewright tune pairs data.dir={report.folder}")


@app.command()
def embed(
    images: Annotated[Path, typer.Argument(help="Folder or zip of pictures.")],
    table: Annotated[Path, typer.Argument(help="CSV with a file and a text column.")],
    output: Annotated[Path, typer.Option(help="Folder for the embeddings.")],
    name: Annotated[str, typer.Option(help="Name of the set.")] = "all",
    image_encoder: Annotated[str, typer.Option(help="classical (offline) or timm.")] = "classical",
    text_encoder: Annotated[
        str, typer.Option(help="classical (offline) or sentence_transformers.")
    ] = "classical",
    image_model: Annotated[str | None, typer.Option(help="A timm model name.")] = None,
    text_model: Annotated[str | None, typer.Option(help="A sentence-transformers name.")] = None,
    image_column: Annotated[str, typer.Option(help="Column of the file names.")] = "file",
    text_column: Annotated[str, typer.Option(help="Column of the texts.")] = "text",
    id_column: Annotated[str | None, typer.Option(help="Column of image ids.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Rows an encoder takes at once.")] = None,
    skip_bad: Annotated[bool, typer.Option(help="List unusable rows, go on.")] = False,
) -> None:
    """Turn pictures and texts into paired embeddings; the classical encoders need no download."""
    from tunewright.recipes.pairs.encoders.embed import embed_folder

    with _progress("embed") as progress:
        report = embed_folder(
            images,
            table,
            output,
            name,
            image_encoder=image_encoder,
            text_encoder=text_encoder,
            image_model=image_model,
            text_model=text_model,
            batch_size=batch_size,
            image_column=image_column,
            text_column=text_column,
            id_column=id_column,
            skip_bad=skip_bad,
            progress=progress,
        )
    print(
        f"{report.rows:,} pairs of {report.images:,} images in {output} "
        f"({report.widths[0]} and {report.widths[1]} wide)"
    )
    for skipped, reason in report.skipped:
        print(f"skipped {skipped}: {reason}")
    for notice in report.notices:
        print(f"note: {notice}")
    print(f"next: tunewright pairs split {output} --name {name}")


class _progress:  # noqa: N801 - used as a function
    """A bar in a terminal, silence elsewhere; called with what is done and what there is."""

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
