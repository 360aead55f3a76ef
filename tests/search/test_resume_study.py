"""A study goes on from its own folder: `tune STUDY` and `tune --resume STUDY`."""

import shutil
from pathlib import Path

import pytest

import tunewright
from tunewright.cli import main
from tunewright.errors import ConfigError, StudyError, TunewrightError, UsageError
from tunewright.runs.atomic import read_yaml
from tunewright.search.callbacks import StudyCallback

SPACE = {
    "inherit": False,
    "parameters": {
        "point.x": {"type": "float", "low": 2.0, "high": 4.0, "default": 3.5},
        "optim.lr": {"type": "float", "low": 1e-4, "high": 1e-1, "log": True},
    },
}
WORDS = ("executor.type=inline", "training.epochs=5", "point.y=-3", "study.final=false", "seed=7")


class Heard(StudyCallback):
    """Keeps the notices."""

    def __init__(self) -> None:
        self.notices: list[str] = []

    def notice(self, text: str) -> None:
        self.notices.append(text)


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Return a folder of runs with a study `own` of three trials, begun with much that is typed."""
    typed = (*WORDS, "study.pruner.type=median", "stages.explore.training.epochs=4")
    tunewright.tune("quadratic", *typed, space=SPACE, trials=3, name="own", runs_dir=tmp_path)
    return tmp_path


@pytest.mark.parametrize("named", ["own", "{runs}/own"])
@pytest.mark.parametrize("option", [False, True])
def test_it_goes_on_with_nothing_typed_again(runs: Path, named: str, option: bool) -> None:
    before, study = read_yaml(runs / "own/study.yaml"), named.format(runs=runs)
    watch = Heard()
    if option:
        found = tunewright.tune(resume=study, trials=5, runs_dir=runs, watch=watch)
    else:
        found = tunewright.tune(study, trials=5, runs_dir=runs, watch=watch)
    assert found.folder.path == runs / "own"
    assert [trial.number for trial in found.record.trials] == [0, 1, 2, 3, 4]
    assert {max(trial.curve) for trial in found.record.of_state("done")} == {4}
    assert all(set(trial.parameters) == {"point.x", "optim.lr"} for trial in found.record.trials)
    after = read_yaml(runs / "own/study.yaml")
    assert after["settings"] == before["settings"]
    assert after["configuration"]["study"].pop("trials") == 5
    assert before["configuration"]["study"].pop("trials") == 3
    assert before["configuration"]["study"].pop("name") == "own"
    assert after["configuration"]["study"].pop("name") == "own"
    assert after["configuration"] == before["configuration"]
    assert not [text for text in watch.notices if "changed" in text]


def test_a_folder_says_where_all_runs_are(
    runs: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    moved = Path(shutil.move(runs / "own", elsewhere / "own"))
    found = tunewright.tune(str(moved), trials=4)
    assert found.folder.path == moved
    assert len(found.record.trials) == 4


@pytest.mark.parametrize(
    "words",
    [["study.jobs=1"], ["executor.threads=1"], ["study.timeout=60"], ["training.keep_last=0"]],
)
def test_what_may_change_is_taken(runs: Path, words: list[str]) -> None:
    found = tunewright.tune("own", *words, trials=4, budget="10m", runs_dir=runs)
    key, _, value = words[0].partition("=")
    section, _, name = key.partition(".")
    assert str(read_yaml(runs / "own/study.yaml")["configuration"][section][name]).startswith(value)
    assert len(found.record.trials) == 4


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["training.clip_norm=2"], r"training\.clip_norm was 1\.0 and is now 2\.0.*--from own"),
        (["point.y=1"], r"point\.y was -3\.0 and is now 1\.0"),
        (["goal=val_score:min"], "goal"),
        (["study.seeds=2"], "1 seed"),
        (["quadratic"], "quadratic and --resume together"),
        (["--config-name", "x"], "config-name|option"),
    ],
)
def test_what_would_make_another_study_is_refused(
    runs: Path, words: list[str], expected: str
) -> None:
    before = (runs / "own/study.yaml").read_bytes()
    with pytest.raises(TunewrightError, match=expected):
        tunewright.tune("own", *words, runs_dir=runs)
    assert (runs / "own/study.yaml").read_bytes() == before


def test_another_name_is_refused_with_the_command_that_begins_a_study_there(runs: Path) -> None:
    with pytest.raises(UsageError, match=r"tunewright tune --from own --name NEW"):
        tunewright.tune("own", name="other", runs_dir=runs)
    begun = tunewright.tune(
        "training.clip_norm=2", from_="own", name="NEW", trials=1, runs_dir=runs
    )
    assert begun.record.name == "NEW"


def test_failed_trials_are_not_run_again_unless_asked(runs: Path) -> None:
    tunewright.tune("own", retry_failed=True, trials=3, runs_dir=runs)
    watch = Heard()
    tunewright.tune("own", trials=3, runs_dir=runs, watch=watch)
    assert "no trial has failed" not in watch.notices


def test_a_changed_space_is_rebased_as_ever(runs: Path) -> None:
    narrow = {"inherit": False, "parameters": {"point.x": {"low": 2.0, "high": 3.9}}}
    watch = Heard()
    found = tunewright.tune("own", space=narrow, trials=4, runs_dir=runs, watch=watch)
    assert any("the space has changed" in text for text in watch.notices)
    assert len(found.record.own) == 4


def test_a_plan_of_it(runs: Path) -> None:
    made = tunewright.plan("own", trials=9, runs_dir=runs)
    assert (made.study, made.begun, made.trials, made.epochs) == ("own", 3, 9, 4)


def test_a_study_of_a_function_goes_on_from_python(tmp_path: Path) -> None:
    def parabola(params, report):  # type: ignore[no-untyped-def]
        return params["x"] ** 2

    tunewright.tune(parabola, {"x": {"low": 0.0, "high": 1.0}}, trials=1, runs_dir=tmp_path)
    for words, named in ((["parabola"], None), ([], "parabola")):
        with pytest.raises(UsageError, match=r"Go on from Python: tunewright\.tune\(FUNCTION"):
            tunewright.tune(*words, resume=named, runs_dir=tmp_path)


def test_a_renamed_folder_and_a_lost_database_say_what_to_do(runs: Path) -> None:
    (runs / "own").rename(runs / "other")
    with pytest.raises(StudyError, match="Rename the folder back to own"):
        tunewright.tune("other", runs_dir=runs)
    (runs / "other").rename(runs / "own")
    (runs / "own/study.db").unlink()
    with pytest.raises(StudyError, match=r"Rebuild it: tunewright repair .*own"):
        tunewright.tune("own", runs_dir=runs)
    tunewright.repair("own", runs_dir=runs)
    assert len(tunewright.tune("own", trials=4, runs_dir=runs).record.trials) == 4


def test_a_misspelt_name(runs: Path) -> None:
    with pytest.raises(StudyError, match="Did you mean 'own'"):
        tunewright.tune(resume="onw", runs_dir=runs)
    with pytest.raises((ConfigError, UsageError), match="recipe 'onw'"):
        tunewright.tune("onw", runs_dir=runs)


def test_it_is_typed(
    runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["tune", "own", "--trials", "4", "--runs-dir", str(runs)]
    monkeypatch.setattr("sys.argv", ["tunewright", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    printed = capsys.readouterr().out
    assert f"tunewright tune --resume {runs / 'own'} --trials 8" in printed
