"""Timed visits of settings in turn, within the share of a training that trying may cost.

Nothing is known before the first visit of the plain setting, which is allowed where the training
has 20 times its steps. From then on a clock counts. A step cannot be stopped, so a setting that is
many times slower than the plain one may exceed the budget by its first step.
"""

import time
from collections.abc import Sequence
from typing import Protocol

from tunewright.training.autotune.step_benchmark import STEPS, StepTooSlow
from tunewright.training.autotune.timing_cache import StepSettings, StepTime

SHARE = 0.05
"""The share of the whole training that trying may cost, the plain setting's visits included."""
CLEAR = 1.03
"""How many times as fast a setting must be to be preferred to a plainer one, at its slowest."""
ROUNDS = 5
"""Visits of each setting: of two that are the same, all of one are faster once in 252."""


class Benchmark(Protocol):
    """Takes a few steps of a setting; see `StepBenchmark`."""

    def time_steps(self, choice: StepSettings, seconds: float) -> StepTime:
        """Return the step times; raise StepTooSlow where they would take longer than `seconds`."""
        ...


class Visits:
    """Fills `times` with those of the settings that are visited.

    plain: the setting whose step time is the unit of the budget. steps: of the whole training.
    spent: seconds that were spent before. problems: what is to be said of settings that failed.
    """

    def __init__(
        self,
        benchmark: Benchmark,
        times: dict[StepSettings, StepTime],
        plain: StepSettings,
        steps: int,
        *,
        spent: float = 0.0,
    ) -> None:
        self.benchmark, self.times, self.plain, self.steps = benchmark, times, plain, steps
        self.problems: list[str] = []
        self.failed: dict[StepSettings, Exception] = {}
        self._spent = spent
        self._took: dict[StepSettings, float] = {}  # the last visit of each, with its copying

    def affordable(self) -> int:
        """Return how many settings fit into the budget if each is as fast as the plain one."""
        return int(SHARE * self.steps / (STEPS * ROUNDS))

    def seconds_left(self) -> float:
        """Return what is left of the budget; infinite while no step was timed.

        A known step time and the number of steps say how long the training is.
        """
        known = self.times.get(self.plain) or next(iter(self.times.values()), None)
        if known is None:
            return float("inf")
        return SHARE * self.steps * known.fastest - self._spent

    def visit(self, choice: StepSettings) -> None:
        """Time a few steps; a setting that does not work here, or is too slow, is left out."""
        began = time.perf_counter()
        try:
            timed = self.benchmark.time_steps(choice, self.seconds_left())
        except StepTooSlow as error:
            self.problems.append(f"calibration: {choice} is too slow to be tried ({error})")
            self.failed[choice] = error
            return
        except Exception as error:  # out of memory, an operation that lacks a kernel, a compiler
            reason = " ".join(str(error).split())[:200]
            self.problems.append(f"calibration: {choice} does not work here ({reason})")
            self.failed[choice] = error
            self.times.pop(choice, None)
            return
        finally:
            self._took[choice] = time.perf_counter() - began
            self._spent += self._took[choice]
        old = self.times.get(choice)
        self.times[choice] = timed if old is None else old.then(timed)

    def visit_in_turn(self, choices: Sequence[StepSettings]) -> None:
        """Visit each setting `ROUNDS` times, there and back, within the budget.

        Where the budget is too small for all of them, those go first that can no longer win.
        """
        for number in range(ROUNDS):
            for choice in choices[:: -1 if number % 2 else 1]:
                if choice in self.failed or self._count_visits(choice) > number:
                    continue
                if self._rest(choices) > self.seconds_left():
                    if not any(self._can_win(other) for other in choices if other != self.plain):
                        return
                    if not self._can_win(choice):
                        continue
                if self._expected_seconds(choice) > self.seconds_left():
                    return
                self.visit(choice)

    def _count_visits(self, choice: StepSettings) -> int:
        return len(self.times[choice].seconds) if choice in self.times else 0

    def _can_win(self, choice: StepSettings) -> bool:
        """Return whether `fastest` could still choose it.

        One visit slower than the plain setting's fastest rules a setting out, since the slowest of
        its visits counts.
        """
        if choice in self.failed:
            return False
        if choice not in self.times or self.plain not in self.times or choice == self.plain:
            return True
        return CLEAR * self.times[choice].slowest <= self.times[self.plain].fastest

    def _rest(self, choices: Sequence[StepSettings]) -> float:
        """Return the seconds of all visits that are still to come."""
        open_ = [choice for choice in choices if choice not in self.failed]
        return sum((ROUNDS - self._count_visits(c)) * self._expected_seconds(c) for c in open_)

    def _expected_seconds(self, choice: StepSettings) -> float:
        """Return the seconds of the next visit: those of the last one, else of plain steps."""
        if choice in self._took:
            return self._took[choice]
        known = self.times.get(choice) or self.times.get(self.plain)
        return 0.0 if known is None else STEPS * known.typical
