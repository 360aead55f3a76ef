"""What trials leave of a space: smaller where they allow it, wider at an edge, the rules kept."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tunewright.analysis.findings.finding import StudyContext
from tunewright.analysis.findings.trial_table import ParameterColumn
from tunewright.analysis.narrowing.bounds import between, part_of
from tunewright.analysis.narrowing.gaussian_process import _loss, differences, fit
from tunewright.analysis.narrowing.narrow import narrow, record_for
from tunewright.analysis.narrowing.narrowing import NarrowedParameter, Narrowing
from tunewright.analysis.narrowing.read_conditions import specification_of
from tunewright.errors import StudyError, UsageError
from tunewright.runs.atomic import read_yaml
from tunewright.runs.record import Goal, StudyRecord, Trial
from tunewright.spaces.domain import Categorical, Float, Int
from tunewright.spaces.space import Parameter
from tunewright.spaces.specification import read_specification

SPACE: dict[str, Any] = {
    "inherit": False,
    "parameters": {
        "lr": {"type": "float", "low": 1e-5, "high": 1e-1, "log": True, "default": 1e-3},
        "dropout": {"type": "float", "low": 0.0, "high": 0.8, "step": 0.05},
        "idle": {"type": "float", "low": 0.0, "high": 1.0},
        "head": {"type": "categorical", "choices": ["mlp", "clip", "linear"]},
        "layers": {"type": "int", "low": 1, "high": 9, "when": {"head": ["mlp"]}},
        "scale": {"type": "float", "low": 1.0, "high": 9.0, "when": {"head": ["linear"]}},
    },
    "forbid": [{"head": ["clip"], "dropout": {"above": 0.7}}],
    "good": [
        {"name": "known", "because": "", "set": {"lr": 5e-3}},
        {"name": "old", "because": "", "set": {"head": "linear"}},
    ],
    "derived": {"twice": "2 * lr"},
    "settings": {"space": {"avoid": "forbid"}},
}
Score = Callable[[dict[str, Any]], float]


def score_of(values: dict[str, Any]) -> float:
    """Best at lr 1e-2, dropout 0.2, `mlp` with 6 layers; `linear` is bad."""
    score = -((math.log10(values["lr"]) + 2) ** 2) - 4 * (values["dropout"] - 0.2) ** 2
    score -= {"mlp": 0.0, "clip": 0.3, "linear": 4.0}[values["head"]]
    return score - 0.05 * (values.get("layers", 6) - 6) ** 2


def trials_of(
    specification: dict[str, Any], score: Score, count: int = 90, noise: float = 0.05
) -> tuple[Trial, ...]:
    """Random trials of a space."""
    import random

    from tunewright.spaces.sample import draw

    space, rng = read_specification(specification, {}), random.Random(3)
    points = [draw(space, rng) or {} for _ in range(count)]
    return tuple(
        Trial(number, "done", values, score(dict(values)) + rng.gauss(0, noise), {})
        for number, values in enumerate(points)
    )


def study(*trials: Trial, goal: str = "accuracy", others: tuple[Goal, ...] = ()) -> StudyRecord:
    return StudyRecord("first", "longtail", goal, "max", trials, others)


def by_path(found: Narrowing) -> dict[str, NarrowedParameter]:
    return {one.path: one for one in found.parameters}


@pytest.fixture(scope="module")
def narrowed() -> Narrowing:
    return narrow(study(*trials_of(SPACE, score_of)), SPACE)


def test_a_range_shrinks_around_the_optimum_and_keeps_its_scale(narrowed: Narrowing) -> None:
    lr = by_path(narrowed)["lr"]
    assert lr.change == "narrowed"
    assert isinstance(lr.after, Float)
    assert lr.after.log
    assert 1e-5 < lr.after.low < 1e-2 < lr.after.high <= 1e-1
    assert lr.after.high / lr.after.low < 1e3


def test_steps_stay_those_of_the_range(narrowed: Narrowing) -> None:
    dropout = by_path(narrowed)["dropout"].after
    assert isinstance(dropout, Float)
    assert dropout.step == 0.05
    assert dropout.contains(0.2)
    assert not dropout.contains(0.8)
    before = Float(0.0, 0.8, step=0.05)
    assert before.contains(dropout.low)
    assert before.contains(dropout.high)


def test_a_range_without_effect_stays(narrowed: Narrowing) -> None:
    idle = by_path(narrowed)["idle"]
    assert isinstance(idle.after, Float)
    assert idle.after.high - idle.after.low > 0.7
    assert narrowed.idle == ("idle",)  # and not `scale`, which is gone


def test_a_choice_goes_with_what_exists_under_it(narrowed: Narrowing) -> None:
    head, scale = by_path(narrowed)["head"], by_path(narrowed)["scale"]
    assert isinstance(head.after, Categorical)
    assert "linear" not in head.after.choices
    assert "mlp" in head.after.choices
    assert "linear worse beyond the noise" in head.reason
    assert (scale.change, scale.after) == ("dropped", None)
    assert "head = linear" in scale.reason
    assert "scale" not in narrowed.specification["parameters"]


def test_a_parameter_under_a_condition_is_judged_within_it(narrowed: Narrowing) -> None:
    layers = by_path(narrowed)["layers"].after
    assert isinstance(layers, Int)
    assert layers.low > 1
    assert layers.contains(6)
    assert narrowed.specification["parameters"]["layers"]["when"] == {"head": ["mlp"]}


def test_rules_are_carried_over(narrowed: Narrowing) -> None:
    found = narrowed.specification
    for key in ("forbid", "derived", "settings"):
        assert found[key] == SPACE[key]
    assert [one["name"] for one in found["good"]] == ["known"]  # the other one is out
    assert found["inherit"] is False


def test_what_is_cut_is_counted_with_its_best_score(narrowed: Narrowing) -> None:
    record = study(*trials_of(SPACE, score_of))
    space = read_specification(narrowed.specification, {})
    outside = [trial for trial in record.trials if not space.contains(trial.parameters)]
    assert narrowed.cut.count == len(outside) > 20
    assert narrowed.fitting == len(record.trials) - len(outside)
    best = max(outside, key=lambda trial: trial.score or 0.0)
    assert (narrowed.cut.best, narrowed.cut.best_trial) == (best.score, best.number)
    assert record.best is not None
    assert space.contains(record.best.parameters)


def test_the_search_begins_at_the_best_trial(narrowed: Narrowing) -> None:
    best = study(*trials_of(SPACE, score_of)).best
    assert best is not None
    fields = narrowed.specification["parameters"]
    for path, value in best.parameters.items():
        assert fields[path]["default"] == pytest.approx(value)


def test_the_same_trials_give_the_same_space(narrowed: Narrowing) -> None:
    again = narrow(study(*trials_of(SPACE, score_of)), SPACE)
    assert again.specification == narrowed.specification


def test_the_file_says_why(narrowed: Narrowing, tmp_path: Path) -> None:
    file = tmp_path / "space2.yaml"
    narrowed.write(file)
    assert read_yaml(file) == narrowed.specification
    lines = file.read_text().splitlines()
    assert lines[0].startswith("# The space of 'first' narrowed by 90 trials, for accuracy (max)")
    lr = lines.index("  lr:")
    assert lines[lr - 1].startswith("  # narrowed: the ")


def test_json_is_finite_and_complete(narrowed: Narrowing) -> None:
    text = json.dumps(narrowed.as_json(), allow_nan=False)
    found = json.loads(text)
    assert found["cut"]["count"] == narrowed.cut.count
    assert [one["path"] for one in found["parameters"]] == [*SPACE["parameters"]]


def rising(values: dict[str, Any]) -> float:
    return 3.0 * values["share"] + 0.5 * values["layers"] - values["penalty"]


EDGES: dict[str, Any] = {
    "parameters": {
        "share": {"type": "float", "low": 0.1, "high": 0.6},
        "layers": {"type": "int", "low": 1, "high": 4},
        "penalty": {"type": "float", "low": 0.0, "high": 1.0},
    }
}


def test_a_range_is_widened_at_an_edge_within_its_limits() -> None:
    found = by_path(narrow(study(*trials_of(EDGES, rising, noise=0.02)), EDGES))
    share, layers, penalty = (found[path] for path in ("share", "layers", "penalty"))
    assert share.change in ("widened", "moved")
    assert isinstance(share.after, Float)
    assert 0.6 < share.after.high <= 1.0
    assert isinstance(layers.after, Int)
    assert layers.after.low >= 1
    assert isinstance(penalty.after, Float)
    assert penalty.after.low == 0.0  # nothing lies below 0
    assert "trials get better up to its upper end" in share.reason


def test_an_end_that_the_configuration_refuses_is_not_widened() -> None:
    refusing = StudyContext(accepts=lambda path, value: path != "share" or value <= 0.6)
    found = by_path(narrow(study(*trials_of(EDGES, rising, noise=0.02)), EDGES, refusing))
    assert isinstance(found["share"].after, Float)
    assert found["share"].after.high == 0.6


def test_noise_alone_cuts_nothing() -> None:
    kept = [
        narrow(study(*trials_of(EDGES, lambda _: 0.0, 60, noise)), EDGES).is_smaller
        for noise in (0.1, 1.0)
    ]
    assert kept == [False, False]


def test_parameters_without_effect_are_locked_only_if_said(narrowed: Narrowing) -> None:
    assert narrowed.idle == ("idle",)
    trials = trials_of(SPACE, score_of)
    locked = narrow(study(*trials), SPACE, lock=True)
    only = by_path(locked)["idle"]
    best = study(*trials).best
    assert best is not None
    assert only.after == Categorical((best.parameters["idle"],))
    assert locked.idle == ()


def test_pruned_and_infeasible_trials_count_as_worse() -> None:
    trials = []
    for trial in trials_of(SPACE, score_of):
        high = math.log10(float(str(trial.parameters["lr"]))) < -3
        if high and trial.number % 2:
            trial = replace(trial, state="pruned", score=None, curve={1: trial.score or 0.0})
        elif high:
            trial = replace(trial, state="infeasible", score=None)
        trials.append(trial)
    lr = by_path(narrow(study(*trials), SPACE))["lr"].after
    assert isinstance(lr, Float)
    assert lr.low > 1e-4


def two_hills(values: dict[str, Any]) -> float:
    a, b = values["a"], values["b"]
    return max(math.exp(-40 * ((a - x) ** 2 + (b - y) ** 2)) for x, y in ((0.2, 0.2), (0.8, 0.7)))


def test_regions_lie_around_groups_of_good_trials() -> None:
    space = {"parameters": {p: {"type": "float", "low": 0.0, "high": 1.0} for p in ("a", "b")}}
    found = narrow(study(*trials_of(space, two_hills, 120, 0.02)), space, regions=2)
    assert len(found.regions) == 2
    boxes = [read_specification(one.specification, {}) for one in found.regions]
    hills = ({"a": 0.2, "b": 0.2}, {"a": 0.8, "b": 0.7})
    assert [[box.contains(hill) for box in boxes].count(True) for hill in hills] == [1, 1]
    assert all("around trial" in one.header[0] for one in found.regions)
    assert found.score == max(t.score or 0.0 for t in trials_of(space, two_hills, 120, 0.02))


def test_fewer_regions_come_where_the_good_trials_lie_together() -> None:
    space = {"parameters": {"a": {"type": "float", "low": 0.0, "high": 1.0}}}

    def hill(values: dict[str, Any]) -> float:
        return -abs(float(values["a"]) - 0.5)

    found = narrow(study(*trials_of(space, hill, 60, 0.001)), space, regions=9)
    assert len(found.regions) < 9
    assert "in place of 9" in found.notices[-1]


DONE = Trial(0, "done", {"a": 0.5}, 0.5, {})
ONE = {"parameters": {"a": {"type": "float", "low": 0.0, "high": 1.0}}}


@pytest.mark.parametrize(
    ("trials", "came"),
    [
        ((), "no trial of 'first' has finished: it has no trials"),
        ((DONE,), "1 trial of 'first' with a result"),
        (
            tuple(replace(DONE, number=n, state="failed", score=None) for n in range(12)),
            "no trial of 'first' has finished (12 failed)",
        ),
        (
            tuple(replace(DONE, number=n, parameters={"a": n / 20}) for n in range(20)),
            "all 20 finished trials of 'first' score 0.5",
        ),
    ],
)
def test_trials_that_say_nothing_are_an_error(trials: tuple[Trial, ...], came: str) -> None:
    ours = StudyContext(recipe="longtail", study="runs/first")
    with pytest.raises(StudyError) as caught:
        narrow(study(*trials), ONE, ours)
    assert caught.value.came == came
    assert "tunewright" in caught.value.remedy


def test_of_several_goals_one_is_chosen() -> None:
    others = (Goal("seconds", "min"),)
    trials = [
        replace(trial, others={"seconds": float(str(trial.parameters["dropout"]))})
        for trial in trials_of(SPACE, score_of)
    ]
    record = study(*trials, others=others)
    with pytest.raises(StudyError, match="2 goals, accuracy and seconds") as caught:
        narrow(record, SPACE)
    assert "--metric accuracy" in caught.value.remedy
    found = narrow(record_for(record, "seconds"), SPACE)
    assert found.direction == "min"
    dropout = by_path(found)["dropout"].after
    assert isinstance(dropout, Float)
    assert dropout.low == 0.0
    assert dropout.high < 0.5
    with pytest.raises(UsageError, match="a goal of the study: accuracy, seconds"):
        record_for(record, "minutes")


@pytest.mark.parametrize(("keep", "regions"), [(0.0, 1), (1.0, 1), (0.15, 0)])
def test_options_out_of_range_are_refused(keep: float, regions: int) -> None:
    with pytest.raises(UsageError):
        narrow(study(*trials_of(ONE, lambda v: v["a"], 20)), ONE, keep=keep, regions=regions)


def test_conditions_are_read_off_the_trials() -> None:
    trials = trials_of(SPACE, score_of)
    parameters = tuple(
        Parameter(one.path, one.domain) for one in read_specification(SPACE, {}).parameters
    )
    found = specification_of(study(*trials), parameters)["parameters"]
    assert found["layers"]["when"] == {"head": ["mlp"]}
    assert found["scale"]["when"] == {"head": ["linear"]}
    assert "when" not in found["lr"]


@pytest.mark.parametrize(
    ("domain", "low", "high", "found"),
    [
        (Float(0.1, 0.9, step=0.05), 0.31, 0.62, Float(0.3, 0.65, step=0.05)),
        (Float(0.1, 0.9, step=0.05), 0.02, 1.0, Float(0.05, 1.0, step=0.05)),
        (Int(4, 64, step=4), 1, 70, Int(4, 68, step=4)),
        (Int(4, 64, step=4), 9, 33, Int(8, 36, step=4)),
        (Int(16, 1024, log=True), 33.2, 100, Int(33, 100, log=True)),
        (Float(1e-5, 1.0, log=True), 1e-4, 1e-3, Float(1e-4, 1e-3, log=True)),
    ],
)
def test_bounds_stay_on_the_steps(domain: Any, low: float, high: float, found: Any) -> None:
    assert between(domain, low, high) == found


def test_a_part_is_rounded_outwards() -> None:
    column = ParameterColumn("lr", Float(1e-5, 1e-1, log=True), np.zeros(1), np.zeros(1, int))
    part = part_of(column, 0.51, 0.69)
    assert part == Float(1.0e-3, 5.8e-3, log=True)
    assert part_of(column, 0.0, 1.0) is column.domain


def test_the_gradient_of_the_process_is_right() -> None:
    rng = np.random.default_rng(0)
    points, values = rng.random((12, 3)), rng.standard_normal(12)
    points[:, 2] = rng.integers(3, size=12)
    is_choice = np.array([False, False, True])
    apart, free = differences(points, points, is_choice), rng.normal(0, 0.3, 5)
    _, gradient = _loss(free, apart, values, 1.0)
    for place in range(5):
        step = np.zeros(5)
        step[place] = 1e-5
        high, low = (_loss(free + way * step, apart, values, 1.0)[0] for way in (1, -1))
        assert gradient[place] == pytest.approx((high - low) / 2e-5, rel=1e-4, abs=1e-6)


def test_distances_are_those_that_were_fitted() -> None:
    rng = np.random.default_rng(2)
    points = np.stack([rng.random(20), rng.integers(-1, 3, 20), rng.random(20)], axis=1)
    is_choice = np.array([False, True, False])
    process = fit(points, rng.standard_normal(20), is_choice, levels=3)
    apart = differences(points[:5], points, is_choice).distances(process.weights)
    assert process.distances(points[:5], points) == pytest.approx(apart, abs=1e-6)


def test_the_process_knows_what_it_has_seen() -> None:
    rng = np.random.default_rng(1)
    points = rng.random((60, 2))
    values = np.sin(6 * points[:, 0])
    values = (values - values.mean()) / values.std()
    process = fit(points, values, np.array([False, False]))
    assert process.weights[0] > 10 * process.weights[1]  # the second one has no effect
    drawn = process.draw(points[:10], 200, rng)
    assert np.abs(drawn.mean(axis=0) - values[:10]).max() < 0.15
