"""Read what a script reports through `tunewright.client`."""

from collections.abc import Iterable
from pathlib import Path

from tunewright.recipes.command.metrics.growing_file import GrowingFile
from tunewright.recipes.command.metrics.output_lines import number_of, object_in
from tunewright.recipes.command.metrics.reader import (
    METRIC_READERS,
    MetricReader,
    ReaderContext,
    ScriptReport,
)


class ClientReader(MetricReader):
    """Reads the lines that the client appends."""

    def __init__(self, reports: Path) -> None:
        super().__init__()
        self._file = GrowingFile(reports)

    def poll(self, *, ended: bool) -> Iterable[ScriptReport]:
        """Yield the reports that the script has made since the last call."""
        for line in self._file.poll(ended=ended):
            if (told := object_in(line)) is None:
                continue  # torn by a kill
            if isinstance(asked := told.get("asked"), list):
                self.asked = (self.asked or set()) | set(map(str, asked))
            self.resumes = self.resumes or bool(told.get("checkpoints"))
            if isinstance(metrics := told.get("metrics"), dict):
                step = told.get("step")
                numbers = {str(k): n for k, v in metrics.items() if (n := number_of(v)) is not None}
                yield ScriptReport(step if isinstance(step, int) else None, numbers)


@METRIC_READERS
def client(context: ReaderContext, /) -> MetricReader | None:
    """Read what the client reports."""
    return ClientReader(context.reports)
