"""Importances with intervals: pruned trials, conditions, other metrics, and strange studies."""

import math
import re
from dataclasses import replace

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState, create_trial

from tunewright.runs.record import Goal
from tunewright.search.study.importances import source_of
from tunewright.search.study.optuna_types import record_of

X = FloatDistribution(0.0, 1.0)
EPOCHS = 8


def source(study):
    return source_of(study, record_of(study, None))


def drawn(count, score, paths="abcdef", seed=0, distributions=None):
    """Return a study of random trials."""
    rng = np.random.default_rng(seed)
    study = optuna.create_study(direction="maximize")
    domains = {path: (distributions or {}).get(path, X) for path in paths}
    trials = []
    for _ in range(count):
        params = {
            path: domain.choices[rng.integers(len(domain.choices))]
            if isinstance(domain, CategoricalDistribution)
            else float(rng.random())
            for path, domain in domains.items()
        }
        trials.append(create_trial(params=params, distributions=domains, value=score(params, rng)))
    study.add_trials(trials)
    return study


def additive(params, rng):
    return (
        -3 * (params["a"] - 0.3) ** 2
        - 1.5 * (params["b"] - 0.6) ** 2
        + 0.02 * rng.standard_normal()
    )


@pytest.fixture(scope="module")
def found():
    return source(drawn(300, additive)).importances()


def test_shares_have_intervals_that_hold_them(found):
    assert list(found.shares)[:2] == ["a", "b"]
    assert sum(found.shares.values()) == pytest.approx(1.0)
    assert (found.resamples, found.finished, found.predicted) == (200, 300, 0)
    for row in found.parameters:
        assert 0.0 <= row.low <= row.share <= row.high <= 1.0
        assert row.trials == 300


def test_what_may_be_chance_begins_at_0(found):
    rows = {row.parameter: row for row in found.parameters}
    assert rows["a"].low > 0.2
    assert rows["b"].low > 0.0
    assert [rows[path].low for path in "cdef"].count(0.0) >= 3


def test_the_same_study_has_the_same_intervals(found):
    assert source(drawn(300, additive)).importances() == found


def test_additive_parameters_do_not_act_together(found):
    assert found.sure_pairs == []


def test_a_pair_that_acts_together_is_found():
    def score(params, rng):
        return -((params["a"] - params["b"]) ** 2) + 0.05 * rng.standard_normal()

    [pair, *others] = source(drawn(150, score)).importances().sure_pairs
    assert {pair.first, pair.second} == {"a", "b"}
    assert 0.1 < pair.low < pair.share < pair.high
    assert all(other.share < 0.5 * pair.share for other in others)


def test_a_parameter_that_only_has_a_bad_end_is_told_by_the_good_trials():
    def score(params, rng):
        awful = 50.0 if params["a"] < 0.55 else 0.0
        return -awful - (params["b"] - 0.5) ** 2 + 0.01 * rng.standard_normal()

    got = source(drawn(200, score, "abc")).importances()
    rows = {row.parameter: row for row in got.parameters}
    assert rows["a"].share > 2 * rows["a"].among_good
    assert rows["b"].among_good > rows["b"].share
    assert got.notes[0].startswith("a mostly has a bad end to avoid (0.")
    low, high = re.search(r"95 % of that half lie within (\S+) \.\. (\S+)$", got.notes[0]).groups()
    assert 0.5 < float(low) < 0.6
    assert float(high) > 0.95


def pruned(count=150, seed=0):
    """Return a study whose pruner lets through nothing but a small `gate`, and its whole twin.

    `gate` decides who survives; among the survivors `fine` alone makes a difference.
    """
    rng = np.random.default_rng(seed)
    study, whole = (optuna.create_study(direction="maximize") for _ in range(2))
    domains = dict.fromkeys(("gate", "fine", "idle", "none"), X)
    for _ in range(count):
        params = {path: float(rng.random()) for path in domains}
        end = 0.5 + 0.3 * (params["gate"] < 0.3) - 0.5 * (params["fine"] - 0.5) ** 2
        curve = {
            e: 0.1 + (end - 0.1) * (1 - math.exp(-e / 2)) + 0.003 * rng.standard_normal()
            for e in range(1, EPOCHS + 1)
        }
        one = {"params": params, "distributions": domains, "intermediate_values": curve}
        whole.add_trial(create_trial(value=curve[EPOCHS], **one))
        if params["gate"] >= 0.3:
            early = {e: curve[e] for e in (1, 2)}
            one = {**one, "intermediate_values": early}
            study.add_trial(create_trial(state=TrialState.PRUNED, value=early[2], **one))
        else:
            study.add_trial(create_trial(value=curve[EPOCHS], **one))
    return study, whole


def test_pruned_trials_count_with_what_their_curves_predict():
    study, whole = pruned()
    corrected, truth = source(study).importances(), source(whole).importances()
    alone = optuna.importance.get_param_importances(study)
    assert corrected.predicted > 60
    assert corrected.finished + corrected.predicted == 150
    assert truth.shares["gate"] > 0.3
    assert abs(corrected.shares["gate"] - truth.shares["gate"]) < 0.1
    assert alone["gate"] < truth.shares["gate"] - 0.15, "the survivors alone mislead"
    note = f"{corrected.predicted} of {corrected.predicted} pruned trials count"
    assert any(line.startswith(note) for line in corrected.notes)


@pytest.mark.parametrize("related", [True, False])
def test_for_another_metric_pruned_trials_count_where_curves_predict_it(related):
    study, _ = pruned(200)
    rng = np.random.default_rng(0)
    trials = []
    for trial in record_of(study, None).trials:
        if trial.score is not None:
            mine = 5.0 * trial.score + 0.01 * rng.standard_normal()
            own = mine if related else trial.parameters["idle"] + 0.05 * rng.standard_normal()
            trial = replace(trial, metrics={"mine": own})
        trials.append(trial)
    record = replace(record_of(study, None), trials=tuple(trials))
    found = source_of(study, record).importances(Goal("mine", "max"))
    rows = {row.parameter: row for row in found.parameters}
    assert (found.predicted > 0) == related
    if related:
        assert rows["gate"].low > 0.1
    else:
        assert next(iter(found.shares)) == "idle"
        assert rows["gate"].low == 0.0
        assert any("their curves do not predict mine" in note for note in found.notes)


@pytest.mark.parametrize("method", ["ped-anova", "fanova"])
def test_a_conditional_parameter_is_judged_among_the_trials_that_have_it(method):
    rng = np.random.default_rng(0)
    study = optuna.create_study(direction="maximize")
    for number in range(160):
        params = {"kind": "mlp" if number % 4 == 0 else "linear", "lr": float(rng.random())}
        domains = {"kind": CategoricalDistribution(["mlp", "linear"]), "lr": X}
        score = 0.3 * params["lr"] + 0.01 * rng.standard_normal()
        if params["kind"] == "mlp":  # good ones are as good as those of the other kind
            params["width"], domains["width"] = float(rng.random()), X
            score += 1.0 - 8.0 * (params["width"] - 0.5) ** 2
        else:
            score += 0.9
        study.add_trial(create_trial(params=params, distributions=domains, value=score))
    rows = {r.parameter: r for r in source(study).importances(method=method).parameters}
    assert rows["width"].trials == 40
    assert rows["lr"].trials == 160
    assert rows["width"].share > rows["kind"].share
    assert rows["width"].low > 0.0


def test_fanova_explains_the_variance():
    got = source(drawn(80, additive, "abc")).importances(method="fanova")
    assert list(got.shares)[:2] == ["a", "b"]
    assert sum(got.shares.values()) == pytest.approx(1.0)
    assert got.about == "fANOVA, 80 finished trials"
    for row in got.parameters:
        assert row.low <= row.share <= row.high
        assert row.among_good is None


def test_of_several_goals_each_has_its_own_importances():
    study = optuna.create_study(directions=["maximize", "minimize"])
    rng = np.random.default_rng(0)
    for _ in range(100):
        params = {path: float(rng.random()) for path in "abc"}
        study.add_trial(
            create_trial(
                params=params,
                distributions=dict.fromkeys(params, X),
                values=[params["a"] + 0.01 * rng.random(), (params["b"] - 0.2) ** 2],
            )
        )
    asked = source(study)
    assert next(iter(asked.importances().shares)) == "a"
    second = asked.importances(Goal("value_1", "min"))
    assert (second.metric, next(iter(second.shares))) == ("value_1", "b")
    found, left_out = asked.other_importances([Goal("value_1", "min")])
    assert ([one.metric for one in found], left_out) == (["value_1"], [])
    assert found[0].resamples == 100


class TestStrange:
    @pytest.mark.parametrize("count", [0, 1, 2, 10])
    def test_too_few_trials(self, count):
        got = source(drawn(count, additive)).importances()
        assert got.shares == {}
        assert got.notes[0].startswith("no importances: ")
        assert all(row.share is None and row.reason for row in got.parameters)

    @pytest.mark.parametrize("method", ["ped-anova", "fanova"])
    def test_equal_scores(self, method):
        got = source(drawn(40, lambda params, rng: 0.5)).importances(method=method)
        assert (got.shares, got.pairs) == ({}, ())
        assert "every score is 0.5" in got.parameters[0].reason

    def test_scores_without_end(self):
        def score(params, rng):
            return math.inf if params["a"] > 0.9 else additive(params, rng)

        got = source(drawn(200, score)).importances()
        assert sum(got.shares.values()) == pytest.approx(1.0)
        assert got.finished < 200

    def test_choices_that_are_lists_or_not_finite(self):
        choices = CategoricalDistribution([1.0, 2.0, 4.0])
        endless = CategoricalDistribution([1.0, math.inf])
        with pytest.warns(UserWarning, match="Choices for a categorical"):
            lists = CategoricalDistribution([[1], [2, 3]])  # type: ignore[list-item]
        study = drawn(60, additive, "abxyz", distributions={"x": choices, "y": endless, "z": lists})
        rows = {r.parameter: r for r in source(study).importances().parameters}
        assert rows["x"].share is not None
        for path in "yz":
            assert rows[path].share is None
            assert rows[path].reason.startswith("its values cannot be ranked")

    def test_names_with_odd_characters(self):
        names = ("</script>", "a b\n'\"", "\U0001f600", "%s{0}")

        def score(params, rng):
            return params["</script>"]

        got = source(drawn(60, score, names)).importances()
        assert next(iter(got.shares)) == "</script>"
        assert set(got.shares) == set(names)

    def test_two_hundred_parameters(self):
        names = [f"p{n}" for n in range(200)]
        asked = source(drawn(60, lambda params, rng: params["p7"], names))
        got = asked.importances(detail="points")
        assert len(got.shares) == 200
        assert got.parameters[0].parameter == "p7"

    def test_a_large_study_is_thinned_and_says_so(self, monkeypatch):
        monkeypatch.setattr("tunewright.search.study.importances.CELLS", 600)
        got = source(drawn(300, additive)).importances()
        assert set(list(got.shares)[:2]) == {"a", "b"}
        assert "computed on 100 of 300 trials, spread evenly" in got.notes

    def test_a_parameter_of_which_the_kind_was_changed(self):
        study = drawn(30, additive)
        study.add_trials(
            drawn(
                30, lambda p, rng: -3 * (p["a"] - 0.3) ** 2, "ab", 1,
                distributions={"b": CategoricalDistribution([0.1, 0.2])},
            ).trials
        )  # fmt: skip
        for method in ("ped-anova", "fanova"):
            got = source(study).importances(method=method)
            assert next(iter(got.shares)) == "a"
