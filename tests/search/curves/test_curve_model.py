"""The process over configurations and progress, against its formulas written out."""

import numpy as np
import pytest
from scipy.optimize import check_grad

from tunewright.search.curves.model import CurveModel, Observations, log_progress
from tunewright.search.curves.scores import ScoreScale, standardise


def observed(count: int = 12, columns: int = 3) -> Observations:
    rng = np.random.default_rng(0)
    x = np.repeat(rng.random((count // 2, columns)), 2, axis=0)
    t = np.tile([log_progress(3, 48), 0.0], count // 2)
    trial = np.repeat(np.arange(count // 2), 2)
    return Observations(x, t, trial, standardise(-((x - 0.4) ** 2).sum(1) + 0.3 * t))


def test_means_and_deviations_are_those_of_the_covariance_written_out() -> None:
    model, data = CurveModel(np.arange(3)), observed()
    model.condition(data)
    at = np.array([[0.4, 0.4, 0.4], data.x[0], data.x[0]])
    numbers = np.array([-1, 0, -1])
    t = np.array([0.0, -0.25, -0.25])
    means, deviations = model.predict(at, t, numbers)

    def covariance(x, t, n, other_x, other_t, other_n):  # type: ignore[no-untyped-def]
        r = np.sqrt(5 * (((x - other_x) / 0.7) ** 2).sum())
        matern = (1 + r + r * r / 3) * np.exp(-r)
        along = np.exp(-abs(t - other_t) / 1.0)
        same = float(n == other_n >= 0)
        return 0.7 * matern + (0.3 * matern + 0.05 * same + 0.5) * along

    rows = list(zip(data.x, data.t, data.trial, strict=True))
    inner = np.array([[covariance(*one, *other) for other in rows] for one in rows])
    inner += (1e-3 + 1e-6) * np.eye(len(rows))
    for place, row in enumerate(zip(at, t, numbers, strict=True)):
        cross = np.array([covariance(*row, *other) for other in rows])
        weights = np.linalg.solve(inner, cross)
        assert means[place] == pytest.approx(weights @ data.z, abs=1e-8)
        variance = 0.7 + 0.3 + 0.05 + 0.5 - weights @ cross
        assert deviations[place] == pytest.approx(np.sqrt(variance), abs=1e-6)


def test_the_gradient_is_that_of_the_posterior() -> None:
    model, data = CurveModel(np.array([0, 1, 1])), observed()
    squares = model._squares(data.x, data.x)
    start = model._median + 0.1 * np.arange(len(model._median))
    error = check_grad(
        lambda theta: model._loss(theta, data, squares)[0],
        lambda theta: model._loss(theta, data, squares)[1],
        start,
    )
    assert error < 1e-4


def test_learning_makes_the_data_more_probable_and_a_flat_direction_long() -> None:
    rng = np.random.default_rng(1)
    x = rng.random((40, 2))
    data = Observations(x, np.zeros(40), np.arange(40), standardise(np.sin(6 * x[:, 0])))
    model = CurveModel(np.arange(2))
    squares = model._squares(x, x)
    before = model._loss(model._theta, data, squares)[0]
    model.learn(data)
    assert model._loss(model._theta, data, squares)[0] < before - 5
    assert model._theta[1] > model._theta[0] + 1, "the second parameter has no effect"


def test_what_is_near_refused_points_is_told_from_what_is_near_others() -> None:
    model = CurveModel(np.arange(2))
    tried = np.array([[0.1, 0.1], [0.2, 0.1], [0.9, 0.9], [0.8, 0.9]])
    feasible = np.array([True, True, False, False])
    good, bad = model.feasibility(np.array([[0.15, 0.12], [0.85, 0.88]]), tried, feasible)
    assert good > 0 > bad


def test_scores_keep_their_order_and_one_diverged_run_does_not_set_the_scale() -> None:
    scores = [0.1, 0.5, 0.6, 0.7, 0.9, -1e30]
    scale = ScoreScale(scores)
    mapped = [scale.place(score) for score in scores]
    assert np.argsort(mapped).tolist() == np.argsort(scores).tolist()
    assert min(mapped) > -100
    assert scale.place(float("nan")) == scale.place(float("-inf")) == min(mapped)


@pytest.mark.parametrize("scores", [[], [0.3] * 4, [1e30, -1e30], [-1e-30, 1e-30], [1e308, -1e308]])
def test_odd_scores_have_a_scale(scores: list[float]) -> None:
    scale = ScoreScale(scores)
    mapped = standardise(np.array([scale.place(score) for score in [*scores, 0.0]]))
    assert np.isfinite(mapped).all()
