"""A finding, and what may be known of a study besides its trials."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tunewright.result import Result


@dataclass(frozen=True)
class Finding(Result):
    """A conclusion about a study.

    name: its kind, such as `edge`. title: one sentence. evidence: the trials and figures behind it.
    size: how large the effect is. certainty: how sure it is, and by which test. change: what to do,
    as a command, lines of YAML or Python that can be copied. weight: 0 to 1, the more the more
    urgent. parameters, trials: those that it is about.
    """

    name: str
    title: str
    evidence: str
    size: str
    certainty: str
    change: str
    weight: float
    parameters: tuple[str, ...] = ()
    trials: tuple[int, ...] = ()


def _any(_path: str, _value: Any) -> bool:
    return True


@dataclass(frozen=True)
class StudyContext:
    """How a study was run, as far as it is known; all defaults are for one of another program.

    recipe: empty for a study of another program. study: what commands call it, mostly its folder;
    empty where it has none. space_file: the file of its space. configuration: the flat values that
    all trials share. final: those that the final training replaces. pruner: its settings.
    fingerprints: of the data sets, by name. section: of the configuration in which all parameters
    lie; empty for the whole of it. total: `study.trials`. ran: the trials that
    the study ran itself. accepts: whether the
    configuration allows a value at a path. exhausted: whether every point of the space was tried.
    """

    recipe: str = ""
    study: str = ""
    space_file: str = ""
    configuration: Mapping[str, Any] = field(default_factory=dict)
    final: Mapping[str, Any] = field(default_factory=dict)
    pruner: Mapping[str, Any] = field(default_factory=dict)
    fingerprints: Mapping[str, str] = field(default_factory=dict)
    section: str = ""
    total: int | None = None
    ran: int = 0
    accepts: Callable[[str, Any], bool] = _any
    exhausted: bool = False

    @property
    def needs_python(self) -> bool:
        """Whether no command goes on with it: it is foreign, or tunes a Python function."""
        return self.is_foreign or self.recipe == "function"

    @property
    def is_foreign(self) -> bool:
        """Whether another program made the study, or its folder is not known."""
        return not (self.recipe and self.study)
