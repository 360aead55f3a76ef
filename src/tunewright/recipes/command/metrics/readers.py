"""The readers of a run: all that have something to read there."""

from tunewright.recipes.command.metrics import (
    client_reports,
    metrics_file,
    output_lines,
    wandb_runs,
)
from tunewright.recipes.command.metrics.reader import METRIC_READERS, MetricReader, ReaderContext

REGISTERED = (client_reports, metrics_file, output_lines, wandb_runs)
"""The modules that register readers; a new one is listed here."""


def make_readers(context: ReaderContext) -> list[MetricReader]:
    """Return the readers of one attempt, in the order of their registration."""
    made = [METRIC_READERS[name](context) for name in METRIC_READERS]
    return [reader for reader in made if reader is not None]
