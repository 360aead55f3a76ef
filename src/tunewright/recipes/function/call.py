"""Run the user's function as a trial: its reports, its end, what it returned."""

import inspect
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tunewright.config.schema import RunConfig
from tunewright.config.tree import copy_tree
from tunewright.errors import ConfigError, RunError
from tunewright.recipes.function.config import FunctionConfig
from tunewright.recipes.function.report import Report, StopFunction, number
from tunewright.runs.folder import RunFolder
from tunewright.runs.record import Outcome

if TYPE_CHECKING:
    from tunewright.training.reporter import Reporter

Function = Callable[..., Any]
"""Called with the parameters and `report`; returns a number or a mapping of numbers.

One that has a parameter `seed` gets the seed of the run as well, by that name.
"""


@dataclass(frozen=True)
class Call:
    """The run of a function, in place of a training; picklable if the function is."""

    function: Function

    def __call__(self, folder: RunFolder, config: FunctionConfig, reporter: "Reporter") -> Outcome:
        """Call the function once; its exceptions pass through.

        A request to pause or prune ends it at its next report, and so does `optuna.TrialPruned`.
        """
        report = Report(
            reporter,
            goal=config.goals[0].partition(":")[0],
            last_step=config.training.epochs,
        )
        params = copy_tree(config.params)
        try:
            returned = self.function(params, report, **seed_for(self.function, config))
        except StopFunction as stopped:
            return stopped.outcome
        except Exception as error:
            if not is_optunas_prune(error):
                raise
            return report.pruned(" ".join(f"the function raised TrialPruned: {error}".split()))
        goals = [goal.partition(":")[0] for goal in config.goals]
        return finish(report, reporter.attempt, _as_mapping(returned), goals)


def takes_seed(function: Callable[..., Any]) -> bool:
    """Return whether a function has a parameter `seed`."""
    try:
        found = inspect.signature(function).parameters.get("seed")
    except (TypeError, ValueError):  # some built-in ones have no signature
        return False
    return found is not None and found.kind is not inspect.Parameter.POSITIONAL_ONLY


def seed_for(function: Callable[..., Any], config: RunConfig) -> dict[str, int]:
    """Return the seed of a run as an argument of its function, if that takes one."""
    return {"seed": config.seed} if takes_seed(function) else {}


def finish(
    report: Report, attempt: int, returned: Mapping[str, object], goals: Collection[str]
) -> Outcome:
    """Return the outcome of a function that has returned; ConfigError as in `Report.numbers`."""
    seconds = report.seconds
    report.begin(0)
    metrics = report.numbers(returned, goals, "the function returned")
    return Outcome("done", attempt, best_step=report.step, metrics=metrics, seconds=seconds)


def is_optunas_prune(error: Exception) -> bool:
    """Return whether it is `optuna.TrialPruned`, which objectives written for Optuna raise.

    Told by its name, since a worker does not import Optuna.
    """
    return any(
        kind.__name__ == "TrialPruned" and kind.__module__.partition(".")[0] == "optuna"
        for kind in type(error).__mro__
    )


def _as_mapping(returned: object) -> dict[str, object]:
    """Return a function's result as a mapping: a number becomes `{"value": number}`.

    Raises ConfigError for anything else.
    """
    if isinstance(returned, Mapping):
        return {str(name): value for name, value in returned.items()}
    try:
        return {"value": number(returned)}
    except TypeError:
        raise ConfigError(
            f"the function returned {returned!r:.200}",
            expected="a number, or a mapping from names to numbers",
        ) from None


def without_function(folder: RunFolder, _config: RunConfig, _reporter: "Reporter") -> Outcome:
    """Refuse to run from a folder alone, which names the function but does not hold it."""
    raise RunError(
        f"{folder.path} names a function that only tunewright.tune(function, space) can provide"
    )
