"""Contract tests for learning-rate schedules."""

import math
import random
from abc import ABC
from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import TypeAdapter

from tunewright.config.components.schedules import Schedule
from tunewright.config.leaves import choices_of
from tunewright.config.schema import RunConfig
from tunewright.training.schedule import factor
from tunewright.training.task import Clock

STEPS_PER_EPOCH = 7


class ScheduleContract(ABC):
    """Inherit this class and name the schedule.

    settings: keys of the section `schedule` besides `type`.
    """

    name: ClassVar[str]
    settings: ClassVar[Mapping[str, Any]] = {}

    def factors(self, epochs: int, steps: range | None = None, **settings: Any) -> list[float]:
        """Return the factor before each step of a training, or before those given."""
        given = {"type": self.name, **self.settings, **settings}
        schedule: Schedule = TypeAdapter(Schedule).validate_python(given)
        return [
            factor(schedule, Clock(step // STEPS_PER_EPOCH, step, epochs, STEPS_PER_EPOCH))
            for step in steps or range(epochs * STEPS_PER_EPOCH)
        ]

    def test_a_configuration_can_name_it(self) -> None:
        assert self.name in choices_of(RunConfig, "schedule.type")

    def test_it_scales_the_rate_and_never_exceeds_it(self) -> None:
        for epochs in (1, 3, 10):
            found = self.factors(epochs)
            assert all(math.isfinite(value) and 0.0 <= value <= 1.0 for value in found)
            assert max(found) > 0.0

    def test_it_depends_on_the_clock_alone(self) -> None:
        """Ask in any order, as a resumed run does, and after other trainings."""
        expected = self.factors(6)
        self.factors(2)
        order = list(range(len(expected)))
        random.Random(0).shuffle(order)
        assert {s: self.factors(6, range(s, s + 1))[0] for s in order} == dict(enumerate(expected))

    def test_a_training_past_its_horizon_goes_on(self) -> None:
        last = 4 * STEPS_PER_EPOCH
        assert all(math.isfinite(value) for value in self.factors(4, range(last, last + 20)))

    def test_trainings_of_one_step_or_of_warm_up_alone(self) -> None:
        assert all(math.isfinite(value) for value in self.factors(1, range(1)))
        warm = self.factors(2, warmup_epochs=2.0)
        assert warm == [(step + 1) / 14 for step in range(14)]

    def test_it_begins_after_the_warm_up(self) -> None:
        whole, warmed = self.factors(4), self.factors(5, warmup_steps=STEPS_PER_EPOCH)
        assert warmed[STEPS_PER_EPOCH:] == whole
