"""A pruner."""

import itertools
from dataclasses import dataclass


@dataclass(frozen=True)
class Threshold:
    """Stops a trial that is worse than a fixed value at a step."""

    at_least: float
    step: int
    sign: float

    def steps(self):
        return itertools.islice(itertools.count(self.step), 1)

    def keeps(self, number, step, curves, done):
        value = curves[number].get(self.step)
        return value is None or self.sign * value >= self.sign * self.at_least

    def reason(self, number, step):
        return f"worse than {self.at_least:g} at step {self.step}"


def threshold(last_step, sign, /, *, at_least, step=1):
    return Threshold(at_least, step, sign)
