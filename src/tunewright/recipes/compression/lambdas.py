"""Choose lambda, the weight of the distortion, from a quality level or a value; torch-free."""

from bisect import bisect
from dataclasses import dataclass

from tunewright.errors import ConfigError
from tunewright.recipes.compression.config import LAMBDAS

DEFAULT_QUALITY = 4
"""0.013 for MSE and 16.64 for MS-SSIM: the level that the guide trains."""


@dataclass(frozen=True)
class Weight:
    """The weight of the distortion in the loss, with notices for the user."""

    lmbda: float
    notices: tuple[str, ...] = ()


def weight_of(kind: str, quality: int | None, lmbda: float | None, off_table: bool) -> Weight:
    """Return lambda of the loss `kind` (a key of `LAMBDAS`); level 4 by default.

    Raises ConfigError for a level with a different lambda, and for a lambda outside the table
    without off_table.
    """
    table = LAMBDAS[kind]
    if lmbda is None:
        return Weight(table[(quality or DEFAULT_QUALITY) - 1])
    if quality is not None and lmbda != table[quality - 1]:
        raise ConfigError(
            f"loss.quality = {quality} and loss.lmbda = {lmbda:g}",
            expected=f"one of them: level {quality} of {kind} is lambda {table[quality - 1]:g}",
            remedy=f"Leave out loss.quality, or loss.lmbda ({_levels(table)}).",
        )
    if lmbda in table:
        return Weight(lmbda)
    if table[0] < lmbda < table[-1]:
        below = bisect(table, lmbda)
        where = f"lies between the levels {below} and {below + 1} of {kind}"
    elif off_table:
        side = "below" if lmbda < table[0] else "above"
        where = f"lies {side} all levels of {kind}, as loss.off_table allows"
    else:
        raise ConfigError(
            f"loss.lmbda = {lmbda:g}",
            expected=f"{table[0]:g} to {table[-1]:g}, as in the table of {kind}: {_levels(table)}",
            remedy=_other_table(kind, lmbda) or "loss.off_table=true trains it all the same.",
        )
    return Weight(lmbda, (f"loss.lmbda = {lmbda:g} {where} ({_levels(table)})",))


def _levels(table: tuple[float, ...]) -> str:
    return ", ".join(f"{level}: {lmbda:g}" for level, lmbda in enumerate(table, start=1))


def _other_table(kind: str, lmbda: float) -> str:
    """Return a hint if such a lambda is usual for another loss, else an empty string."""
    for other, table in LAMBDAS.items():
        if other != kind and table[0] <= lmbda <= table[-1]:
            crops = " and data.crop=256" if other == "ms_ssim" else ""
            return (
                f"It is usual for {other} (loss={other}{crops}); loss.off_table=true trains it all "
                "the same."
            )
    return ""
