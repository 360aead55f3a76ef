"""Which column of a table holds what: as the user says, else by its usual name."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tunewright.errors import ConfigError, DataError, did_you_mean
from tunewright.images.sources.csv_rows import CsvRows

IMAGE = (
    "image_id",
    "filename",
    "file",
    "filepath",
    "path",
    "image",
    "image_name",
    "image_path",
    "img",
    "id",
)
"""Usual names of the column of pictures; `id` comes last, since it may be a number of the row."""
LABEL = ("label", "category_id", "category", "class", "class_name", "class_id", "labels")
TEXT = ("text", "caption", "captions", "title")
SPLIT = ("split",)
USUAL: Mapping[str, tuple[str, ...]] = {"image": IMAGE, "label": LABEL, "split": SPLIT}


@dataclass(frozen=True)
class Columns:
    """The columns that `data.columns` names: by `image`, `label` and `split`.

    required: whether a table must have them; without it, usual names take the place of those that
    are missing, as in a test table beside the training table. multi_label: whether a picture may
    have several labels; these are in one column, where `separator` stands between them (None: as
    the cells show), or in a column of 0 and 1 for each class, `classes`.
    """

    names: Mapping[str, str]
    required: bool = True
    multi_label: bool = False
    separator: str | None = None
    classes: tuple[str, ...] = ()

    def one(self, table: CsvRows, role: str) -> str:
        """Return the likeliest column of `role`; raises DataError where there is none."""
        return self.some(table, role)[0]

    def some(self, table: CsvRows, role: str) -> list[str]:
        """Return the columns that may hold `role`; raises DataError where there is none."""
        if found := self.candidates(table, role):
            return found
        usual = USUAL[role]
        name_it = f" Or name it: 'data.columns={{{role}: COLUMN}}'." if self.required else ""
        raise DataError(
            f"{table.file} has no column with {role}s, but {', '.join(table.columns)}",
            expected=" or ".join(map(repr, usual)),
            remedy=table.advise_renaming(usual) + name_it,
        )

    def label_notices(self, table: CsvRows, *read: str) -> list[str]:
        """Return a notice where a table has several columns that may hold the labels.

        read: columns that are used for something else.
        """
        if self.multi_label or self.names.get("label") is not None:
            return []
        label, *others = self.candidates(table, "label") or [""]
        others = [name for name in others if name not in read]
        if not others:
            return []
        return [
            f"labels are read from the column {label!r} of {table.file}, not from "
            f"{' or '.join(map(repr, others))}: data.columns={{label: {others[0]}}} reads the other"
        ]

    def candidates(self, table: CsvRows, role: str) -> list[str]:
        """Return the columns that may hold `role`, the likeliest first; empty if there is none.

        Raises ConfigError for a column that is required and missing.
        """
        named = self.names.get(role)
        if named is None:
            return table.all_of(USUAL[role])
        if found := table.all_of((named,)):
            return found
        if not self.required:
            return table.all_of(USUAL[role])
        raise ConfigError(
            f"data.columns.{role} = {named!r}, and {table.file} has no such column",
            expected=f"one of {', '.join(table.columns)}",
            remedy=did_you_mean(named, table.columns),
        )


USUAL_COLUMNS = Columns({})
"""No column is named: all have their usual names."""


def columns_of_run(config: Mapping[str, Any]) -> Columns:
    """Return the columns that a run's configuration names, for tables that may have others."""
    data = config.get("data") or {}
    named = data.get("columns") or {}
    return Columns(
        {role: name for role, name in named.items() if name and role != "classes"},
        required=False,
        multi_label=bool(data.get("multi_label")),
        separator=data.get("label_separator"),
        classes=tuple(named.get("classes") or ()),
    )
