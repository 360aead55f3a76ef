"""`train STUDY --trial N`: a chosen trial in full."""

from pathlib import Path

import pytest

import tunewright
from tunewright.cli import main
from tunewright.errors import DataError, StudyError, TunewrightError, UsageError
from tunewright.runs.atomic import read_yaml
from tunewright.runs.folder import StudyFolder
from tunewright.search.callbacks import StudyCallback

INLINE = "executor.type=inline"
TYPED = (INLINE, "training.epochs=5", "stages.explore.training.epochs=3", "study.final=false")


class Heard(StudyCallback):
    """Keeps the notices."""

    def __init__(self) -> None:
        self.notices: list[str] = []

    def notice(self, text: str) -> None:
        self.notices.append(text)


@pytest.fixture
def study(tmp_path: Path) -> StudyFolder:
    """Return a study `own` of three trials of three epochs; five in full."""
    space = {
        "parameters": {"point.y": {"type": "float", "low": -5.0, "high": 5.0}},
        "derived": {"point.x": "point.y / 2"},
    }
    words = ("quadratic", *TYPED)
    return tunewright.tune(*words, space=space, trials=3, name="own", runs_dir=tmp_path).folder


@pytest.mark.parametrize("named", ["own", "{runs}/own"])
def test_a_chosen_trial_is_trained_in_full(study: StudyFolder, named: str) -> None:
    runs, heard = study.path.parent, Heard()
    words = (named.format(runs=runs), INLINE)
    found = tunewright.train(*words, trial=2, runs_dir=runs, watch=heard)
    [folder] = found.folders
    assert folder.path == runs / "own-trial-2"
    full, searched = folder.read_config(), study.trial(2).read_config()
    assert full["point"] == searched["point"]
    assert (searched["training"]["epochs"], full["training"]["epochs"]) == (3, 5)
    assert found.outcomes[0].best_step == 5
    [notice] = [text for text in heard.notices if "in full" in text]
    assert notice.startswith("trial 2 of 'own' (")
    again = tunewright.train(*words, trial=2, runs_dir=runs)
    assert again.folders[0].path == folder.path
    other = tunewright.train(*words, "training.epochs=6", trial=2, runs_dir=runs)
    assert other.folders[0].path == runs / "own-trial-2-2"
    assert other.folders[0].read_config()["training"]["epochs"] == 6
    named_run = tunewright.train(*words, "seeds=[1,2]", trial=2, name="two", runs_dir=runs)
    assert [place.path for place in named_run.folders] == [
        runs / "two/seed-1",
        runs / "two/seed-2",
    ]


def test_it_is_the_configuration_that_the_best_one_would_have(study: StudyFolder) -> None:
    runs = study.path.parent
    best = tunewright.analyze("own", runs_dir=runs).record.best
    assert best is not None
    found = tunewright.train("own", INLINE, trial=best.number, runs_dir=runs)
    wanted = read_yaml(study.best_config)
    assert found.folders[0].read_config() == wanted


@pytest.mark.parametrize(
    ("words", "options", "kind", "expected"),
    [
        (["own"], {"trial": 9}, StudyError, "no trial 9: expected a number from 0 to 2"),
        ([], {"trial": 1}, UsageError, "tunewright train STUDY --trial 1"),
        (["quadratic"], {"trial": 1}, UsageError, "--trial 1 without a study"),
        (["own", "quadratic"], {"trial": 1}, UsageError, "quadratic"),
        ([], {"trial": 1, "resume": "own"}, UsageError, "--resume own with another"),
        (["own", "point.z=1"], {"trial": 1}, TunewrightError, "point.z"),
    ],
)
def test_what_is_no_trial_is_refused(
    study: StudyFolder,
    words: list[str],
    options: dict[str, object],
    kind: type[TunewrightError],
    expected: str,
) -> None:
    with pytest.raises(kind, match=expected):
        tunewright.train(*words, runs_dir=study.path.parent, **options)  # type: ignore[arg-type]


def test_a_trial_whose_folder_is_gone(study: StudyFolder) -> None:
    study.trial(1).config.unlink()
    with pytest.raises(DataError, match=r"00001 holds no config\.yaml"):
        tunewright.train("own", trial=1, runs_dir=study.path.parent)


def test_it_is_typed(
    study: StudyFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train", "own", "--trial", "1", INLINE, "--runs-dir", str(study.path.parent)]
    monkeypatch.setattr("sys.argv", ["tunewright", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    printed = capsys.readouterr()
    assert "own-trial-1" in printed.out
