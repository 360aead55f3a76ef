"""Racing: who gets replicates, who is dropped, when it ends. Statistics against known truths."""

from dataclasses import replace

import numpy as np
import pytest

from tunewright.analysis.winner.choose import choose
from tunewright.analysis.winner.estimate import estimate_arms, trust_in_search
from tunewright.analysis.winner.noise import estimate_noise
from tunewright.analysis.winner.race import (
    LEAST,
    affordable_replicates,
    count_arms,
    run_race,
)
from tunewright.analysis.winner.replicates import Arm

SEEDS = range(1042, 1052)


def race(truths, noise, affordable, *, shared=0.0, seed=0, **of_first):
    """Run a race to its end; returns the arms and its last state."""
    rng = np.random.default_rng(seed)
    of_seed = {s: rng.normal(0, shared) for s in SEEDS}
    arms = [Arm(t, truth, **(of_first if t == 0 else {})) for t, truth in enumerate(truths)]
    state = run_race(arms, SEEDS, affordable)
    order = []
    while state.pending:
        for trial, s in state.pending:
            score = truths[trial] + of_seed[s] + rng.normal(0, noise)
            arms[trial] = replace(arms[trial], scores={**arms[trial].scores, s: score})
            order.append((trial, s))
        state = run_race(arms, SEEDS, affordable)
    return arms, state, order


def test_arms_that_are_clearly_worse_get_no_more_replicates() -> None:
    arms, state, _ = race([0.9, 0.89, 0.6, 0.5], 0.01, 30)
    assert set(state.dropped) >= {2, 3}
    assert len(arms[2].scores) == state.dropped[2] < len(arms[0].scores)
    assert 0 in state.alive


def test_what_a_seed_does_to_all_arms_drops_none_and_saves_none() -> None:
    """Differences are paired: with a shared noise 20 times the distance it is still seen."""
    _, state, _ = race([0.9, 0.8, 0.9], 0.005, 30, shared=2.0)
    assert 1 in state.dropped
    assert not {0, 2} & set(state.dropped)


def test_equal_arms_stay_tied_until_the_share_is_used_up() -> None:
    _, state, order = race([0.7] * 3, 0.02, 14, seed=4)
    assert state.alive == (0, 1, 2)
    assert state.ended == "the share is used up"
    assert len(order) == state.spent == 12  # the fifth round would need three more


@pytest.mark.parametrize("affordable", range(LEAST, 40))
def test_the_share_is_never_exceeded(affordable: int) -> None:
    truths = list(np.linspace(0.8, 0.7, count_arms(affordable)))
    _, state, order = race(truths, 0.03, affordable, seed=affordable)
    assert state.ended
    assert len(order) <= affordable
    assert len(set(order)) == len(order), "a replicate was asked for twice"


def test_the_last_arm_gets_what_its_interval_needs() -> None:
    arms, state, _ = race([0.9, 0.1, 0.1], 0.001, 30)
    assert state.alive == (0,)
    assert state.ended == "one is left"
    assert len(arms[0].scores) == 3


def test_a_race_goes_on_from_its_scores_as_if_it_had_not_stopped() -> None:
    whole, _, order = race([0.8, 0.79, 0.7], 0.02, 20, seed=5)
    for cut in range(len(order)):
        known = set(order[:cut])
        arms = [
            replace(arm, scores={s: v for s, v in arm.scores.items() if (arm.trial, s) in known})
            for arm in whole
        ]
        pending = run_race(arms, SEEDS, 20).pending
        assert order[cut] in pending
        assert not known & set(pending)


def test_a_failure_puts_an_arm_out_and_the_others_go_on() -> None:
    arms = [Arm(0, 0.9, failure="seed 1042: NaN"), Arm(1, 0.8), Arm(2, 0.7)]
    state = run_race(arms, SEEDS, 20)
    assert state.alive == (1, 2)
    assert {trial for trial, _ in state.pending} == {1, 2}
    nobody = run_race([replace(arm, failure="NaN") for arm in arms], SEEDS, 20)
    assert (nobody.pending, nobody.ended) == ((), "all failed")


def test_affordable_is_the_share_of_the_whole() -> None:
    assert affordable_replicates(0.15, 85.0) == 15
    assert affordable_replicates(0.5, 10.0) == 10
    assert affordable_replicates(0.0, 1000.0) == 0
    assert count_arms(LEAST - 1) == 0
    assert [count_arms(n) for n in (6, 9, 12, 100)] == [3, 4, 5, 5]


def test_the_noise_of_seeds_and_of_the_rest_are_told_apart() -> None:
    rng = np.random.default_rng(1)
    scores = rng.normal(0, 0.03, (1, 400)) + rng.normal(0, 0.01, (5, 400)) + np.arange(5)[:, None]
    noise = estimate_noise(scores)
    assert noise is not None
    assert noise.residual == pytest.approx(1e-4, rel=0.1)
    assert noise.seed == pytest.approx(9e-4, rel=0.2)
    assert noise.means == pytest.approx(scores.mean(axis=1))
    # The mean of an arm that lacks the good seeds is what it would have with them.
    gaps = scores.copy()
    gaps[0, scores.mean(axis=0) > 2.0] = np.nan
    filled = estimate_noise(gaps)
    assert filled is not None
    assert filled.means[0] == pytest.approx(scores[0].mean(), abs=0.003)
    assert np.nanmean(gaps[0]) < scores[0].mean() - 0.01


def test_the_search_is_trusted_as_far_as_its_scores_are_no_noise() -> None:
    rng = np.random.default_rng(2)
    noisy = rng.normal(0, 0.05, 500)
    assert trust_in_search(noisy, 0.05**2) == pytest.approx(0.0, abs=0.15)
    assert trust_in_search(noisy + rng.normal(0, 0.5, 500), 0.05**2) > 0.9
    assert trust_in_search([0.5, float("nan")], 0.01) == 0.0


def test_estimates_of_equal_arms_are_pulled_together_and_cover_the_truth() -> None:
    """The mean of the best of five equal arms is too good; its estimate is less so."""
    hits, raw, shrunk = 0, [], []
    for seed in range(150):
        arms, state, _ = race([0.7] * 5, 0.02, 15, shared=0.01, seed=seed)
        rng = np.random.default_rng(1000 + seed)
        searched = list(0.7 + rng.normal(0, 0.02, 60))
        arms = [replace(a, searched=max(searched) - 0.001 * a.trial) for a in arms]
        chosen = choose(arms, state, searched)
        assert chosen is not None
        found = chosen.estimates.by_trial[chosen.winner]
        hits += found.low <= 0.7 <= found.high
        raw.append(found.mean - 0.7)
        shrunk.append(found.value - 0.7)
    assert 0.88 <= hits / 150 <= 1.0
    assert np.mean(shrunk) < 0.7 * np.mean(raw)


def test_replicates_that_are_all_alike_are_certain() -> None:
    """A function without chance: no noise, no division by zero."""
    arms = [Arm(t, 0.5 + t / 10, dict.fromkeys((1042, 1043), 0.5 + t / 10)) for t in range(3)]
    state = run_race(arms, SEEDS, 20)
    assert state.dropped == {0: 2, 1: 2}
    found = estimate_arms(arms, [0.5, 0.6, 0.7])
    assert found is not None
    best = found.by_trial[2]
    assert best.low == pytest.approx(0.7) == best.high


def test_the_cheapest_of_those_tied_is_preferred_only_where_it_is_known() -> None:
    arms, state, _ = race([0.7] * 3, 0.02, 9, seed=3)
    priced = [replace(a, costs={"size_mib": 9.0 - a.trial}) for a in arms]
    chosen = choose(priced, state, [0.7] * 20, "size_mib")
    assert chosen is not None
    assert set(chosen.tied) == {0, 1, 2}
    assert chosen.winner == 2
    by_bound = choose(arms, state, [0.7] * 20, "size_mib")
    assert by_bound is not None
    assert not by_bound.preferred


def test_a_winner_that_stands_alone_is_not_given_up_for_a_cheaper_one() -> None:
    arms, state, _ = race([0.9, 0.5, 0.5], 0.01, 20)
    priced = [replace(a, costs={"seconds": 9.0 - a.trial}) for a in arms]
    chosen = choose(priced, state, [0.9, 0.5, 0.5], "seconds")
    assert chosen is not None
    assert (chosen.winner, chosen.tied, chosen.preferred) == (0, (), False)


def test_optimism_and_gain_are_paired_with_the_right_arms() -> None:
    truths = [0.6, 0.7, 0.69]
    arms, state, _ = race(truths, 0.01, 20, is_default=True, among_best=False)
    arms[1] = replace(arms[1], searched=0.8)
    chosen = choose(arms, state, [0.8, 0.69, 0.6, 0.5])
    assert chosen is not None
    assert chosen.optimism is not None
    assert chosen.optimism.value == pytest.approx(0.1, abs=0.03)
    assert chosen.gain is not None
    assert 0.0 < chosen.gain.low < 0.1 < chosen.gain.high


def test_there_is_no_winner_before_two_replicates_of_each() -> None:
    arms = [Arm(0, 0.9, {1042: 0.8}), Arm(1, 0.8, {1042: 0.7})]
    assert choose(arms, run_race(arms, SEEDS, 20), [0.9, 0.8]) is None
    assert choose([], run_race([], SEEDS, 20), []) is None
