"""Find groups or pictures that are in two splits, and name their files."""

from collections import defaultdict
from collections.abc import Sequence

from tunewright.errors import DataError
from tunewright.images.image_table import ImageTable
from tunewright.images.sources.build_table import EXAMPLES


def check_leaks(table: ImageTable, keys: Sequence[str], splits: Sequence[str]) -> None:
    """Refuse splits that share a group or a picture.

    keys: one text per row, equal for equal pictures. Raises DataError with counts and some files.
    """
    if (found := leaks_of(table, keys, splits)) is not None:
        raise DataError(
            found,
            expected="each group and each picture in one split only",
            remedy="Move them to one side; data.leaks=warn goes on, with scores that are too "
            "good, and data.group_by=null ignores the groups.",
        )


def leaks_of(table: ImageTable, keys: Sequence[str], splits: Sequence[str]) -> str | None:
    """Describe what `check_leaks` refuses; None if there is nothing."""
    problems = []
    groups = [] if table.groups is None else _torn(table.groups, splits)
    if groups:
        listed = "; ".join(_sides(table, splits, rows) for rows in groups[:EXAMPLES])
        problems.append(f"{len(groups):,} groups stand in several splits ({listed})")
    copies = _torn(keys, splits)
    if copies:
        listed = "; ".join(_sides(table, splits, rows) for rows in copies[:EXAMPLES])
        problems.append(
            f"{len(copies):,} pictures stand in several splits, byte for byte ({listed})"
        )
    return f"{table.origin} leaks: {', and '.join(problems)}" if problems else None


def copies_of(table: ImageTable, keys: Sequence[str]) -> list[str]:
    """Return notices on duplicate pictures, and on duplicates with different labels."""
    rows_of = _rows_by(keys)
    several = [rows for rows in rows_of.values() if len(rows) > 1]
    if not several:
        return []
    extra = sum(len(rows) - 1 for rows in several)
    notices = [
        f"{extra:,} pictures are copies of others, byte for byte (such as "
        f"{_files(table, several[0])}): copies stay in one split"
    ]
    truth = table.truth
    torn = [rows for rows in several if (truth[rows] != truth[rows[0]]).any()]
    if torn:
        named = [f"{table.ids[row]} is {table.label_names(row)}" for row in torn[0][:EXAMPLES]]
        notices.append(
            f"{len(torn):,} pictures have copies with another label ({', '.join(named)})"
        )
    return notices


def _torn(values: Sequence[str], splits: Sequence[str]) -> list[list[int]]:
    """Return the rows of each value that is in more than one split."""
    several = _rows_by(values).values()
    return [rows for rows in several if len({splits[row] for row in rows}) > 1]


def _sides(table: ImageTable, splits: Sequence[str], rows: Sequence[int]) -> str:
    """Name one file of each split."""
    shown = {splits[row]: row for row in reversed(rows)}
    named = " and ".join(f"{table.ids[row]} in {side}" for side, row in sorted(shown.items()))
    return named if table.groups is None else f"{table.groups[rows[0]]!r}: {named}"


def _rows_by(values: Sequence[str]) -> dict[str, list[int]]:
    rows_of: dict[str, list[int]] = defaultdict(list)
    for row, value in enumerate(values):
        rows_of[value].append(row)
    return rows_of


def _files(table: ImageTable, rows: Sequence[int]) -> str:
    more = len(rows) - 2
    named = " and ".join(table.ids[row] for row in rows[:2])
    return named + (f" and {more:,} more" if more > 0 else "")
