"""What the report of a study shows, as plain values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from tunewright.analysis.audit.judge import FidelityAudit
from tunewright.analysis.final_scores import predict_final_scores
from tunewright.analysis.history import Gain
from tunewright.analysis.overview import StudyOverview, searched_paths
from tunewright.runs.record import StudyRecord


@dataclass(frozen=True)
class Command:
    """A command to copy, and what it is for."""

    purpose: str
    text: str


@dataclass(frozen=True)
class FailureLog:
    """Failed trials of one cause and reason, and how the log of the first of them ends."""

    cause: str
    reason: str
    trials: Sequence[int]
    lines: Sequence[str] = ()


@dataclass(frozen=True)
class EvaluationPicture:
    """A picture that an evaluation drew. data: as a `data:` URL, which needs no other file."""

    title: str
    data: str


@dataclass(frozen=True)
class EvaluationFigures:
    """The figures of the final model, or of the best trial.

    metrics: rows of name, value, interval, and the value of each baseline by its name. figures: all
    that `evaluation.json` holds. files: pages and pictures beside it, relative to the report.
    pictures: what is shown on the page itself.
    """

    of: str
    metrics: Sequence[Mapping[str, Any]]
    baselines: Sequence[str]
    notes: Sequence[str]
    figures: Mapping[str, Any]
    files: Sequence[str] = ()
    pictures: Sequence[EvaluationPicture] = ()


@dataclass(frozen=True)
class StudyContents:
    """All that a page or a figure is drawn from.

    domains: the parameters of the space as its file has them; empty for a study of another program.
    overview: with importances and findings. facts: names and values: versions, seeds, data, place.
    total: the trials that the study is to have. made: when, for people. audit: what full trainings
    say about the search's fidelity. pairs: parameters that are drawn against each other beside the
    most important two. on_gpu: whether trials used a GPU; None where it is not known. ensemble:
    what one of the trials gains, see `classification.inference.trial_ensemble.select_trials`.
    """

    record: StudyRecord
    overview: StudyOverview
    domains: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    gain: Gain | None = None
    commands: Sequence[Command] = ()
    failures: Sequence[FailureLog] = ()
    evaluation: EvaluationFigures | None = None
    facts: Sequence[tuple[str, str]] = ()
    total: int | None = None
    made: str = ""
    audit: FidelityAudit | None = None
    pairs: Sequence[tuple[str, str]] = ()
    on_gpu: bool | None = None
    ensemble: Mapping[str, Any] | None = None

    @cached_property
    def ranked_paths(self) -> list[str]:
        """The parameters, the most important first; those without an importance come last."""
        known = self.overview.importances
        return sorted(searched_paths(self.record), key=lambda path: -known.get(path, -1.0))

    @cached_property
    def left_ends(self) -> Mapping[int, float]:
        """The predicted final scores of trials that wait at a rung or were left there."""
        left = {trial.number for trial in self.record.trials if trial.rung}
        if not left:
            return {}
        found = predict_final_scores(self.record)
        return {number: one.value for number, one in found.items() if number in left}

    def is_log(self, path: str) -> bool | None:
        """Return whether a parameter is searched on a logarithmic scale; None where unknown."""
        domain = self.domains.get(path)
        return None if domain is None else bool(domain.get("log"))
