"""Numbers that are not finite, from studies of others and of older versions."""

import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.storages import JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState, create_trial

import tunewright
from tunewright.cli import main
from tunewright.runs.record import StudyRecord
from tunewright.search.callbacks import StudyCallback
from tunewright.search.stages import TuneResult
from tunewright.search.study.optuna_types import FAILURE, IMPORTED, record_of, trials_of

X = FloatDistribution(0.0, 1.0)
SPACE = {"x": {"type": "float", "low": 0.0, "high": 1.0}}
INF = math.inf


class Heard(StudyCallback):
    """Keeps the notices."""

    def __init__(self) -> None:
        self.notices: list[str] = []

    def notice(self, text: str) -> None:
        self.notices.append(text)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def tuned(direction: str, heard: StudyCallback | None = None, **options: Any) -> TuneResult:
    return tunewright.tune(
        lambda params, report: params["x"],
        SPACE,
        "executor.type=inline",
        goal=f"value:{direction}",
        name="new",
        watch=heard or StudyCallback(),
        **options,
    )


def theirs(storage: Any, direction: str, scores: list[float], **rest: Any) -> None:
    study = optuna.create_study(storage=storage, study_name="old", direction=direction)
    study.add_trials(
        create_trial(params={"x": 0.1 * n}, distributions={"x": X}, value=score, **rest)
        for n, score in enumerate(scores)
    )


def all_finite(value: Any) -> bool:
    if isinstance(value, dict):
        return all(map(all_finite, value.values()))
    if isinstance(value, list):
        return all(map(all_finite, value))
    return not isinstance(value, float) or math.isfinite(value)


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
@pytest.mark.parametrize("kind", ["database", "journal"])
@pytest.mark.parametrize(("optunas", "direction"), [("minimize", "min"), ("maximize", "max")])
def test_an_infinite_score_of_theirs_has_diverged_and_never_wins(
    kind: str, optunas: str, direction: str, optuna_storage: Callable[[str], RDBStorage]
) -> None:
    theirs(
        optuna_storage("sqlite:///old.file")
        if kind == "database"
        else JournalStorage(JournalFileBackend("old.file")),
        optunas,
        [INF, 0.5, -INF],
        intermediate_values={1: math.nan, 2: INF, 3: 0.25},
        user_attrs={"gap": math.nan, "run": "a7f3", "cause": ["none"], "dropped": INF},
    )
    heard = Heard()
    found = tuned(direction, heard, imports=["old.file"], trials=2)
    told = "\n".join(heard.notices)
    assert "3 of 3 trials of old are imported" in told
    assert "2 of them as diverged, with a score that is not finite" in told
    again = tuned(direction, trials=4)
    for record in (found.record, again.record):
        states = [(t.state, t.score, t.cause) for t in record.trials[:3]]
        diverged = ("infeasible", None, "diverged")
        assert states == [diverged, ("done", 0.5, ""), diverged]
        assert record.trials[2].reason == "its score is -inf"
        assert record.best is not None
        assert math.isfinite(record.best.score or INF)
    assert again.record.trials[:3] == found.record.trials[:3]
    for file in ("best_results.json", "study_summary.json"):
        assert all_finite(json.loads((again.folder.path / file).read_text()))
    stored = optuna.load_study(
        study_name="new", storage=optuna_storage(f"sqlite:///{again.folder.database}")
    )
    assert math.isfinite(stored.best_value)
    assert stored.trials[0].constraints[FAILURE] == 1.0


def test_of_several_goals_one_without_end_decides_for_all(
    optuna_storage: Callable[[str], RDBStorage],
) -> None:
    study = optuna.create_study(
        storage=optuna_storage("sqlite:///old.db"),
        study_name="old",
        directions=["minimize", "maximize"],
    )
    for n, values in enumerate([(0.5, INF), (-INF, 0.5), (0.5, 0.5)]):
        study.add_trial(
            create_trial(params={"x": 0.1 * n}, distributions={"x": X}, values=list(values))
        )
    found = tunewright.tune(
        lambda params, report: {"a": params["x"], "b": params["x"]},
        SPACE,
        "executor.type=inline",
        goal=["a:min", "b:max"],
        name="new",
        imports=["old.db"],
        trials=1,
    )
    assert [t.state for t in found.record.trials[:3]] == ["infeasible", "infeasible", "done"]
    assert found.record.trials[0].others == {}
    assert {t.number for t in found.record.front()} <= {2, 3}
    assert tunewright.analyze("old.db").record.front()[0].number == 2


@pytest.mark.parametrize("sampler", ["tpe", "gp"])
def test_what_an_older_version_carried_over_is_mended_at_the_next_resume(
    sampler: str, optuna_storage: Callable[[str], RDBStorage]
) -> None:
    words = (f"study.sampler.type={sampler}", "study.sampler.startup_trials=1")
    options: dict[str, Any] = {"goal": "value:min", "name": "new"}

    def function(params: Any, report: Any) -> float:
        return float(params["x"])

    tunewright.tune(function, SPACE, "executor.type=inline", *words, trials=2, **options)
    study = optuna.load_study(
        study_name="new", storage=optuna_storage("sqlite:///runs/new/study.db")
    )
    carried = {IMPORTED: "old/0"}
    study.add_trial(
        create_trial(
            params={"x": 0.3}, distributions={"x": X}, value=-INF, user_attrs=carried,
            intermediate_values={1: -INF, 2: 0.5},
        )
    )  # fmt: skip
    found = tunewright.tune(function, SPACE, "executor.type=inline", *words, trials=4, **options)
    [old] = [t for t in found.record.trials if t.imported_from]
    assert (old.state, old.cause, old.curve) == ("infeasible", "diverged", {2: 0.5})
    assert found.record.best is not None
    assert found.record.best.number != old.number
    wider = {"x": {"type": "float", "low": 0.0, "high": 2.0}}
    based = tunewright.tune(function, wider, "executor.type=inline", *words, trials=4, **options)
    [old] = [t for t in based.record.trials if t.imported_from]
    assert (old.state, old.cause) == ("infeasible", "diverged")


def test_a_look_at_theirs_shows_and_writes_numbers(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    optuna_storage: Callable[[str], RDBStorage],
) -> None:
    study = optuna.create_study(
        storage=optuna_storage("sqlite:///old.db"), study_name="old", direction="maximize"
    )
    clip = CategoricalDistribution([1.0, INF])
    for n in range(30):
        study.add_trial(
            create_trial(
                params={"x": n / 30, "y": (n % 7) / 7, "clip": INF if n % 2 else 1.0},
                distributions={"x": X, "y": X, "clip": clip},
                value=INF if n == 3 else n / 30,
                constraints={"c": INF} if n == 29 else None,
            )
        )
    monkeypatch.setattr(sys, "argv", ["tunewright", "analyze", "old.db", "--json"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    shown = json.loads(capsys.readouterr().out, parse_constant=refuse)
    assert shown["best"]["trial"] == 28, "29 broke a constraint, and 3 has diverged"
    assert set(shown["importances"]) == {"x", "y"}
    assert "clip" in shown["importance_notes"][-1]
    assert shown["by_state"]["infeasible"] == 2


def test_a_parameter_that_is_not_finite_lies_outside(
    here: Path, optuna_storage: Callable[[str], RDBStorage]
) -> None:
    study = optuna.create_study(
        storage=optuna_storage("sqlite:///old.db"), study_name="old", direction="minimize"
    )
    wide = CategoricalDistribution([0.5, INF, math.nan])
    for value in (0.5, INF, math.nan):
        study.add_trial(create_trial(params={"x": value}, distributions={"x": wide}, value=1.0))
    heard = Heard()
    found = tuned("min", heard, imports=["old.db"], trials=1)
    assert [t.parameters["x"] for t in found.record.trials if t.imported_from] == [0.5]
    assert "2: x outside 0 .. 1" in "\n".join(heard.notices)
    Path("past.csv").write_text("x,value\ninf,1\n0.1,-inf\n0.2,nan\n0.3,0.5\nnan,0.5\n")
    heard = Heard()
    found = tuned("min", heard, imports=["past.csv"], trials=1, runs_dir=here / "other")
    assert [t.parameters["x"] for t in found.record.trials if t.imported_from] == [0.3]
    assert "2: it has no score" in "\n".join(heard.notices)


NUMBERS = st.one_of(st.floats(-9, 9), st.sampled_from([INF, -INF]))
CURVES = st.dictionaries(st.integers(1, 4), st.one_of(NUMBERS, st.just(math.nan)))
STATES = st.sampled_from([TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL])


@st.composite
def stored_trials(draw: st.DrawFn) -> FrozenTrial:
    state = draw(STATES)
    scored = state == TrialState.COMPLETE or (state == TrialState.PRUNED and draw(st.booleans()))
    return create_trial(
        state=state,
        params={"x": 0.5},
        distributions={"x": X},
        value=draw(NUMBERS) if scored else None,
        intermediate_values=draw(CURVES),
        constraints=draw(st.none() | st.dictionaries(st.just("c"), NUMBERS)),
        user_attrs={"run": {"costs": {"latency_ms": draw(NUMBERS)}}},
    )


def finite(record: StudyRecord) -> bool:
    numbers = [
        number
        for t in record.trials
        for number in (t.score or 0.0, *t.curve.values(), *t.costs.values(), *t.others.values())
    ]
    return all(map(math.isfinite, numbers))


@settings(max_examples=60, deadline=None)
@given(st.lists(stored_trials(), max_size=6), st.sampled_from(["minimize", "maximize"]))
def test_whatever_a_storage_holds_a_record_is_finite(
    trials: list[FrozenTrial], direction: str
) -> None:
    study = optuna.create_study(direction=direction)
    study.add_trials(trials)
    record = record_of(study, None)
    assert len(record.trials) == len(trials)
    assert finite(record)
    assert all(t.score is None for t in record.of_state("pruned", "failed"))
    for stored, told in zip(trials, record.trials, strict=True):
        if stored.state == TrialState.COMPLETE and not math.isfinite(stored.value):
            assert (told.state, told.cause) == ("infeasible", "diverged")
    for read in trials_of(study):
        assert all(map(math.isfinite, [*(read.values or []), *read.intermediate_values.values()]))
