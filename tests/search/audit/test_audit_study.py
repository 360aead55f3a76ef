"""Audits of small studies: what is trained, where it is stored, how it goes on after a stop."""

import json

import pytest

import tunewright
from tunewright.errors import ConfigError, DataError, StudyError, UsageError
from tunewright.runs.folder import RunFolder, StudyFolder
from tunewright.runs.record import StudyRecord, Trial
from tunewright.search.audit.choose_trials import choose_trials, rankable_trials
from tunewright.search.audit.stored_audit import read_audit
from tunewright.search.signals import Interrupted

INLINE = ("executor.type=inline", "study.pruner.type=none", "study.report=false")
X = {"x": {"type": "float", "low": 0.0, "high": 1.0, "default": 0.5}}
FULL = "params.length=10"
CALLS = []


def crossing(params, report):
    """Early on small x lead; at length 10 large ones do."""
    CALLS.append(params["x"])
    length = int(params.get("length", 1))
    if params.get("stop_at") == len(CALLS):
        raise KeyboardInterrupt
    for step in range(1, length + 1):
        report(step, params["x"] * (step - 3) / 7)
    if params["x"] > params.get("fails_above", 2.0):
        raise ValueError("diverges in full")
    return params["x"] * (length - 3) / 7


def faithful(params, report):
    return params["x"]


def tune(function, runs, *words, trials=8, name="study", **named):
    return tunewright.tune(
        function, X, *INLINE, "study.sampler.type=random", *words, goal="value:max",
        trials=trials, name=name, runs_dir=runs, **named,
    )  # fmt: skip


def audit(function, runs, *words, **named):
    return tunewright.audit("study", *words, function=function, runs_dir=runs, **named)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A study whose ranking in full is turned round, audited."""
    runs = tmp_path_factory.mktemp("runs")
    tune(crossing, runs)
    before = (runs / "study" / "study.db").read_bytes()
    found = audit(crossing, runs, FULL, configurations=6)
    assert (runs / "study" / "study.db").read_bytes() == before
    return runs, found


class TestAudited:
    def test_a_fidelity_that_lies_is_found_out(self, runs):
        _, found = runs
        [search] = found.levels
        assert search.agreement.tau.value == -1.0
        assert search.agreement.regret.value > 0.2
        assert found.full == FULL
        assert "is noise is not known" in found.advice[0]

    def test_the_epochs_of_the_full_runs_are_compared(self, runs):
        _, found = runs
        assert found.epochs[0].agreement.tau.value == -1.0
        assert found.epochs[-1].epoch == 10
        assert any(line.startswith("at epoch 4 of 10") for line in found.advice)

    def test_the_spread_holds_the_best_and_the_worst(self, runs):
        place, found = runs
        trials = tunewright.analyze("study", runs_dir=place).record.rank_trials()
        numbers = [row["trial"] for row in found.rows]
        assert {trials[0].number, trials[-1].number} <= set(numbers)
        assert len(numbers) == 6

    def test_it_stands_in_the_json_of_analyze_and_in_the_report(self, runs):
        place, found = runs
        view = tunewright.analyze("study", runs_dir=place)
        assert view.as_json()["audit"]["rows"] == found.as_json()["rows"]
        json.dumps(view.as_json(), allow_nan=False)
        text = tunewright.report("study", runs_dir=place).file.read_text()
        for title in ("Fidelity", "Cheap score against full score", "Ranking by epoch"):
            assert title in text
        drawn = place / "audit.png"
        tunewright.report("study", figure="audit", output=drawn, runs_dir=place)
        assert drawn.stat().st_size > 2000

    def test_the_same_call_trains_nothing(self, runs):
        place, found = runs
        CALLS.clear()
        again = audit(crossing, place, FULL, configurations=6)
        assert again == found
        assert CALLS == []

    def test_further_configurations_are_added_to_those_before(self, runs):
        place, found = runs
        CALLS.clear()
        more = audit(crossing, place, FULL, configurations=7)
        assert len(CALLS) == 1
        assert {row["trial"] for row in found.rows} < {row["trial"] for row in more.rows}

    def test_another_level_is_compared_with_the_full_one(self, runs):
        place, _ = runs
        found = audit(crossing, place, "params.length=4", configurations=6)
        assert [level.name for level in found.levels] in (
            ["the search", "params.length=4"],
            ["the search", FULL],  # their times are equal up to chance
        )
        assert found.levels[1].agreement.tau.value == 1.0

    def test_a_damaged_file_counts_as_none(self, runs, tmp_path):
        place, _ = runs
        file = place / "study" / "audit" / "audit.json"
        kept = file.read_bytes()
        for text in ("{", "[]", '{"format": 1}', '{"format": 1, "chosen": [], "levels": [1]}'):
            file.write_text(text)
            assert tunewright.analyze("study", runs_dir=place).audit is None
        CALLS.clear()
        again = audit(crossing, place, FULL, configurations=6)  # read again from its runs
        assert CALLS == []
        assert len(again.rows) == 6
        file.write_bytes(kept)


def test_a_plan_trains_nothing(tmp_path):
    tune(crossing, tmp_path)
    CALLS.clear()
    plan = audit(crossing, tmp_path, FULL, configurations=5, plan=True)
    assert (len(plan.trials), plan.done, plan.values) == (5, [], {"params.length": 10})
    assert CALLS == []
    assert not (tmp_path / "study" / "audit").exists()


def test_a_stopped_audit_goes_on(tmp_path):
    tune(crossing, tmp_path)
    CALLS.clear()
    with pytest.raises(Interrupted, match="2 of 5 runs of the audit have ended") as stopped:
        audit(crossing, tmp_path, FULL, "params.stop_at=3", configurations=5)
    assert "same command again" in stopped.value.remedy
    assert len(read_audit(StudyFolder(tmp_path / "study")).levels[0].runs) == 2
    found = audit(crossing, tmp_path, FULL, "params.stop_at=3", configurations=5)
    assert len(CALLS) == 3 + 3
    assert len(found.rows) == 5


def test_runs_that_fail_are_named_and_the_others_compared(tmp_path):
    tune(crossing, tmp_path)
    found = audit(crossing, tmp_path, FULL, "params.fails_above=0.7", configurations=8)
    failed = [row for row in found.rows if row["full"] is None]
    assert failed
    assert all("diverges in full" in row["reason"] for row in failed)
    assert "left out: trial" in found.notes[0]


def test_curves_alone_need_no_training(tmp_path):
    tune(crossing, tmp_path, FULL, trials=6)
    CALLS.clear()
    found = tunewright.audit("study", curves=True, runs_dir=tmp_path)
    assert CALLS == []
    assert found.epochs[0].agreement.tau.value == -1.0
    assert any(line.startswith("at epoch 4 of 10") for line in found.advice)


class TestRefusals:
    def test_a_study_in_full_already(self, tmp_path):
        tune(faithful, tmp_path)
        with pytest.raises(ConfigError, match="trained in full already") as error:
            audit(faithful, tmp_path)
        assert "training.epochs=" in error.value.remedy
        assert "--curves" in error.value.remedy

    def test_too_few_trials_and_configurations(self, tmp_path):
        tune(faithful, tmp_path, trials=1)
        with pytest.raises(StudyError, match="1 trials that can be ranked"):
            audit(faithful, tmp_path, FULL)
        with pytest.raises(UsageError, match="--configurations 2"):
            audit(faithful, tmp_path, FULL, configurations=2)
        with pytest.raises(StudyError, match="0 finished trials"):
            tunewright.audit("study", curves=True, runs_dir=tmp_path)

    def test_a_function_study_needs_its_function(self, tmp_path):
        tune(faithful, tmp_path)
        with pytest.raises(UsageError, match="and no function") as error:
            tunewright.audit("study", FULL, runs_dir=tmp_path)
        assert "function=FUNCTION" in error.value.remedy

    def test_trials_that_name_their_own_parameters(self, tmp_path):
        tunewright.tune(
            lambda trial: trial.suggest_float("x", 0, 1), *INLINE, trials=5, name="study",
            runs_dir=tmp_path,
        )  # fmt: skip
        with pytest.raises(UsageError, match="name their own parameters"):
            audit(faithful, tmp_path, FULL)

    def test_unknown_studies_and_databases(self, tmp_path):
        with pytest.raises(StudyError, match="no study 'other'"):
            tunewright.audit("other", runs_dir=tmp_path)
        tune(faithful, tmp_path)
        with pytest.raises(StudyError, match="without its folder"):
            tunewright.audit(str(tmp_path / "study" / "study.db"), runs_dir=tmp_path)

    def test_all_failed(self, tmp_path):
        def fails(params, report):
            raise ValueError("no")

        with pytest.raises(Exception, match="no trial"):
            tune(fails, tmp_path, trials=4)
        with pytest.raises(StudyError, match="0 trials that can be ranked"):
            audit(fails, tmp_path, FULL)


class TestTables:
    def write(self, path, rows, head="run,epoch,accuracy"):
        path.write_text("\n".join([head, *rows]) + "\n")
        return path

    def test_curves_of_a_table(self, tmp_path):
        rows = [f"r{n},{e},{n * (e - 3)}" for n in range(6) for e in range(1, 9)]
        found = tunewright.audit(self.write(tmp_path / "t.csv", rows))
        assert (found.goal, found.direction) == ("accuracy", "max")
        assert any(line.startswith("at epoch 4 of 8") for line in found.advice)

    def test_a_loss_is_minimised_and_the_goal_can_be_named(self, tmp_path):
        rows = [f"{n},{e},{n * (e - 3)},7" for n in range(6) for e in range(1, 9)]
        file = self.write(tmp_path / "t.csv", rows, "trial,step,val_loss,other")
        found = tunewright.audit(file, goal="val_loss")
        assert found.direction == "min"
        with pytest.raises(UsageError, match="2 columns that may be the score"):
            tunewright.audit(file)
        with pytest.raises(UsageError, match="--goal val_los"):
            tunewright.audit(file, goal="val_los")

    def test_what_is_no_table(self, tmp_path):
        with pytest.raises(DataError, match="cannot be read"):
            tunewright.audit(tmp_path / "absent.csv")
        with pytest.raises(DataError, match="has the columns a, b"):
            tunewright.audit(self.write(tmp_path / "a.csv", ["1,2"], "a,b"))
        with pytest.raises(DataError, match="line 3"):
            tunewright.audit(self.write(tmp_path / "b.csv", ["r,1,0.5", "r,two,0.5"]))
        with pytest.raises(DataError, match=r"\(none\)"):
            tunewright.audit(self.write(tmp_path / "c.csv", [], ""))


class TestChoice:
    def ranked(self, count):
        trials = [Trial(n, "done", {"x": n}, float(-n), {}) for n in range(count)]
        return rankable_trials(StudyRecord("s", "", "v", "max", tuple(trials)))

    def test_evenly_over_the_ranking(self):
        assert [t.number for t in choose_trials(self.ranked(9), 5)] == [0, 2, 4, 6, 8]
        assert [t.number for t in choose_trials(self.ranked(3), 5)] == [0, 1, 2]
        assert choose_trials([], 5) == []

    def test_those_before_stay_and_gaps_are_filled(self):
        chosen = [t.number for t in choose_trials(self.ranked(9), 4, [0, 8, 1])]
        assert chosen == [0, 1, 4, 8]
        # A new best one joins in any case.
        assert [t.number for t in choose_trials(self.ranked(9), 2, [4, 8])] == [0, 4, 8]

    def test_one_configuration_counts_once(self):
        trials = tuple(Trial(n, "done", {"x": n % 2}, float(n), {}) for n in range(6))
        ranked = rankable_trials(StudyRecord("s", "", "v", "max", trials))
        assert [trial.number for trial in ranked] == [5, 4]


def test_runs_keep_no_weights(tmp_path):
    tune(crossing, tmp_path)
    found = audit(crossing, tmp_path, FULL, configurations=4)
    run = RunFolder(tmp_path / "study" / "audit" / f"{found.rows[0]['trial']:05d}")
    assert run.read_config()["training"]["keep_best"] == 0
    assert run.read_config()["seeds"] == []
