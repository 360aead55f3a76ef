"""Run an Optuna objective as a trial: a function that is given a trial and returns its score."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tunewright.config.tree import copy_tree
from tunewright.errors import ConfigError
from tunewright.recipes.function.call import finish, is_optunas_prune, seed_for
from tunewright.recipes.function.config import FunctionConfig
from tunewright.recipes.function.report import Report, StopFunction, number
from tunewright.recipes.function.trial import ObjectiveTrial
from tunewright.runs.folder import RunFolder
from tunewright.runs.record import Outcome

if TYPE_CHECKING:
    from tunewright.training.reporter import Reporter

Objective = Callable[..., Any]
"""Called with a trial, and with `seed` if it has that parameter; returns a number for each goal."""


@dataclass(frozen=True)
class CallObjective:
    """The run of an Optuna objective, in place of a training; picklable if the objective is."""

    objective: Objective

    def __call__(self, folder: RunFolder, config: FunctionConfig, reporter: "Reporter") -> Outcome:
        """Call the objective once; its exceptions pass through, but for `optuna.TrialPruned`."""
        goals = [goal.partition(":")[0] for goal in config.goals]
        report = Report(
            reporter, goal=goals[0], last_step=config.training.epochs, stops_at_prune=False
        )
        trial = ObjectiveTrial(reporter, report, copy_tree(config.params))
        try:
            returned = self.objective(trial, **seed_for(self.objective, config))
        except StopFunction as stopped:
            return stopped.outcome
        except Exception as error:
            if not is_optunas_prune(error):
                raise
            request = folder.read_request(reporter.attempt)
            asked = request is not None and request.kind == "prune"
            reason = request.reason if asked and request is not None else f"it stopped: {error}"
            return _with_attributes(report.pruned(" ".join(reason.split())), trial)
        finally:
            trial.end()
        outcome = finish(report, reporter.attempt, _by_goal(returned, goals), goals)
        return _with_attributes(outcome, trial)


def _with_attributes(outcome: Outcome, trial: ObjectiveTrial) -> Outcome:
    """Return the outcome with the user attributes; numbers among them are metrics."""
    metrics, attributes = dict(outcome.metrics), {}
    for name, value in trial.user_attrs.items():
        if isinstance(value, int | float) and not isinstance(value, bool) and name not in metrics:
            metrics[name] = value
        else:
            attributes[name] = value
    return replace(outcome, metrics=metrics, attributes=attributes)


def _by_goal(returned: Any, goals: list[str]) -> Mapping[str, Any]:
    """Return what an objective returned by goal; raise ConfigError for another number of values."""
    if isinstance(returned, Mapping):
        return {str(name): value for name, value in returned.items()}
    try:
        values = [number(returned)]
    except TypeError:
        values = list(returned) if isinstance(returned, list | tuple) else []
    if len(values) != len(goals):
        raise ConfigError(
            f"the objective returned {returned!r:.200}",
            expected=f"{len(goals)} number{'s' if len(goals) > 1 else ''}, for {', '.join(goals)}",
            remedy="Pass a goal for each value: "
            "tunewright.tune(objective, goal=['loss:min', 'accuracy:max']).",
        )
    return dict(zip(goals, values, strict=True))
