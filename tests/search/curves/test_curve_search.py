"""What a free worker does next: trials at rungs, quotas, new points, and odd studies."""

import math
import random
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tunewright.config.study_schema import CurvesConfig
from tunewright.search.curves import curve_search
from tunewright.search.curves.curve_search import CurveSearch, CurveTrial, GoOn, Start
from tunewright.search.curves.rungs import rung_steps, rungs_of
from tunewright.spaces.domain import Categorical, Float, Int
from tunewright.spaces.points import identity
from tunewright.spaces.rules import Condition
from tunewright.spaces.sample import draw
from tunewright.spaces.space import Parameter, Space

PLANE = Space((Parameter("x", Float(0.0, 1.0)), Parameter("y", Float(0.0, 1.0))))
Score = Callable[[Mapping[str, Any], int], float]


def bowl(values: Mapping[str, Any], step: int) -> float:
    return 1 - (values["x"] - 0.3) ** 2 - (values["y"] - 0.7) ** 2 - 0.3 / step


class Simulation:
    """Runs a search without training; `workers` trials are on their way at a time."""

    def __init__(
        self, space: Space, score: Score, *, last: int = 16, workers: int = 1, **options: Any
    ) -> None:
        self.space, self.score, self.last, self.workers = space, score, last, workers
        self.search = CurveSearch(space, rungs_of(CurvesConfig(), last), **options)
        self.trials: list[CurveTrial] = []
        self.steps, self.rng = 0, random.Random(0)

    def is_new(self, values: Mapping[str, Any]) -> bool:
        tried = {identity(self.space, t.values) for t in self.trials}
        allowed = self.space.broken_rule(values) is None
        return allowed and identity(self.space, values) not in tried

    def run(self, total: int) -> list[CurveTrial]:
        running: list[int] = []
        while True:
            while len(running) < self.workers:
                may_start = len(self.trials) < total
                decision = self.search.decide(self.trials, self.is_new, may_start=may_start)
                if decision is None:
                    break
                running.append(self._begin(decision))
            if not running:
                return self.trials
            self._train(running.pop(0))

    def _begin(self, decision: Start | GoOn) -> int:
        if isinstance(decision, GoOn):
            trial = self.trials[decision.number]
            assert trial.state == "paused"
            assert decision.target > trial.target
            self.trials[trial.number] = replace(trial, target=decision.target, state="running")
            return trial.number
        values = decision.values or draw(self.space, self.rng)
        assert values is not None
        if decision.values is not None:
            assert self.is_new(values)
        number = len(self.trials)
        self.trials.append(CurveTrial(number, values, {}, decision.target, self.last, "running"))
        return number

    def _train(self, number: int) -> None:
        trial = self.trials[number]
        steps = range(max(trial.curve, default=0) + 1, trial.target + 1)
        self.steps += len(steps)
        curve = {**trial.curve, **{step: self.score(trial.values, step) for step in steps}}
        bad = any(not math.isfinite(value) for value in curve.values())
        state = "ended" if bad or trial.target == self.last else "paused"
        self.trials[number] = replace(
            trial,
            curve={s: v for s, v in curve.items() if math.isfinite(v)},
            state=state,
            feasible=not bad,
        )


def reached(trials: list[CurveTrial]) -> Counter[int]:
    return Counter(max(trial.curve, default=0) for trial in trials)


def test_rungs_are_four_times_as_far_each_and_none_is_shortly_before_the_end() -> None:
    assert rung_steps(52, 3) == (3, 12, 52)
    assert rung_steps(64, 4) == (4, 16, 64)
    assert rung_steps(5, 4) == (5,), "a rung at four fifths saves nothing"
    assert rung_steps(1, 1) == (1,)
    assert [rungs_of(CurvesConfig(), n)[0] for n in (1, 12, 52, 100, 200)] == [1, 1, 3, 6, 13]
    assert rungs_of(CurvesConfig(first_rung=5), 52) == (5, 20, 52)


def test_a_quarter_of_each_rung_goes_on_and_the_optimum_is_found() -> None:
    simulated = Simulation(PLANE, bowl)
    trials = simulated.run(40)
    counts = reached(trials)
    assert counts == {1: 30, 4: 7, 16: 3}, "10 of 40, then 2 of 10, and one more to have three"
    best = max((t for t in trials if t.state == "ended"), key=lambda t: t.curve[16])
    assert bowl(best.values, 16) > bowl({"x": 0.3, "y": 0.7}, 16) - 0.005
    assert simulated.steps == 40 * 1 + 10 * 3 + 3 * 12


def test_a_smaller_score_wins_where_the_goal_is_minimised() -> None:
    trials = Simulation(PLANE, lambda v, s: -bowl(v, s), sign=-1.0).run(40)
    best = min(t.curve[16] for t in trials if t.state == "ended")
    assert best < 0.005 - bowl({"x": 0.3, "y": 0.7}, 16)


def test_the_decisions_follow_from_the_trials_and_the_seed() -> None:
    first = [t.values for t in Simulation(PLANE, bowl, seed=3).run(25)]
    assert first == [t.values for t in Simulation(PLANE, bowl, seed=3).run(25)]
    assert first != [t.values for t in Simulation(PLANE, bowl, seed=4).run(25)]


def test_several_workers_do_not_get_the_same_point() -> None:
    trials = Simulation(PLANE, bowl, workers=4).run(40)
    places = [(round(t.values["x"], 3), round(t.values["y"], 3)) for t in trials]
    assert len(set(places)) == 40
    assert reached(trials)[16] >= 3


def test_crossing_curves_are_judged_by_their_predicted_end() -> None:
    """Slow learners begin behind and end in front; the model sees it from the first that end."""

    def crossing(values: Mapping[str, Any], step: int) -> float:
        return values["x"] * step / 16 + (1 - values["x"]) * 0.3

    trials = Simulation(PLANE, crossing, last=64).run(60)
    assert max(t.values["x"] for t in trials if t.state == "ended") > 0.9


def test_conditional_parameters_and_rules() -> None:
    space = Space(
        (
            Parameter("kind", Categorical(("a", "b"))),
            Parameter("n", Int(1, 64, log=True)),
            Parameter("depth", Float(0.0, 1.0), when=(Condition("kind", ("b",)),)),
        )
    )

    def score(values: Mapping[str, Any], step: int) -> float:
        bonus = 1 - abs(values["depth"] - 0.2) if values["kind"] == "b" else 0.2
        return bonus - abs(math.log2(values["n"]) - 4) / 10 - 0.1 / step

    trials = Simulation(space, score).run(50)
    best = max((t for t in trials if t.state == "ended"), key=lambda t: t.curve[16])
    assert best.values["kind"] == "b"
    assert all(("depth" in t.values) == (t.values["kind"] == "b") for t in trials)


def test_a_region_that_diverges_is_avoided() -> None:
    def score(values: Mapping[str, Any], step: int) -> float:
        return math.nan if values["x"] > 0.5 else values["x"] - 0.1 / step

    trials = Simulation(PLANE, score).run(60)
    late = [t for t in trials if t.number >= 20]
    assert sum(t.values["x"] > 0.5 for t in late) < len(late) / 4, "half of random points are there"
    assert max(t.values["x"] for t in trials if t.state == "ended" and t.feasible) > 0.45


@pytest.mark.parametrize("share", [0.0, 0.4])
def test_the_same_share_of_survivors_goes_on_however_many_diverge(share: float) -> None:
    def score(values: Mapping[str, Any], step: int) -> float:
        return math.nan if step == 3 and values["x"] * 10 % 1 < share else bowl(values, step)

    simulated = Simulation(PLANE, score, last=64)
    trials = simulated.run(60)
    survivors = [t for t in trials if t.feasible]
    further = sum(t.target > simulated.search.rungs[0] for t in survivors)
    assert further in (len(survivors) // 4, len(survivors) // 4 + 1)


def wild(values: Mapping[str, Any], step: int) -> float:
    return 1e30 if values["x"] > 0.5 else -1e-30


@pytest.mark.parametrize(
    "score",
    [
        lambda v, s: 0.5,
        wild,
        lambda v, s: math.nan,
        lambda v, s: float(v["x"] > 0.5),
        lambda v, s: -1e308 * v["x"],
    ],
    ids=["constant", "wild", "diverged", "two values", "huge"],
)
@pytest.mark.parametrize("total", [1, 2, 12, 25])
def test_odd_scores_raise_nothing(score: Score, total: int) -> None:
    simulated = Simulation(PLANE, score)
    trials = simulated.run(total)
    assert len(trials) == total
    assert all(t.state in ("paused", "ended") for t in trials)


def test_trials_of_another_study_teach_and_take_nobodys_place() -> None:
    """They have no state to go on from, and have left no rung of this study."""
    simulated = Simulation(PLANE, bowl)
    rng = random.Random(1)
    for number in range(30):
        values = {"x": rng.random(), "y": rng.random()}
        curve = {step: bowl(values, step) for step in range(1, 17)}
        one = CurveTrial(number, values, curve, 16, 16, "ended", own=False)
        simulated.trials.append(one)
    own = [trial for trial in simulated.run(30 + 20) if trial.own]
    assert reached(own)[16] >= 3, "the best of this study are trained to the end"
    assert sum(max(trial.curve) >= 4 for trial in own) >= 5, "a quarter comes to the second rung"
    first = [bowl(trial.values, 16) for trial in own[:10]]
    assert np.mean(first) > 0.85, "proposed by the model from the first trial on"


def test_one_step_means_that_every_trial_ends() -> None:
    assert reached(Simulation(PLANE, bowl, last=1).run(15)) == {1: 15}


def test_sixty_parameters() -> None:
    space = Space(tuple(Parameter(f"p{i}", Float(0.0, 1.0)) for i in range(60)))
    trials = Simulation(space, lambda v, s: sum(v.values()) - 1 / s).run(30)
    assert len(trials) == 30


def test_a_model_that_cannot_be_computed_leaves_a_random_search_that_promotes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: Any) -> None:
        raise np.linalg.LinAlgError("not positive definite")

    monkeypatch.setattr(curve_search.CurveModel, "condition", fail)
    simulated = Simulation(PLANE, bowl)
    trials = simulated.run(40)
    assert simulated.search.failure == "not positive definite"
    assert reached(trials) == {1: 30, 4: 7, 16: 3}
