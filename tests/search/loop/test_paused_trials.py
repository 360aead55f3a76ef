"""Trials that wait at a rung: how they are stored, shown, kept, and go on after the end."""

import signal
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from practice.quadratic.studies import rows, tuned

import tunewright
from tunewright.analysis.audit.left_behind import describe_left
from tunewright.analysis.overview import count_rungs, overview, states_in_words
from tunewright.errors import ConfigError
from tunewright.recipes.function.report import Report
from tunewright.runs.record import StudyRecord, Trial
from tunewright.search.callbacks import StudyCallback, StudyProgress
from tunewright.search.curves.curve_search import CurveSearch, GoOn
from tunewright.search.recovery.repair import repair
from tunewright.search.signals import Interrupted
from tunewright.search.stages import TuneResult
from tunewright.search.study.study import load_record

CURVES = "study.sampler.type=curves"
WORDS = (CURVES, "study.trials=20", "training.epochs=12")


class Watch(StudyCallback):
    """Keeps what it is told; interrupts the study once so many trials have started."""

    def __init__(self, stop_after: int = 0) -> None:
        self.left = stop_after
        self.notices: list[str] = []
        self.paused: list[Trial] = []
        self.progress: list[StudyProgress] = []

    def notice(self, text: str) -> None:
        self.notices.append(text)

    def on_trial_pause(self, trial: Trial, progress: StudyProgress) -> None:
        self.paused.append(trial)
        self.progress.append(progress)

    def on_progress(self, progress: StudyProgress) -> None:
        self.left -= 1
        if self.left == 0:
            signal.raise_signal(signal.SIGINT)


def stored(folder: Path) -> list[tuple[object, ...]]:
    return rows(next(folder.rglob("study.db")), "SELECT * FROM trials ORDER BY number")


def record(folder: Path) -> StudyRecord:
    return load_record(f"sqlite:///{next(folder.rglob('study.db'))}", "study")[0]


def left(found: TuneResult) -> list[Trial]:
    return [t for t in found.record.trials if t.rung]


@pytest.fixture(scope="module")
def watch() -> Watch:
    return Watch()


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory, watch: Watch) -> TuneResult:
    return tuned(tmp_path_factory.mktemp("ended"), *WORDS, watch=watch)


class TestEndOfTheSearch:
    """What waits when the search ends is pruned for others, and can go on here."""

    def test_those_left_say_where_and_count_apart_from_pruned_ones(self, study: TuneResult) -> None:
        found = overview(study.record, {}, top=1)
        assert found.by_state["running"] == found.by_state["paused"] == 0
        at = Counter(t.rung for t in left(study))
        assert found.rungs == at
        assert list(found.rungs) == ["at 1 of 12", "at 4 of 12"], "the first rung first"
        expected = f"{at['at 1 of 12']} at 1 of 12, {at['at 4 of 12']} at 4 of 12"
        assert states_in_words(found.by_state, found.rungs) == (
            f"3 done, 17 left at a rung ({expected})"
        )

    def test_one_notice_says_so_and_each_pause_was_told(
        self, study: TuneResult, watch: Watch
    ) -> None:
        [said] = [text for text in watch.notices if "left at a rung" in text]
        assert said.startswith("17 trials are left at a rung (")
        assert {t.number for t in watch.paused} >= {t.number for t in left(study)}
        assert all(t.state == "paused" and t.rung for t in watch.paused)
        assert max(p.paused for p in watch.progress) > 5

    def test_the_best_quarter_keeps_its_state(self, study: TuneResult) -> None:
        kept = {int(path.parent.name) for path in study.folder.path.glob("trials/*/checkpoints")}
        assert study.record.best is not None
        assert len(kept - {study.record.best.number}) == 5, "of 17"

    def test_its_seconds_are_those_that_it_had_a_worker(self, study: TuneResult) -> None:
        spans = sorted(span for t in study.record.trials for span in t.worked)
        assert len(spans) > 20, "those that went on had one several times"
        for (start, seconds), (following, _) in pairwise(spans):
            assert start + seconds <= following, "one worker"
        for trial in left(study):
            assert trial.seconds == pytest.approx(sum(s for _, s in trial.spans))

    def test_the_same_call_changes_nothing_and_with_more_trials_they_go_on(
        self, study: TuneResult, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        runs = study.folder.path.parent
        before = stored(runs)
        tuned(runs, *WORDS)
        assert stored(runs) == before
        kept, gone = _first_two_left(study)
        wanted: list[GoOn | None] = [GoOn(kept, 12), GoOn(gone, 12)]

        def decide(self: CurveSearch, *args: object, **kwargs: object) -> GoOn | None:
            return wanted.pop(0) if wanted else None

        monkeypatch.setattr(CurveSearch, "decide", decide)
        watch = Watch()
        more = tuned(runs, CURVES, "study.trials=21", "training.epochs=12", watch=watch)
        assert "17 trials that were left at a rung wait again, and may go on" in watch.notices
        assert [text for text in watch.notices if "starts again" in text] == [
            f"trial {gone} starts again: the state it was paused in is gone"
        ]
        trials = {t.number: t for t in more.record.trials}
        assert len(trials) == 20
        assert len(left(more)) == 15
        assert {state for *_, state in _states(runs)} == {"COMPLETE", "PRUNED"}
        for number in (kept, gone):
            assert (trials[number].state, trials[number].rung) == ("done", "")
            assert sorted(trials[number].curve) == list(range(1, 13))
        made = [more.folder.trial(n).progress.read_text().count('"step"') for n in (kept, gone)]
        assert made[0] == 12, "no step was made twice"
        assert made[1] > 12

    def test_a_database_that_is_rebuilt_knows_those_left(self, study: TuneResult) -> None:
        runs = study.folder.path.parent
        rungs = count_rungs(record(runs))
        next(runs.rglob("study.db")).unlink()
        repair("study", runs=runs)
        assert count_rungs(record(runs)) == rungs


def _first_two_left(study: TuneResult) -> tuple[int, int]:
    """A trial that was left with its state, and one without."""
    has_state = {t.number: study.folder.trial(t.number).checkpoints.is_dir() for t in left(study)}
    kept = next(number for number, has in has_state.items() if has)
    return kept, next(number for number, has in has_state.items() if not has)


def _states(folder: Path) -> list[tuple[object, ...]]:
    return rows(next(folder.rglob("study.db")), "SELECT state FROM trials")


class TestInterruptedSearch:
    """What waits in the middle of a search."""

    @pytest.fixture
    def runs(self, tmp_path: Path) -> Path:
        with pytest.raises(Interrupted):
            tuned(tmp_path, *WORDS, watch=Watch(stop_after=9))
        return tmp_path

    def test_waiting_trials_are_paused_ones_to_the_report(self, runs: Path) -> None:
        found = record(runs)
        waiting = found.of_state("paused")
        assert len(waiting) >= 5
        assert {t.rung for t in waiting} == {"at 1 of 12"}
        words = states_in_words(overview(found, {}, top=1).by_state, count_rungs(found))
        assert f"{len(waiting)} paused ({len(waiting)} at 1 of 12)" in words

    def test_another_study_takes_them_with_their_curves(self, runs: Path) -> None:
        waiting = record(runs).of_state("paused")
        recipe, words = "quadratic", ("study.name=other", "study.trials=1", *WORDS[2:])
        tunewright.tune(
            recipe,
            "executor.type=inline",
            "study.final=false",
            *words,
            runs_dir=runs,
            from_="study",
        )
        url = f"sqlite:///{runs}/other/study.db"
        taken = {t.imported_from: t for t in load_record(url, "other")[0].trials}
        for trial in waiting:
            own = taken[f"study/{trial.number}"]
            assert (own.state, own.curve, own.rung) == ("pruned", trial.curve, "")

    def test_another_sampler_goes_on_with_them(self, runs: Path) -> None:
        found = tuned(runs, "study.sampler.type=tpe", "study.pruner.type=none", *WORDS[1:])
        assert len(found.record.of_state("done")) == 20
        assert not left(found)


def test_an_audit_of_pruning_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"study\.audit_pruning=0\.2 with the sampler"):
        tuned(tmp_path, *WORDS, "study.audit_pruning=0.2")


def test_the_audit_of_curves_counts_winners_that_were_left() -> None:
    def trial(number: int, end: float, stop: int) -> Trial:
        curve = {step: end - 1.0 / step for step in range(1, stop + 1)}
        if stop == 8:
            return Trial(number, "done", {}, curve[8], curve)
        return Trial(number, "pruned", {}, None, curve, rung=f"at {stop} of 8")

    finished = [trial(n, 0.1 * n, 8) for n in range(6)]
    worse, better = trial(6, -3.0, 2), trial(7, 9.0, 2)
    study = StudyRecord("s", "", "score", "max", (*finished, worse))
    assert "of these, 0.0 are expected to end better than trial 5" in describe_left(study)[0]
    study = replace(study, trials=(*finished, worse, better))
    first, second = describe_left(study)
    assert "of these, 1.0 are expected" in first
    assert "trial 7, at 2 of 8" in second
    assert describe_left(replace(study, trials=tuple(finished))) == []


def test_a_state_that_is_damaged_or_gone_starts_again_and_says_so(tmp_path: Path) -> None:
    calls: list[tuple[float, int]] = []

    def objective(params: Mapping[str, float], report: Report) -> float:
        saved = report.folder / "state.txt"
        start = int(saved.read_text()) if saved.exists() else 0
        calls.append((params["x"], start))
        for step in range(start + 1, 9):
            saved.write_text(str(step))
            report(step, params["x"] + step / 10)
        return params["x"] + 0.8

    found = tunewright.tune(
        objective, CURVES, "training.epochs=8", "executor.type=inline",
        space={"x": {"type": "float", "low": 0.0, "high": 1.0}},
        goal="value:max", trials=12, runs_dir=tmp_path,
    )  # fmt: skip
    assert len(found.record.of_state("done")) >= 3
    assert sum(start > 0 for _, start in calls) >= 3, "each goes on from its own state"
