"""What becomes of good and of avoided combinations in a study, also in one that is taken up."""

import contextlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages import RDBStorage

import tunewright
from tunewright.analysis.avoided import comparison_line, summarise_avoid_rules
from tunewright.cli import main
from tunewright.runs.record import StudyRecord, Trial
from tunewright.search.callbacks import StudyCallback
from tunewright.search.stages import TuneResult
from tunewright.search.study.study import Study

TRIPLE = "data.weighted_sampler=true"
GOOD = (
    "tail three times",
    "more dropout, less decay",
    "larger pictures, smaller batches",
    "focal and slower",
)
SMALL = "small batches of large pictures"


class Heard(StudyCallback):
    """Keeps the notices."""

    def __init__(self) -> None:
        self.notices: list[str] = []

    def notice(self, text: str) -> None:
        self.notices.append(text)


def tuned(runs: Path, *words: str, trials: int = 8, **options: Any) -> tuple[TuneResult, list[str]]:
    heard = Heard()
    found = tunewright.tune(
        "tailed", "executor.type=inline", "study.final=false", TRIPLE, *words,
        name="study", trials=trials, runs_dir=runs, watch=heard, **options,
    )  # fmt: skip
    return found, heard.notices


def names(found: TuneResult) -> list[str]:
    return [trial.good for trial in found.record.trials]


def words_of(rule: str, **when: Any) -> dict[str, Any]:
    return {"name": rule, "because": "", "when": {k.replace("__", "."): v for k, v in when.items()}}


# --- good combinations ------------------------------------------------------------------------


def test_good_combinations_follow_the_defaults_each_once(tmp_path: Path) -> None:
    found, notices = tuned(tmp_path)
    assert names(found) == ["", *GOOD, "", "", ""]
    trials = found.record.trials
    assert trials[1].parameters == {**trials[0].parameters, "loss.tau": 0.7}
    assert "loss.tau" not in trials[4].parameters
    assert trials[4].parameters["loss.gamma"] == 2.0
    [notice] = [n for n in notices if "tried right after the defaults" in n]
    assert "focal and slower (its gradients are sharper)" in notice
    again, notices = tuned(tmp_path, trials=9)
    assert names(again) == ["", *GOOD, "", "", "", ""]
    assert not any("tried right after" in n for n in notices)


@pytest.mark.parametrize("sessions", [(1, 2, 3, 8), (0, 3, 8), (5, 8)])
def test_a_study_in_sessions_tries_what_one_in_one_does(
    tmp_path: Path, sessions: tuple[int, ...]
) -> None:
    whole, _ = tuned(tmp_path / "whole", trials=5)
    for trials in sessions:
        found, _ = tuned(tmp_path / "parts", trials=max(1, trials))
    assert names(found) == ["", *GOOD, "", "", ""]
    first = [trial.parameters for trial in found.record.trials[:5]]
    assert first == [trial.parameters for trial in whole.record.trials]


class Unplugged(Exception):
    """Stands for the death of the coordinator."""


@pytest.mark.parametrize("call", [1, 2, 4])
def test_a_coordinator_that_dies_between_them_tries_none_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: int
) -> None:
    original, calls = Study.ask, [0]

    def cutting(self: Study, proposed: Mapping[str, Any] | None = None) -> Any:
        asked = original(self, proposed)
        calls[0] += 1
        if calls[0] == call:
            raise Unplugged
        return asked

    with monkeypatch.context() as patched, contextlib.suppress(Unplugged):
        patched.setattr(Study, "ask", cutting)
        tuned(tmp_path)
    found, _ = tuned(tmp_path)
    assert names(found) == ["", *GOOD, "", "", ""]
    assert {trial.state for trial in found.record.trials} == {"done"}


@pytest.mark.parametrize("sampler", ["random", "tpe", "quasi_random", "gp"])
def test_every_sampler_goes_on_behind_them(tmp_path: Path, sampler: str) -> None:
    found, _ = tuned(tmp_path, f"study.sampler.type={sampler}", trials=7)
    assert names(found) == ["", *GOOD, "", ""]
    points = [json.dumps(dict(t.parameters), sort_keys=True) for t in found.record.trials]
    assert len(set(points)) == 7


def finite(**rest: Any) -> dict[str, Any]:
    return {
        "inherit": False,
        "parameters": {
            "training.batch_size": {"choices": [16, 32]},
            "data.image_size": {"choices": [224, 256, 288]},
        },
        **rest,
    }


@pytest.mark.parametrize("sampler", ["grid", "random", "quasi_random"])
def test_a_finite_space_counts_them_among_its_points(tmp_path: Path, sampler: str) -> None:
    good = [{"name": "large", "set": {"data.image_size": 288}}]
    space = finite(good=good, avoid=[words_of("no", data__image_size=288)])
    found, _ = tuned(tmp_path, f"study.sampler.type={sampler}", space=space, trials=20)
    assert names(found) == ["", "large", "", "", "", ""]
    assert len({str(t.parameters) for t in found.record.trials}) == 6
    assert [bool(trial.avoided) for trial in found.record.trials].count(True) == 2
    made = tunewright.plan(
        "tailed", "executor.type=inline", f"study.sampler.type={sampler}",
        space=space, trials=20, runs_dir=tmp_path,
    )  # fmt: skip
    assert (made.trials, made.points) == (6, 6)


def test_cma_es_goes_on_behind_them(tmp_path: Path) -> None:
    pytest.importorskip("cmaes")
    space = {
        "inherit": False,
        "parameters": {"dropout": {"low": 0.1, "high": 0.5}, "lr": {"low": 1e-4, "high": 1e-2}},
        "good": [{"name": "dry", "set": {"dropout": 0.3}}],
    }
    found, _ = tuned(tmp_path, "study.sampler.type=cma_es", space=space, trials=4)
    assert names(found) == ["", "dry", "", ""]


def test_one_that_is_added_later_is_tried_next(tmp_path: Path) -> None:
    good = {"name": "dry", "set": {"dropout": 0.3}}
    tuned(tmp_path, space={"forbid": []}, trials=6)
    found, _ = tuned(tmp_path, space={"good": [good]}, trials=8)
    assert names(found) == ["", *GOOD, "", "dry", ""]
    changed = {"name": "dry", "set": {"dropout": 0.45}}
    found, _ = tuned(tmp_path, space={"good": [changed]}, trials=10)
    assert names(found)[6:] == ["dry", "", "dry", ""]


def test_other_defaults_do_not_try_them_again(tmp_path: Path) -> None:
    tuned(tmp_path, trials=6)
    space = {"parameters": {"weight_decay": {"default": 1e-3}}}
    found, _ = tuned(tmp_path, space=space, trials=8)
    assert names(found) == ["", *GOOD, "", "", ""]


def test_a_study_from_another_one_tries_them_around_its_best(tmp_path: Path) -> None:
    first, _ = tuned(tmp_path, trials=12)
    best = first.record.best
    assert best is not None
    heard = Heard()
    found = tunewright.tune(
        "tailed", "executor.type=inline", "study.final=false", TRIPLE, from_="study",
        name="new", trials=3, runs_dir=tmp_path, watch=heard,
    )  # fmt: skip
    own = found.record.own
    assert len(own) == 3
    assert own[0].good in GOOD, "the best itself was carried over"
    changed = {
        path for path, value in own[0].parameters.items() if best.parameters.get(path) != value
    }
    assert changed <= {"loss.type", "loss.tau", "loss.gamma", "loss.modulation",
                       "model.dropout", "optim.weight_decay"}  # fmt: skip


# --- avoided combinations ---------------------------------------------------------------------


def test_a_case_is_marked_for_all_who_look(
    tmp_path: Path, capsys: Any, monkeypatch: Any, optuna_storage: Callable[[str], RDBStorage]
) -> None:
    rule = words_of("wide", data__image_size=[256, 288])
    found, notices = tuned(tmp_path, space={"avoid": [rule]}, trials=24)
    cases = [t for t in found.record.trials if t.parameters["data.image_size"] != 224]
    assert len(cases) >= 3
    for trial in found.record.trials:
        assert ("wide" in trial.avoided) == (trial in cases)
    url = f"sqlite:///{tmp_path}/study/study.db"
    stored = optuna.load_study(study_name="study", storage=optuna_storage(url)).trials
    assert [t.number for t in stored if "wide" in t.user_attrs.get("avoided", [])] == [
        trial.number for trial in cases
    ]
    [end] = [n for n in notices if n.startswith("wide, advised against: ")]
    assert f"{len(cases)} of {len(cases)} ran to their end, with val_accuracy" in end
    overview = tunewright.analyze("study", runs_dir=tmp_path).overview
    [row] = [row for row in overview.avoided if row["name"] == "wide"]
    assert row["cases"]["trials"] == len(cases)
    assert [one["name"] for one in overview.good] == list(GOOD)
    monkeypatch.setattr("sys.argv", ["tunewright", "analyze", "study", "--runs-dir", str(tmp_path)])
    with pytest.raises(SystemExit):
        main()
    shown = capsys.readouterr().out
    assert f"note: {end}" in shown
    assert "good combination focal and slower: trial 4 done with" in shown
    assert "marked" in shown


def test_forbidden_none_is_tried(tmp_path: Path) -> None:
    found, notices = tuned(tmp_path, "space.avoid=forbid", trials=20)
    assert not any(trial.avoided for trial in found.record.trials)
    assert not any("advised against" in notice for notice in notices)


def test_what_is_forbidden_later_is_dropped_and_comes_back(tmp_path: Path) -> None:
    rule = words_of("wide", data__image_size=[256, 288])
    space = {"avoid": [rule]}
    found, _ = tuned(tmp_path, space=space, trials=14)
    cases = [trial.number for trial in found.record.trials if "wide" in trial.avoided]
    found, notices = tuned(tmp_path, "space.avoid=forbid", trials=14)
    assert any("the space has changed (space.avoid)" in notice for notice in notices)
    assert any("forbidden: wide (data.image_size = 256 or 288)" in notice for notice in notices)
    kept = {trial.number for trial in found.record.trials}
    assert kept.isdisjoint(cases)
    assert len(kept) == 14
    found, notices = tuned(tmp_path, trials=14)
    assert any("the space has changed (space.avoid)" in notice for notice in notices)
    assert set(cases) <= {trial.number for trial in found.record.trials if trial.avoided}


def test_other_rules_mark_the_old_trials_anew(tmp_path: Path) -> None:
    found, _ = tuned(tmp_path, space={"avoid": [words_of("wide", image_size=256)]}, trials=8)
    assert "wide" in found.record.trials[3].avoided
    narrow = {"avoid": [words_of("narrow", image_size=224)]}
    found, notices = tuned(tmp_path, space=narrow, trials=8)
    assert any("the space has changed (avoid)" in notice for notice in notices)
    assert [trial.avoided for trial in found.record.trials[:4]] == [
        ("narrow",), ("narrow",), ("narrow",), (),
    ]  # fmt: skip
    assert names(found)[:5] == ["", *GOOD]


def test_the_reason_alone_changes_nothing(tmp_path: Path) -> None:
    tuned(tmp_path, space={"avoid": [words_of("wide", image_size=256)]}, trials=3)
    rule = {**words_of("wide", image_size=256), "because": "a reason"}
    _, notices = tuned(tmp_path, space={"avoid": [rule]}, trials=4)
    assert not any("the space has changed" in notice for notice in notices)


def test_marks_come_back_with_a_database_made_anew(tmp_path: Path) -> None:
    rule = words_of("wide", data__image_size=[256, 288])
    before, _ = tuned(tmp_path, space={"avoid": [rule]}, trials=10)
    (tmp_path / "study/study.db").unlink()
    tunewright.repair("study", runs_dir=tmp_path)
    after, _ = tuned(tmp_path, trials=10)
    assert [(t.good, t.avoided) for t in after.record.trials] == [
        (t.good, t.avoided) for t in before.record.trials
    ]


def test_a_function_has_good_and_avoided_points_too(tmp_path: Path) -> None:
    space = {
        "parameters": {"x": {"low": 0.0, "high": 1.0}, "kind": {"choices": ["a", "b"]}},
        "avoid": [{"name": "large b", "when": {"x": {"above": 0.5}, "kind": "b"}}],
        "good": [{"name": "known", "set": {"kind": "b", "x": 0.75}}],
    }
    words = (lambda params, report: params["x"], space, "executor.type=inline")
    found = tunewright.tune(*words, trials=3, name="study", runs_dir=tmp_path)
    assert names(found) == ["", "known", ""]
    assert found.record.trials[1].avoided == ("large b",)
    assert found.record.trials[1].parameters == {"kind": "b", "x": 0.75}


def test_parameters_may_be_called_as_the_lists_are(tmp_path: Path) -> None:
    space = {"good": {"low": 0.0, "high": 1.0}, "avoid": {"choices": [1, 2]}}
    function = lambda params, report: params["good"] * params["avoid"]  # noqa: E731
    found = tunewright.tune(function, space, "executor.type=inline", trials=2, runs_dir=tmp_path)
    assert set(found.record.trials[0].parameters) == {"good", "avoid"}


def record(*trials: tuple[str, float | None, bool]) -> StudyRecord:
    made = tuple(
        Trial(n, state, {}, score, {}, avoided=("no",) if case else ())  # type: ignore[arg-type]
        for n, (state, score, case) in enumerate(trials)
    )
    return StudyRecord("study", "tailed", "val_loss", "min", made)


def test_few_trials_are_counted_and_not_compared() -> None:
    few = record(("done", 1.0, True), ("done", 2.0, True), *[("done", 3.0, False)] * 5)
    [row] = summarise_avoid_rules(few)
    assert comparison_line(row, "val_loss") == ""
    assert row["cases"] == {"trials": 2, "finished": 2, "median": 1.5, "best": 1.0}


def test_pruned_trials_are_counted_beside_the_scores() -> None:
    enough = record(
        *[("done", score, True) for score in (1.0, 2.0, 4.0)],
        *[("pruned", None, True)] * 2,
        *[("done", score, False) for score in (0.5, 0.25, 3.0)],
        ("failed", None, False),
    )  # fmt: skip
    [row] = summarise_avoid_rules(enough)
    assert comparison_line(row, "val_loss") == (
        "no, advised against: 3 of 5 ran to their end, with val_loss 2 in the median and 1 at "
        "best; of the others 3 of 4 ran to their end, with 0.5 in the median and 0.25 at best"
    )
    assert summarise_avoid_rules(record(("done", 1.0, False))) == []


def test_a_space_file_of_a_study_says_what_it_advises(tmp_path: Path) -> None:
    tuned(tmp_path, "space.avoid=forbid", trials=2)
    file = tmp_path / "study/space.yaml"
    space = tunewright.space("tailed", TRIPLE, str(file)).space
    assert [good.name for good in space.good] == list(GOOD)
    assert any(rule.name == SMALL for rule in space.forbid), "it brings its setting along"
