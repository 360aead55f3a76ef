"""The trial that an Optuna objective gets: it suggests, reports and prunes as Optuna's own does."""

import warnings
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from tunewright.config.tree import get
from tunewright.errors import SpaceError, UsageError
from tunewright.recipes.function.report import Report
from tunewright.spaces.domain import Categorical, Domain, Float, Int, canonical, nearest
from tunewright.spaces.plain_values import plain_values
from tunewright.spaces.specification import domain_fields, read_domain

if TYPE_CHECKING:
    from tunewright.training.reporter import Reporter

_NOT_HERE = {
    "study": "The study lives in another process; read it afterwards with optuna.load_study.",
    "set_constraint": "Set the figure as a user attribute, and pass "
    "tunewright.tune(..., constraints=['NAME <= 10']).",
    "distributions": "They are in the study afterwards: optuna.load_study.",
    "system_attrs": "Use trial.user_attrs.",
    "set_system_attr": "Use trial.set_user_attr.",
}
"""What Optuna's trial has and this one has not, and what to do instead."""


class ObjectiveTrial:
    """Stands in for `optuna.Trial` in a worker, which asks the coordinator for every value.

    The study's sampler draws the values, with all that it knows of other trials. A trial that is
    called again, after a pause or a kill, gets the values that it had.

    fixed: values that are set for all trials, by dotted name. number: of the trial in the study.
    params: the values suggested until now.
    """

    def __init__(self, reporter: "Reporter", report: Report, fixed: Mapping[str, Any]) -> None:
        self._reporter, self._report, self._fixed = reporter, report, fixed
        folder = reporter.folder
        stored, started = folder.read_parameters() or ({}, None)
        self._known: Mapping[str, Any] = stored
        self._domains: dict[str, Domain] = {
            name: read_domain(fields) for name, fields in (folder.read_domains() or {}).items()
        }
        self._judged: tuple[int | None, bool] = (None, False)
        self._ended = False
        self.params: dict[str, Any] = {}
        self.user_attrs: dict[str, Any] = {}
        self.number = _number(folder.path)
        self.datetime_start = None if started is None else datetime.fromtimestamp(started)

    def suggest_float(
        self,
        name: str,
        low: float,
        high: float,
        *,
        step: float | None = None,
        log: bool = False,
    ) -> float:
        """Return a number from `low` to `high`, both included; see `optuna.Trial`."""
        low, high, step = (plain_values(value, name) for value in (low, high, step))
        step = None if step is None else float(step)
        return float(self._suggest(name, Float(float(low), float(high), log, step)))

    def suggest_int(
        self, name: str, low: int, high: int, *, step: int = 1, log: bool = False
    ) -> int:
        """Return a whole number from `low` to `high`, both included; see `optuna.Trial`."""
        low, high, step = (plain_values(value, name) for value in (low, high, step))
        if any(value != int(value) for value in (low, high, step)):
            raise SpaceError(
                f"suggest_int({name!r}, {low}, {high}, step={step})", expected="whole numbers"
            )
        return int(self._suggest(name, Int(int(low), int(high), log, int(step))))

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """Return one of `choices`: plain values, or lists and dictionaries of them."""
        choices = list(choices)
        plain = [_untuple(plain_values(choice, name)) for choice in choices]
        value = canonical(self._suggest(name, Categorical(tuple(plain))))
        return choices[[canonical(choice) for choice in plain].index(value)]

    def suggest_uniform(self, name: str, low: float, high: float) -> float:
        """Return a number; the former name of `suggest_float`."""
        return self.suggest_float(name, low, high)

    def suggest_loguniform(self, name: str, low: float, high: float) -> float:
        """Return a number on a log scale; the former name of `suggest_float(log=True)`."""
        return self.suggest_float(name, low, high, log=True)

    def suggest_discrete_uniform(self, name: str, low: float, high: float, q: float) -> float:
        """Return a number in steps; the former name of `suggest_float(step=q)`."""
        return self.suggest_float(name, low, high, step=q)

    def report(self, value: float, step: int) -> None:
        """Report the first goal after `step` steps; of two reports of a step the first stands.

        Does not return when the trial is paused.
        """
        self._refuse_ended("report")
        self._report(step, metrics={self._report.goal: value})

    def should_prune(self) -> bool:
        """Return what the study's pruner says of the last report; False before the first."""
        self._refuse_ended("should_prune")
        step = self._report.step
        if step is not None and self._judged[0] != step:
            answer = self._reporter.ask()
            if not answer:
                self._report.stop_if_asked()
            self._judged = (step, bool(answer.get("prune")))
        self._report.stop_if_asked()
        return self._judged[1]

    def set_user_attr(self, key: str, value: Any) -> None:
        """Store a value with the trial; numbers also stand among its metrics."""
        self._refuse_ended("set_user_attr")
        self.user_attrs[str(key)] = plain_values(value, f"the user attribute {key}")

    def end(self) -> None:
        """Refuse every further call: the objective has returned."""
        self._ended = True

    def __getattr__(self, name: str) -> NoReturn:
        """Raise AttributeError, with what to do instead where that is known."""
        instead = _NOT_HERE.get(name, "")
        raise AttributeError(
            f"a trial in a worker of Tunewright has no {name!r}. {instead}".rstrip(), name=name
        )

    def _suggest(self, name: str, domain: Domain) -> Any:
        """Return the value of a parameter: the one it has, else one from the coordinator."""
        self._refuse_ended(f"suggest {name!r}")
        if not isinstance(name, str) or not name:
            raise SpaceError(f"a parameter is named {name!r}", expected="a text")
        if name in self._domains:
            _check_same(name, self._domains[name], domain)
        fixed = get(self._fixed, name)
        if name in self._known:
            value = self._known[name]
        elif fixed is not None:
            value = _fixed_value(name, fixed, domain)
        else:
            self._report.stop_if_asked()
            answer = self._reporter.ask(name, domain_fields(domain))
            if not answer:
                self._report.stop_if_asked()
            if refused := answer.get("refused"):
                raise SpaceError(**refused)
            value = answer["value"]
        self._known = {**self._known, name: value}
        self._domains.setdefault(name, domain)
        self.params[name] = value
        return nearest(domain, value) if domain.contains(value) else value

    def _refuse_ended(self, call: str) -> None:
        if self._ended:
            raise UsageError(
                f"trial {self.number} was asked to {call} after its objective had returned",
                expected="the trial of the present call of the objective",
            )


def _number(path: Path) -> int:
    """Return the number of the trial whose run lies in `path`, also that of another seed."""
    name = path.parent.name if path.name.startswith("seed-") else path.name
    return int(name) if name.isdigit() else 0


def _untuple(value: Any) -> Any:
    """Return a choice as JSON stores it, with lists in place of tuples."""
    if isinstance(value, Mapping):
        return {str(key): _untuple(inner) for key, inner in value.items()}
    return [_untuple(inner) for inner in value] if isinstance(value, list | tuple) else value


def _check_same(name: str, known: Domain, wanted: Domain) -> None:
    """Compare two domains of a name in one trial, as Optuna does: the first value stands."""
    if known == wanted:
        return
    same = type(known) is type(wanted) and not isinstance(known, Categorical)
    if not same:
        raise SpaceError(
            f"{name} is suggested from {wanted}, and was from {known} before in this trial",
            expected="one domain for each name",
            remedy="Give one of them another name.",
        )
    warnings.warn(
        f"{name} is suggested from {wanted}, and was from {known} before in this trial: the "
        "value that it has stands",
        stacklevel=4,
    )


def _fixed_value(name: str, value: Any, domain: Domain) -> Any:
    if not domain.contains(value):
        warnings.warn(f"{name} is set to {value!r}, outside of {domain}", stacklevel=4)
    return value
