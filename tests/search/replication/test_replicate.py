"""Replicates of the best configurations: through the loop, stored, resumed, shown."""

import json
import random
from pathlib import Path

import pytest
from rich.console import Console

import tunewright
from tunewright.cli import main
from tunewright.cli.output.results import print_tuned
from tunewright.errors import ConfigError
from tunewright.runs.record import StudyRecord, Trial
from tunewright.search.callbacks import StudyCallback, StudyProgress
from tunewright.search.read_study import read_study
from tunewright.search.replication.arms import count_trainings, pick_arms
from tunewright.search.signals import Interrupted

SPACE = {"x": {"type": "float", "low": 0.0, "high": 1.0, "default": 0.05}}
CHEAP = (
    "executor.type=inline",
    "study.pruner.type=none",
    "study.report=false",
    "study.sampler.type=random",
)
NOISE = 0.3


def noisy(params, report, seed):
    """The best x is .7; the search's own seed is 42."""
    for step in (1, 2):
        report(step, params["x"])
    chance = random.Random(f"0/{seed}/{params['x']:.9f}")
    return {"value": -abs(params["x"] - 0.7) + chance.gauss(0, NOISE), "size_mib": params["x"]}


def without_seed(params, report):
    return params["x"]


def breaks_by_new_seeds(params, report, seed):
    if seed >= 1042 and params["x"] > 0.5:
        raise MemoryError
    return params["x"]


class Listener(StudyCallback):
    """Keeps what a study said."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.progress: list[StudyProgress] = []

    def notice(self, text: str) -> None:
        self.said.append(text)

    def on_progress(self, progress: StudyProgress) -> None:
        self.progress.append(progress)

    @property
    def text(self) -> str:
        return "\n".join(self.said)


def search(folder: Path, function=noisy, *words: str, trials: int = 12, watch=None, **rest):
    share = () if any("replicate=" in word for word in words) else ("study.replicate=0.5",)
    return tunewright.tune(
        function,
        SPACE,
        *CHEAP,
        *share,
        *words,
        steps=2,
        trials=trials,
        name="noise",
        runs_dir=folder,
        watch=watch or Listener(),
        **rest,
    )


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory):
    """A study whose best score is luck, and what it said."""
    watch = Listener()
    return search(tmp_path_factory.mktemp("runs"), watch=watch), watch


def test_the_best_and_the_defaults_are_trained_again_with_new_seeds(study) -> None:
    found, _ = study
    ranked = [trial.number for trial in found.record.rank_trials()]
    arms = [arm.trial for arm in found.replication.arms]
    assert arms == [*ranked[:4], 0]  # trial 0 has the defaults
    assert [arm.is_default for arm in found.replication.arms] == [False] * 4 + [True]
    for arm in found.replication.arms:
        assert len(arm.scores) >= 2
        assert min(map(int, arm.scores)) == 1042
        for seed, score in arm.scores.items():
            run = found.folder.replicate(arm.trial, int(seed))
            assert run.read_config()["seed"] == int(seed)
            assert run.read_config()["params"] == found.record.trials[arm.trial].parameters
            assert run.read_outcome().metrics["value"] == score


def test_replicates_are_no_trials_and_within_the_share(study) -> None:
    found, _ = study
    assert len(found.record.trials) == 12
    assert found.folder.trial_numbers == set(range(12))
    assert found.replication.spent <= found.replication.affordable == 12  # half of all trainings
    assert len(list(found.folder.path.glob("replicates/*/seed-*"))) == found.replication.spent


def test_files_commands_and_json_are_about_the_winner(study) -> None:
    found, watch = study
    winner = found.record.trials[found.replication.winner]
    assert found.winner is winner is found.record.winner
    assert found.as_json()["best"]["number"] == winner.number
    assert found.as_json()["replication"]["winner"] == winner.number
    best = json.loads(found.folder.best_results.read_text())
    assert best["trial"] == winner.number
    arm = found.replication.arm(winner.number)
    assert best["replicated"]["interval"] == [arm.low, arm.high]
    assert f"x: {winner.parameters['x']}" in found.folder.best_config.read_text()
    summary = json.loads(found.folder.summary.read_text())
    assert (summary["winner"], summary["best_trial"]) == (winner.number, found.record.best.number)
    assert f"winner: trial {winner.number}" in watch.text
    assert "study.replicate=0.5 of all (0 switches it off)" in watch.text
    shown = tunewright.analyze(found.folder.path)
    assert shown.winner == winner
    assert shown.overview.best["trial"] == winner.number
    assert shown.overview.replication == found.replication
    assert shown.as_json()["replication"]["optimism"] is not None


def test_a_winner_that_is_not_the_best_score_is_found_by_its_replicate(study) -> None:
    """Without a final training: the weights of its own trial went when it was beaten."""
    found, _ = study
    assert found.winner != found.record.best, "the case of this study"
    run = found.folder.replicate(found.winner.number, 1042)
    assert found.winner_run == run
    best = json.loads(found.folder.best_results.read_text())
    assert found.folder.best_run(best) == run
    assert found.folder.best_run({"trial": 3}) == found.folder.trial(3)  # of an older version
    assert found.folder.best_run({"trial": 3, "run": "../../x"}) == found.folder.trial(3)


def test_analyze_and_tune_print_the_winner_and_its_ties(study, capsys, monkeypatch) -> None:
    found, _ = study
    monkeypatch.setattr("sys.argv", ["tunewright", "analyze", str(found.folder.path)])
    with pytest.raises(SystemExit) as caught:
        main()
    assert not caught.value.code
    analyzed = " ".join(capsys.readouterr().out.split())
    print_tuned(Console(width=200), found)
    tuned = " ".join(capsys.readouterr().out.split())
    for printed in (analyzed, tuned):
        assert f"winner: trial {found.winner.number}, value = " in printed
        assert "the best score of the search was" in printed
        assert f"tied: the replicates do not tell trial {found.winner.number} from" in printed
    assert "best: trial" not in analyzed  # the search's best is another trial than the winner


def test_a_notebook_shows_the_winner_of_the_replicates(study) -> None:
    found, _ = study
    for page in (found._repr_html_(), tunewright.analyze(found.folder.path)._repr_html_()):
        assert f"winner: trial {found.winner.number}, value = " in page
        assert f"<td style='text-align: left'>{found.winner.parameters['x']:.5g}</td>" in page


def test_progress_counts_replicates_with_the_time_left(study) -> None:
    _, watch = study
    seen = [one for one in watch.progress if one.stage == "replicate"]
    assert seen[-1].unit == "replicates"
    assert [one.ended for one in seen] == sorted(one.ended for one in seen)
    assert all(one.left_seconds is not None and one.at_most for one in seen)
    assert seen[0].live


def test_the_same_command_again_runs_nothing_and_says_the_same(study, tmp_path: Path) -> None:
    first, _ = study
    runs = first.folder.path.parent
    before = {p: p.stat().st_mtime_ns for p in first.folder.path.glob("replicates/*/*/*")}
    again = search(runs)
    assert again.replication == first.replication
    assert {p: p.stat().st_mtime_ns for p in first.folder.path.glob("replicates/*/*/*")} == before


def test_a_study_without_the_stored_file_reads_as_before(study, tmp_path: Path) -> None:
    """As one of an older version, or one whose file is damaged."""
    found, _ = study
    stored = found.folder.replication.read_text()
    try:
        found.folder.replication.write_text("{")
        shown = read_study(str(found.folder.path))
        assert shown.record.winner == shown.record.best
        assert "replication" not in shown.as_json()
        found.folder.replication.unlink()
        assert read_study(str(found.folder.path)).record.winner == shown.record.best
    finally:
        found.folder.replication.write_text(stored)


def test_more_trials_race_again_with_what_has_run(tmp_path: Path) -> None:
    first = search(tmp_path)
    ran = set(first.folder.path.glob("replicates/*/seed-*"))
    watch = Listener()
    more = search(tmp_path, trials=16, watch=watch)
    assert len(more.record.trials) == 16
    assert ran <= set(more.folder.path.glob("replicates/*/seed-*"))
    assert more.record.best.number in {arm.trial for arm in more.replication.arms}


def test_switched_off_nothing_runs_and_the_best_score_wins(tmp_path: Path) -> None:
    watch = Listener()
    found = search(tmp_path, noisy, "study.replicate=0", watch=watch)
    assert found.replication is None
    assert found.winner == found.record.best
    assert not (found.folder.path / "replicates").exists()
    assert "replicat" not in watch.text
    on = search(tmp_path)
    assert on.replication is not None
    off = search(tmp_path, noisy, "study.replicate=0")  # what is stored does not count then
    assert off.replication is None
    assert off.winner == off.record.best


@pytest.mark.parametrize(("trials", "why"), [(1, "only one configuration"), (3, "pays for 0")])
def test_a_cheap_study_says_why_nothing_is_replicated(
    tmp_path: Path, trials: int, why: str
) -> None:
    watch = Listener()
    found = search(tmp_path, noisy, "study.replicate=0.15", trials=trials, watch=watch)
    assert found.replication is None
    assert why in watch.text
    if trials == 3:
        assert "study.replicate=0.67 would do" in watch.text
        worked = search(tmp_path, noisy, "study.replicate=0.67", trials=trials)
        assert worked.replication is not None


def test_a_function_without_a_seed_is_said_to_repeat(tmp_path: Path) -> None:
    watch = Listener()
    found = search(tmp_path, without_seed, watch=watch)
    assert "no parameter named seed" in watch.text
    assert found.replication.repeats
    assert found.winner == found.record.best  # without chance, the best is the best
    assert len(found.replication.arm(found.winner.number).scores) == 3


def test_a_configuration_that_fails_with_a_new_seed_is_out(tmp_path: Path) -> None:
    watch = Listener()
    found = search(tmp_path, breaks_by_new_seeds, watch=watch)
    out = {arm.trial for arm in found.replication.arms if arm.failure}
    assert out
    assert found.winner.number not in out
    assert "is out of the race: seed 1042" in watch.text
    assert all(x > 0.5 for x in (found.record.trials[n].parameters["x"] for n in out))


def test_the_cheapest_of_those_tied_is_preferred(tmp_path: Path) -> None:
    found = search(tmp_path, noisy, "study.prefer=size_mib")
    said = found.replication
    assert len(said.tied) > 1
    sizes = {trial: said.arm(trial).costs["size_mib"] for trial in said.tied}
    assert found.winner.number == min(sizes, key=lambda trial: sizes[trial])
    assert said.preferred == "size_mib"


def test_a_preference_that_no_run_measures_or_nothing_follows_is_told(tmp_path: Path) -> None:
    watch = Listener()
    found = search(tmp_path, noisy, "study.prefer=latency_ms", watch=watch)
    winner = found.winner.number  # its replicates alone take the time to measure it
    assert found.folder.replicate(winner, 1042).read_config()["training"]["latency"] is True
    assert found.folder.trial(winner).read_config()["training"]["latency"] is False
    assert "study.prefer=latency_ms decides nothing" in watch.text
    with pytest.raises(ConfigError, match=r"study.prefer=seconds with study.replicate=0"):
        search(tmp_path / "b", noisy, "study.prefer=seconds", "study.replicate=0")
    with pytest.raises(ConfigError, match="'latency_ms', 'size_mib' or 'seconds'"):
        search(tmp_path / "c", noisy, "study.prefer=price")


def test_an_objective_that_names_its_parameters_is_replicated_with_its_values(
    tmp_path: Path,
) -> None:
    seen = []

    def objective(trial, seed):
        x = trial.suggest_float("x", 0.0, 1.0)
        seen.append((seed, x))
        trial.report(x, 1)
        trial.should_prune()
        return x + random.Random(f"{seed}/{x}").gauss(0, 0.05)

    found = tunewright.tune(
        objective,
        *CHEAP,
        "study.replicate=0.5",
        steps=2,
        trials=10,
        name="objective",
        runs_dir=tmp_path,
        watch=Listener(),
    )
    for arm in found.replication.arms:
        x = found.record.trials[arm.trial].parameters["x"]
        assert {(int(seed), x) for seed in arm.scores} <= set(seen)


def test_an_interruption_while_replicates_run_resumes_them(tmp_path: Path) -> None:
    calls = []

    def stops(params, report, seed):
        calls.append(seed)
        if seed >= 1042 and calls.count(1042) == 2 and "stopped" not in calls:
            calls.append("stopped")
            raise KeyboardInterrupt
        return noisy(params, report, seed)

    with pytest.raises(Interrupted, match="the search of 'noise' is complete"):
        search(tmp_path, stops)
    trials = calls.count(42)
    done = len([c for c in calls if c != 42 and c != "stopped"]) - 1
    found = search(tmp_path, stops)
    assert calls.count(42) == trials == 12, "a trial was trained again"
    again = len([c for c in calls if c not in (42, "stopped")]) - 1
    assert again == found.replication.spent > done >= 1
    whole = search(tmp_path / "whole")
    assert {a.trial: a.scores for a in whole.replication.arms} == {
        a.trial: a.scores for a in found.replication.arms
    }


def test_the_arms_are_the_best_by_score_and_defaults_that_were_pruned() -> None:
    trials = [Trial(0, "pruned", {}, None, {1: 0.1})]
    trials += [Trial(n, "done", {}, n / 10, {2: 0.5}) for n in range(1, 9)]
    record = StudyRecord("s", "longtail", "acc", "max", tuple(trials))
    picked = pick_arms(record, trials[0], 12)
    assert [arm.trial for arm in picked] == [8, 7, 6, 5, 0]
    assert [arm.among_best for arm in picked] == [True] * 4 + [False]
    assert picked[-1].is_default
    among = pick_arms(record, trials[7], 12)
    assert [arm.trial for arm in among] == [8, 7, 6, 5, 4]
    assert [arm.is_default for arm in among] == [False, True, False, False, False]
    assert [arm.trial for arm in pick_arms(record, None, 6)] == [8, 7, 6]
    assert pick_arms(record, None, 5) == []


def test_trainings_are_counted_by_their_epochs_and_seeds() -> None:
    trials = (
        Trial(0, "done", {}, 0.5, {4: 0.5}),
        Trial(1, "pruned", {}, None, {1: 0.5}),
        Trial(2, "failed", {}, None, {}),
        Trial(3, "done", {}, 0.5, {4: 0.5}, seeds={"42": 0.4, "43": 0.6}),
        Trial(4, "done", {}, 0.5, {}, imported_from="other/1"),
    )
    record = StudyRecord("s", "longtail", "acc", "max", trials)
    assert count_trainings(record, 4) == pytest.approx(3.25)
    # A function that reports when it likes: a whole one is as long as those that finished.
    assert count_trainings(record, 1_000_000) == pytest.approx(3.25)
