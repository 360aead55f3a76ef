import pytest

from tunewright.analysis.overview import ENOUGH, failures, overview, searched_paths
from tunewright.runs.record import StudyRecord, Trial


def trial(number, state="done", score=None, curve=None, **rest):
    parameters = rest.pop("parameters", {"optim.lr": 1e-3})
    return Trial(number, state, parameters, score, curve or {}, **rest)


def record(*trials, direction="max"):
    return StudyRecord("digits", "pairs", "val_recall_1", direction, trials)


STUDY = record(
    trial(0, score=0.2, curve={1: 0.1, 2: 0.2}, seconds=2.0),
    trial(1, score=0.5, curve={1: 0.5}, seconds=1.0, parameters={"optim.lr": 1, "model.tokens": 4}),
    trial(2, "pruned", 0.9, {1: 0.9}),
    trial(3, "failed", cause="killed", reason="killed by signal 9"),
    trial(4, "infeasible", cause="diverged", reason="the loss is nan at step 12."),
    trial(5, "infeasible", cause="diverged", reason="the loss is nan at step 340."),
    trial(6, "running"),
    trial(7, score=0.5, curve={3: 0.5}),
)


def test_what_is_shown_of_a_study():
    shown = overview(STUDY, {"optim.lr": 1.0}, top=2)
    assert shown.by_state == {
        "done": 3,
        "pruned": 1,
        "infeasible": 2,
        "failed": 1,
        "paused": 0,
        "running": 1,
    }
    assert shown.trials == 8
    assert [row["trial"] for row in shown.top] == [1, 7]  # ties go to the earlier one
    assert shown.best == {
        "trial": 1,
        "score": 0.5,
        "epochs": 1,
        "seconds": 1.0,
        "parameters": {"optim.lr": 1, "model.tokens": 4},
        "interval": None,
        "others": {},
        "metrics": {},
        "seeds": {},
        "costs": {},
    }
    assert (shown.seconds, shown.epochs) == (3.0, 7)


@pytest.mark.parametrize(("direction", "best"), [("max", 1), ("min", 0)])
def test_the_best_follows_the_direction(direction, best):
    mirrored = record(*STUDY.trials, direction=direction)
    assert overview(mirrored, {}, top=1).best["trial"] == best


def test_an_empty_study():
    shown = overview(record(), {}, top=5)
    assert shown.best is None
    assert (shown.top, shown.failures, shown.epochs) == ([], [], 0)


def test_importances_come_with_their_caveats():
    rough, left_out = overview(STUDY, {"optim.lr": 1.0}, top=1).importance_notes
    assert rough.startswith(f"3 completed trials: importances are rough below {ENOUGH}")
    assert left_out == "not ranked, because fewer than 11 trials set them: model.tokens"
    many = record(*(trial(n, score=0.1) for n in range(ENOUGH)))
    assert overview(many, {"optim.lr": 1.0}, top=1).importance_notes == []


def test_failures_are_gathered_by_cause_whatever_their_numbers():
    assert failures(STUDY) == [
        {
            "cause": "diverged",
            "reason": "the loss is nan at step N",
            "count": 2,
            "trials": [4, 5],
        },
        {"cause": "killed", "reason": "killed by signal N", "count": 1, "trials": [3]},
    ]


def test_the_paths_that_most_trials_have_come_first():
    assert searched_paths(STUDY) == ["optim.lr", "model.tokens"]
