"""Read a metrics file that grows while the script runs: JSON lines, CSV, or TensorBoard's."""

import csv
from collections.abc import Iterable
from pathlib import Path

from tunewright.recipes.command.config import MetricsConfig
from tunewright.recipes.command.metrics.growing_file import GrowingFile
from tunewright.recipes.command.metrics.output_lines import LONGEST, object_in, report_of
from tunewright.recipes.command.metrics.reader import (
    METRIC_READERS,
    MetricReader,
    ReaderContext,
    ScriptReport,
)
from tunewright.recipes.command.metrics.tensorboard_events import TensorBoardReader

SUFFIXES = {".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "jsonl", ".csv": "csv", ".tsv": "csv"}


def format_of(path: str, config: MetricsConfig) -> str:
    """Return the format of a metrics file, by its suffix unless the configuration names it."""
    if config.format != "auto":
        return config.format
    return SUFFIXES.get(Path(path).suffix.lower(), "tensorboard")


class JsonLinesReader(MetricReader):
    """Reads one JSON object a line; other lines are left out."""

    def __init__(self, path: Path, config: MetricsConfig, *, again: bool) -> None:
        super().__init__()
        self._file, self._config = GrowingFile(path, from_end=again), config

    def poll(self, *, ended: bool) -> Iterable[ScriptReport]:
        """Yield the reports that were completed since the last call."""
        for line in self._file.poll(ended=ended):
            values = object_in(line) if len(line) <= LONGEST else None
            report = report_of(values, self._config) if values is not None else None
            if report is not None:
                yield report


class CsvReader(MetricReader):
    """Reads rows below a header; names lose outer blanks, empty cells are left out."""

    def __init__(self, path: Path, config: MetricsConfig, *, again: bool) -> None:
        super().__init__()
        self._file, self._config = GrowingFile(path, from_end=again), config
        self._names: list[str] = []
        self._comma = ","
        if self._file.head:
            self._names = self._cells(self._file.head)

    def poll(self, *, ended: bool) -> Iterable[ScriptReport]:
        """Yield the rows that were completed since the last call."""
        for line in self._file.poll(ended=ended):
            if self._file.renewed:
                self._names, self._file.renewed = [], False
            if not line.strip():
                continue
            cells = self._cells(line)
            if not self._names:
                self._names = cells
                continue
            if (
                report := report_of(dict(zip(self._names, cells, strict=False)), self._config)
            ) is not None:
                yield report

    def _cells(self, line: str) -> list[str]:
        if not self._names:
            self._comma = max(",;\t", key=line.count)
        return [cell.strip() for cell in next(csv.reader([line], delimiter=self._comma))]


@METRIC_READERS
def file(context: ReaderContext, /) -> MetricReader | None:
    """Read the metrics file that the configuration names."""
    path, config = context.file, context.config
    if path is None:
        return None
    kind = format_of(str(path), config)
    if kind == "tensorboard":
        return TensorBoardReader(path, again=context.again)
    return (JsonLinesReader if kind == "jsonl" else CsvReader)(path, config, again=context.again)
