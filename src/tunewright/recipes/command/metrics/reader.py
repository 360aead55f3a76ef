"""What every reader of metrics is, and the readers by name."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tunewright.recipes.command.config import MetricsConfig
from tunewright.registry import Registry


@dataclass(frozen=True)
class ScriptReport:
    """Metrics that a script reported at once.

    step: None where it named none. metrics: by name, without blanks around it. unit: the name of
    the step, since `step` and `epoch` of one script do not compare.
    """

    step: int | None
    metrics: Mapping[str, float]
    unit: str = "step"

    def __post_init__(self) -> None:
        # `log({"acc ": 0.5})` is a slip that hides a metric from whoever looks for `acc`.
        stripped = {name.strip(): value for name, value in self.metrics.items()}
        exact = {name: value for name, value in self.metrics.items() if name == name.strip()}
        object.__setattr__(self, "metrics", {**stripped, **exact})


@dataclass(frozen=True)
class ReaderContext:
    """What a reader is made from.

    config: the section `metrics`. run_dir: the folder of the script's own files. file: the metrics
    file of the section, placeholders filled. reports: the file that the client writes. params: the
    parameters of the trial. again: an earlier attempt of the run may have left files.
    """

    config: MetricsConfig
    run_dir: Path
    file: Path | None
    reports: Path
    params: Mapping[str, Any] = field(default_factory=dict)
    again: bool = False


class MetricReader:
    """Reads what a script reports in one way; made for one attempt of a run.

    environment: variables that the script gets for it, such as a folder on its path. asked: the
    parameters that the script asked for, None where this way does not tell. resumes: whether the
    script has asked for a folder of checkpoints.
    """

    def __init__(self) -> None:
        self.environment: dict[str, str] = {}
        self.resumes = False
        self.asked: set[str] | None = None

    def read_line(self, line: str) -> Iterable[ScriptReport]:
        """Return what a line of the script's output reports; nothing by default."""
        return ()

    def poll(self, *, ended: bool) -> Iterable[ScriptReport]:
        """Return what was reported elsewhere since the last call; nothing by default.

        ended: the script has ended, so an unfinished line is whole.
        """
        return ()


METRIC_READERS: Registry[Callable[[ReaderContext], MetricReader | None]] = Registry("metric reader")
"""Readers by name. Each is made for every run; None from one that has nothing to read there."""
