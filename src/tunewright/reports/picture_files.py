"""Pictures for papers: PNG, SVG and PDF files, drawn with matplotlib, which is imported here alone.

A figure is drawn on an object of its own: neither pyplot, nor a backend, nor the settings of the
user's own figures are touched, and a file depends on nothing but what is drawn into it.
"""

import contextlib
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunewright.errors import UsageError
from tunewright.reports.figures import COLOURS, GRID, INK
from tunewright.runs.atomic import NAMED, write_with

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Figure

PICTURES = (".png", ".svg", ".pdf")
PAGE, FIGURE = ".html", "figure.png"
DOTS_PER_INCH = 200
WIDTH_INCHES, HEIGHT_INCHES = 7.0, 4.2
"""Default size: the width of a page's text."""
FONT = "DejaVu Sans"
"""It comes with matplotlib, so that a picture is the same on every machine."""


def check_output(file: Path, *, option: str = "--output", page: bool = True) -> None:
    """Raise UsageError for a file that is neither a picture nor, where `page`, an HTML page."""
    known = [*PICTURES, *([PAGE] if page else [])]
    if file.suffix.lower() not in known:
        raise UsageError(
            f"{option} {file}",
            expected=f"a file that ends in {', '.join(known[:-1])} or {known[-1]}",
            remedy=f"Write {option} {file.with_suffix(PICTURES[0]) if file.name else FIGURE}.",
        )


def write_picture(
    draw: "Callable[[Figure], object]",
    file: Path,
    *,
    width_inches: float = WIDTH_INCHES,
    height_inches: float = HEIGHT_INCHES,
) -> None:
    """Write what `draw` draws on an empty figure; the suffix is the format.

    draw: called with a matplotlib Figure whose layout is constrained. Names with `$` are shown as
    they are, not as formulas. The same drawing gives the same bytes. The file is whole or absent.

    Raises UsageError for a suffix other than `PICTURES`, NotWritten where the disk refuses it.
    """
    check_output(file, page=False)
    kind = file.suffix.lower().removeprefix(".")
    with _settings():
        from matplotlib.figure import Figure

        figure = Figure(figsize=(width_inches, height_inches), layout="constrained")
        draw(figure)
        write_with(
            file,
            lambda part: figure.savefig(part, format=kind, metadata=_METADATA[kind]),
            remedy=NAMED,
        )


_METADATA: dict[str, dict[str, Any]] = {
    "png": {"Software": None},
    "svg": {"Date": None},
    "pdf": {"CreationDate": None},
}
"""Without dates and versions, which would make every file another one."""


@contextlib.contextmanager
def _settings() -> Iterator[None]:
    """Draw with our settings over matplotlib's own, then give the user's back."""
    import matplotlib
    from matplotlib.rcsetup import cycler

    own: dict[Any, Any] = {
        "axes.edgecolor": INK,
        "axes.grid": True,
        "axes.labelcolor": INK,
        "axes.prop_cycle": cycler(color=COLOURS),
        "axes.spines.right": False,
        "axes.spines.top": False,
        "axes.titlesize": "medium",
        "figure.dpi": DOTS_PER_INCH,
        "font.family": FONT,
        "font.size": 9.0,
        "grid.color": GRID,
        "legend.frameon": False,
        "pdf.fonttype": 42,  # fonts that can be edited, which publishers ask for
        "savefig.dpi": DOTS_PER_INCH,
        "svg.hashsalt": "tunewright",
        "text.color": INK,
        "text.parse_math": False,
        "xtick.color": INK,
        "ytick.color": INK,
    }
    shipped: dict[Any, Any] = {
        key: value
        for key, value in matplotlib.rcParamsDefault.items()
        if not key.startswith("backend")
    }
    with matplotlib.rc_context({**shipped, **own}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")  # drawn as a box
        yield
