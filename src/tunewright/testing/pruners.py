"""Contract tests for pruners."""

import itertools
import random
from abc import ABC
from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import TypeAdapter

from tunewright.config.leaves import choices_of
from tunewright.config.schema import RunConfig
from tunewright.config.study_schema import Pruner as PrunerSettings
from tunewright.search.study.pruners import Direction, pruner
from tunewright.search.study.stopping_rules import Pruner

TRIALS, LAST_STEP = 12, 20


class PrunerContract(ABC):
    """Inherit this class and name the pruner.

    settings: keys of the section `study.pruner` besides `type`, such that some of twelve random
    curves of twenty steps between 0 and 1 are stopped. stops: whether it ever stops a trial.
    mirrored: the settings where less is better and all values are negative; None: the same.
    """

    name: ClassVar[str]
    settings: ClassVar[Mapping[str, Any]] = {}
    mirrored: ClassVar[Mapping[str, Any] | None] = None
    stops: ClassVar[bool] = True

    def make(self, direction: Direction = "max") -> Pruner:
        """Return a new pruner."""
        other = self.mirrored if direction == "min" else None
        given = {"type": self.name, **(self.settings if other is None else other)}
        settings: PrunerSettings = TypeAdapter(PrunerSettings).validate_python(given)
        return pruner(settings, LAST_STEP, direction)

    def test_a_configuration_can_name_it(self) -> None:
        assert self.name in choices_of(RunConfig, "study.pruner.type")

    def test_its_steps_rise_and_the_first_is_in_time(self) -> None:
        steps = list(itertools.islice(self.make().steps(), 50))
        assert steps == sorted(set(steps))
        assert bool(steps) == self.stops
        assert all(1 <= step < LAST_STEP for step in steps[:1])

    def test_it_stops_some_trials_and_says_why(self) -> None:
        stopped = _run_pruner(self.make())
        assert bool(stopped) == self.stops
        assert len(stopped) < TRIALS
        assert all(reason and "\n" not in reason for _, reason in stopped.values())

    def test_it_stores_nothing(self) -> None:
        """Ask a new pruner for each decision, as a study that is resumed again and again does."""
        assert _run_pruner(self.make(), renew=self.make) == _run_pruner(self.make())

    def test_the_order_of_the_curves_does_not_matter(self) -> None:
        assert _run_pruner(self.make(), backwards=True) == _run_pruner(self.make())

    def test_less_is_better_where_the_goal_says_so(self) -> None:
        one, other = _run_pruner(self.make()), _run_pruner(self.make("min"), sign=-1.0)
        assert {n: step for n, (step, _) in one.items()} == {
            n: step for n, (step, _) in other.items()
        }


def _run_pruner(
    asked: Pruner, *, renew: Any = None, backwards: bool = False, sign: float = 1.0
) -> dict[int, tuple[int, str]]:
    """Return the step and the reason of each trial that is stopped; two trials run at a time."""
    draw = random.Random(0)
    rates = [draw.random() for _ in range(TRIALS)]
    curves: dict[int, dict[int, float]] = {}
    stopped: dict[int, tuple[int, str]] = {}
    done: set[int] = set()
    for pair in range(0, TRIALS, 2):
        for step in range(1, LAST_STEP + 1):
            for number in (pair, pair + 1):
                if number in stopped:
                    continue
                value = rates[number] * (1.0 - 0.8**step) + 0.02 * draw.random()
                curves.setdefault(number, {})[step] = sign * value
                seen = dict(reversed(curves.items())) if backwards else curves
                judge = renew() if renew else asked
                if step < LAST_STEP and not judge.keeps(number, step, seen, done):
                    stopped[number] = (step, judge.reason(number, step))
        done |= {pair, pair + 1} - stopped.keys()
    return stopped
