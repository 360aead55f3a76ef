"""`tune` in stages: explore, narrow, refine, train the winner; what was killed goes on."""

import math
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import tunewright
from tunewright.cli.output.results import print_tuned
from tunewright.cli.output.safe_console import SafeConsole
from tunewright.config.study_schema import RefineConfig, StudyConfig
from tunewright.errors import ConfigError, UsageError
from tunewright.result import to_json
from tunewright.runs.atomic import read_yaml
from tunewright.search.callbacks import StudyCallback
from tunewright.search.refine.trial_split import (
    describe_stages,
    share_out,
    split_trials,
    stage_seconds,
)
from tunewright.search.stages import TuneResult

SPACE: dict[str, Any] = {
    "lr": {"type": "float", "low": 1e-5, "high": 1e-1, "log": True},
    "dropout": {"type": "float", "low": 0.0, "high": 0.8},
}
ALL = "explore,refine,final"


def bowl(params: dict[str, Any], _report: Any) -> float:
    return -((math.log10(params["lr"]) + 3) ** 2) - (params["dropout"] - 0.3) ** 2


def hills(params: dict[str, Any], _report: Any) -> float:
    x, y = (math.log10(params["lr"]) + 5) / 4, params["dropout"] / 0.8
    tops = ((0.2, 0.2), (0.8, 0.8))
    return max(math.exp(-20 * ((x - a) ** 2 + (y - b) ** 2)) for a, b in tops)


class Heard(StudyCallback):
    """Keeps the notices."""

    def __init__(self) -> None:
        self.notices: list[str] = []

    def notice(self, text: str) -> None:
        self.notices.append(text)


def staged(runs: Path, function: Any = bowl, **given: Any) -> TuneResult:
    given = {"trials": 20, "stages": ALL, "name": "lt", **given}
    return tunewright.tune(
        function, SPACE, "executor.type=inline", "study.report=false", runs_dir=runs, **given
    )


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, TuneResult, list[str]]:
    """A study of 12 and 8 trials."""
    runs, heard = tmp_path_factory.mktemp("staged"), Heard()
    return runs, staged(runs, watch=heard), heard.notices


def test_the_second_search_is_a_study_in_the_narrowed_space(
    done: tuple[Path, TuneResult, list[str]],
) -> None:
    runs, result, _ = done
    first, second = result.stages
    assert [one.folder.path.name for one in result.stages] == ["lt", "lt-refine"]
    assert [len(one.record.own) for one in result.stages] == [12, 8]
    assert result.record.name == "lt-refine"
    assert first.record.best is not None
    assert second.record.best is not None
    assert (second.record.best.score or 0) >= (first.record.best.score or 0)
    before = read_yaml(runs / "lt/space.yaml")["parameters"]["lr"]
    after = read_yaml(runs / "lt-refine/space.yaml")["parameters"]["lr"]
    assert before["low"] < after["low"] < 1e-3 < after["high"] <= before["high"]
    written = read_yaml(runs / "lt/refine.yaml")["parameters"]["lr"]
    assert (written["low"], written["high"]) == (after["low"], after["high"])


def test_fitting_trials_are_carried_over(done: tuple[Path, TuneResult, list[str]]) -> None:
    _, result, _ = done
    _, second = result.stages
    carried = [trial for trial in second.record.trials if trial.imported_from]
    assert carried
    assert all(trial.imported_from.startswith("lt/") for trial in carried)
    best = result.stages[0].record.best
    assert best is not None
    assert f"lt/{best.number}" in [trial.imported_from for trial in carried]


def test_each_stage_is_announced_with_its_folder(
    done: tuple[Path, TuneResult, list[str]],
) -> None:
    runs, _, notices = done
    text = "\n".join(notices)
    assert "stages: 12 trials explore, as lt; 8 in the space that they leave" in text
    assert f"stage explore: 12 trials in {runs / 'lt'}" in text
    assert f"stage refine: 8 trials in {runs / 'lt-refine'}" in text
    assert "fall" in text or "lie in it" in text


def test_json_lists_the_stages(done: tuple[Path, TuneResult, list[str]]) -> None:
    found = to_json(done[1])
    assert [(one["study"], one["trials"]) for one in found["stages"]] == [
        ("lt", 12),
        ("lt-refine", 8),
    ]


def test_the_same_call_again_runs_nothing_twice(
    done: tuple[Path, TuneResult, list[str]],
) -> None:
    runs, result, _ = done
    heard = Heard()
    again = staged(runs, watch=heard)
    assert [len(one.record.own) for one in again.stages] == [12, 8]
    assert again.record.best == result.record.best
    assert any("was narrowed before: going on with lt-refine" in text for text in heard.notices)


@pytest.mark.slow
def test_more_trials_go_to_the_second_search(tmp_path: Path) -> None:
    staged(tmp_path, trials=20)
    longer = staged(tmp_path, trials=24)
    assert [len(one.record.own) for one in longer.stages] == [12, 12]


@pytest.mark.slow
def test_regions_are_studies_of_their_own(tmp_path: Path) -> None:
    result = staged(tmp_path, hills, trials=50, regions=2)
    assert [one.record.name for one in result.stages] == ["lt", "lt-refine-1", "lt-refine-2"]
    assert [len(one.record.own) for one in result.stages] == [30, 10, 10]
    files = sorted(path.name for path in (tmp_path / "lt").glob("refine*.yaml"))
    assert files == ["refine-1.yaml", "refine-2.yaml"]
    best = max(one.record.best.score for one in result.stages if one.record.best)
    assert result.record.best is not None
    assert result.record.best.score == best


POINTS: dict[str, Any] = {
    "inherit": False,
    "parameters": {
        "point.x": {"type": "float", "low": 0.0, "high": 5.0},
        "optim.lr": {"type": "float", "low": 1e-4, "high": 1e-1, "log": True},
    },
}
RECIPE = ("executor.type=inline", "training.epochs=1", "study.report=false")


def noisy_hills(params: dict[str, Any], _report: Any, seed: int) -> float:
    return hills(params, _report) + random.Random(f"{seed}/{params['lr']}").gauss(0, 0.02)


@pytest.mark.parametrize("regions", [1, 2])
def test_replicates_come_once_after_the_last_search(tmp_path: Path, regions: int) -> None:
    watch = Heard()
    found = tunewright.tune(
        noisy_hills, SPACE, "executor.type=inline", "study.report=false", "study.replicate=0.5",
        "study.refine.share=0.5", trials=24 * regions, stages=ALL, regions=regions, name="lt",
        runs_dir=tmp_path, watch=watch,
    )  # fmt: skip
    assert found.replication is not None
    assert found.folder.path.name.startswith("lt-refine")
    assert list(tmp_path.glob("*/replicates")) == [found.folder.path / "replicates"]
    assert sum(text.startswith("replicating the best") for text in watch.notices) == 1
    assert found.replication.affordable == 24 * regions  # half of all, with those of each stage


def recipe_call(runs: Path, command: Any = tunewright.tune, **given: Any) -> Any:
    given = {"trials": 20, "stages": ALL, "name": "q", "pruner": "none", **given}
    return command("quadratic", *RECIPE, space=POINTS, runs_dir=runs, **given)


def test_the_winner_is_trained_once_where_it_was_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = recipe_call(tmp_path, regions=2)
    assert result.final is not None
    finals = [path.parent.name for path in tmp_path.glob("*/final")]
    assert finals == [result.record.name]
    trained = (tmp_path / result.record.name / "final/outcome.json").stat().st_mtime_ns
    heard = Heard()
    again = tunewright.tune("q", runs_dir=tmp_path, watch=heard)  # by its name alone
    assert [one.record.name for one in again.stages] == [one.record.name for one in result.stages]
    assert again.record.best == result.record.best
    after = (tmp_path / result.record.name / "final/outcome.json").stat().st_mtime_ns
    assert after == trained
    print_tuned(SafeConsole(width=100, markup=False, highlight=False), again)
    shown = capsys.readouterr().out
    assert "stage q: 12 trials, best" in shown


def test_a_plan_says_how_trials_are_split(tmp_path: Path) -> None:
    plan = recipe_call(tmp_path, tunewright.plan)
    assert plan.trials == 20
    [line] = [text for text in plan.notices if text.startswith("stages:")]
    assert "12 trials explore, as q; 8 in the space that they leave, as q-refine" in line
    assert "then the winner in full" in line


def test_scores_that_say_nothing_are_refined_in_the_same_space(tmp_path: Path) -> None:
    heard = Heard()
    result = staged(tmp_path, lambda params, report: 1.0, trials=16, watch=heard)
    assert any(text.startswith("refining in the same space: all 10") for text in heard.notices)
    assert [len(one.record.own) for one in result.stages] == [10, 6]


def test_a_target_that_is_reached_ends_the_search(tmp_path: Path) -> None:
    result = tunewright.tune(
        bowl,
        SPACE,
        "executor.type=inline",
        "study.report=false",
        "study.target=-9.0",
        trials=20,
        stages=ALL,
        runs_dir=tmp_path,
    )
    assert [one.record.name for one in result.stages] == ["bowl"]


def test_without_refine_there_is_one_search(tmp_path: Path) -> None:
    result = staged(tmp_path, trials=4, stages=["explore"])
    assert result.stages == ()
    assert not (tmp_path / "lt-refine").exists()


@pytest.mark.parametrize("stages", ["refine,final", "final", "explore,explore", "explore,search"])
def test_an_unknown_order_is_refused(tmp_path: Path, stages: str) -> None:
    with pytest.raises(ConfigError, match=r"study\.stages"):
        staged(tmp_path, stages=stages)


def test_a_second_search_needs_a_space_and_a_sampler(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="suggests its own parameters"):
        tunewright.tune(lambda trial: trial.suggest_float("x", 0, 1), stages=ALL, runs_dir=tmp_path)
    grid = {"head": {"type": "categorical", "choices": ["a", "b"]}}
    with pytest.raises(UsageError, match="a grid"):
        tunewright.tune(bowl, grid, stages=ALL, sampler="grid", runs_dir=tmp_path)


@pytest.mark.parametrize(
    ("trials", "share", "regions", "explore", "refine"),
    [
        (100, 0.4, 1, 60, (40,)),
        (100, 0.4, 3, 60, (14, 13, 13)),
        (300, 0.5, 3, 150, (50, 50, 50)),
        (1, 0.4, 1, 1, (0,)),
        (2, 0.4, 1, 1, (1,)),
        (3, 0.9, 5, 1, (1, 1)),
    ],
)
def test_trials_are_split(
    trials: int, share: float, regions: int, explore: int, refine: tuple[int, ...]
) -> None:
    study = StudyConfig(trials=trials, refine=RefineConfig(share=share, regions=regions))
    split = split_trials(study)
    assert (split.explore, split.refine) == (explore, refine)


def test_the_time_is_split_with_room_for_the_final_training() -> None:
    study = StudyConfig(stages=("explore", "refine", "final"), budget=100.0)
    assert stage_seconds(study, 100.0, -1, 1) == pytest.approx(60.0)
    assert stage_seconds(study, 100.0, 0, 1) == pytest.approx(100.0)
    assert stage_seconds(study, 100.0, 1, 2) == pytest.approx(90.0)
    assert share_out(7, 3) == (3, 2, 2)
    [line] = describe_stages(study, "lt")
    assert "24 trials explore, as lt; 16 in the space" in line
    assert "60 s" in line


SCRIPT = """
import sys, time
sys.path.insert(0, {here!r})
import tunewright
from test_staged_search import SPACE, bowl

def slow(params, report):
    time.sleep(0.05)
    return bowl(params, report)

tunewright.tune(slow, SPACE, "executor.type=inline", "study.report=false", trials=30, name="lt",
                stages="explore,refine,final", runs_dir={runs!r})
print("done", flush=True)
"""


@pytest.mark.slow
def test_a_kill_at_each_stage_loses_nothing(tmp_path: Path) -> None:
    """Killed while it explores, and while it refines; the third call ends the job."""
    code = SCRIPT.format(here=str(Path(__file__).parent), runs=str(tmp_path))

    def start() -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", code],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def ended(study: str) -> int:
        return len(list((tmp_path / study / "trials").glob("*/outcome.json")))

    for study in ("lt", "lt-refine"):
        process, deadline = start(), time.monotonic() + 120
        while ended(study) < 5:
            assert process.poll() is None, process.communicate()[0]
            assert time.monotonic() < deadline
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    explored = {file: file.stat().st_mtime_ns for file in tmp_path.glob("lt/trials/*/outcome.json")}
    space = read_yaml(tmp_path / "lt/refine.yaml")
    process = start()
    printed, _ = process.communicate(timeout=180)
    assert process.returncode == 0, printed
    assert "going on with lt-refine" in printed
    assert (ended("lt"), ended("lt-refine")) == (18, 12)
    assert read_yaml(tmp_path / "lt/refine.yaml") == space
    again = {file: file.stat().st_mtime_ns for file in tmp_path.glob("lt/trials/*/outcome.json")}
    assert again == explored
