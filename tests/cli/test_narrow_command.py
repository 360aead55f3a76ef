"""`tunewright narrow` as it is typed, on studies of ours and of Optuna."""

import json
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages import RDBStorage
from optuna.trial import create_trial

import tunewright
from tunewright import cli
from tunewright.runs.atomic import read_yaml

SPACE: dict[str, Any] = {
    "inherit": False,
    "parameters": {
        "point.x": {"type": "float", "low": 0.0, "high": 5.0},
        "optim.lr": {"type": "float", "low": 1e-4, "high": 1e-1, "log": True},
    },
}
WORDS = ("executor.type=inline", "training.epochs=1", "study.final=false", "study.report=false")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a study `first` of 20 random trials."""
    folder = tmp_path_factory.mktemp("narrow")
    given: dict[str, Any] = {"trials": 20, "sampler": "random", "pruner": "none"}
    tunewright.tune("quadratic", *WORDS, space=SPACE, name="first", runs_dir=folder, **given)
    return folder


@pytest.fixture
def typed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Returns exit code, stdout and stderr of what is typed."""

    def run(*words: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["tunewright", *map(str, words)])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        out, err = capsys.readouterr()
        return int(caught.value.code or 0), out, err

    return run


def test_it_shows_what_is_cut_and_writes_nothing(runs: Path, typed: Any) -> None:
    before = {file: file.stat().st_mtime_ns for file in runs.rglob("*") if file.is_file()}
    code, out, _ = typed("narrow", runs / "first", "--wide")
    assert code == 0
    assert "point.x" in out
    assert "fall out, the best of them trial" in out
    assert "--write space2.yaml" in out
    after = {file: file.stat().st_mtime_ns for file in runs.rglob("*") if file.is_file()}
    assert after == before


def test_what_is_written_is_searched_as_it_stands(runs: Path, typed: Any, tmp_path: Path) -> None:
    file = tmp_path / "space2.yaml"
    code, out, _ = typed("narrow", runs / "first", "--write", file)
    assert code == 0
    command = next(line.strip() for line in out.splitlines() if "tunewright tune --from" in line)
    words = shlex.split(command)[1:]
    assert words[words.index("--space") + 1] == str(file)
    code, out, err = typed(*words, "--runs-dir", runs, "--trials", "2")
    assert code == 0, err
    stored = read_yaml(runs / "first-refine/space.yaml")["parameters"]
    written = read_yaml(file)["parameters"]
    assert stored["point.x"]["low"] == written["point.x"]["low"]
    assert "trials of first are imported" in out + err


def test_regions_are_files_with_fifty_trials_each(runs: Path, typed: Any, tmp_path: Path) -> None:
    code, out, _ = typed("narrow", runs / "first", "--regions", "2", "--write", tmp_path / "s.yaml")
    assert code == 0
    files = sorted(path.name for path in tmp_path.iterdir())
    assert files in (["s-1.yaml", "s-2.yaml"], ["s.yaml"])
    if len(files) == 2:
        assert out.count("--trials 50") == 2
        assert "--name first-refine-2" in out


def test_json_and_python_say_the_same(runs: Path, typed: Any) -> None:
    code, out, _ = typed("narrow", runs / "first", "--json")
    found = tunewright.analyze(runs / "first").narrow()
    assert code == 0
    assert json.loads(out) == json.loads(json.dumps(found.as_json()))
    called = tunewright.narrow(runs / "first")
    assert called.specification == found.specification


def test_the_space_of_the_study_itself_is_not_overwritten(runs: Path, typed: Any) -> None:
    code, _, err = typed("narrow", runs / "first", "--write", runs / "first/space.yaml")
    assert code == 2
    assert "the space of the study itself" in err


def test_a_study_of_optuna_is_read_with_its_conditions(
    typed: Any, tmp_path: Path, optuna_storage: Callable[[str], RDBStorage]
) -> None:
    import numpy as np

    url, rng = f"sqlite:///{tmp_path / 'optuna.db'}", np.random.default_rng(0)
    study = optuna.create_study(storage=optuna_storage(url), study_name="lr")
    kinds = CategoricalDistribution(("sgd", "adam"))
    for _ in range(26):
        kind, x = str(rng.choice(["sgd", "adam"])), float(rng.random())
        params: dict[str, Any] = {"x": x, "kind": kind}
        distributions: dict[str, Any] = {"x": FloatDistribution(0.0, 1.0), "kind": kinds}
        value = (x - 0.3) ** 2 + (kind == "sgd") + rng.normal(0, 0.01)
        if kind == "sgd":
            params["momentum"], distributions["momentum"] = 2, IntDistribution(1, 9)
        study.add_trial(create_trial(params=params, distributions=distributions, value=value))
    before = (tmp_path / "optuna.db").read_bytes()
    file = tmp_path / "next.yaml"
    code, out, err = typed("narrow", "--storage", url, "--study-name", "lr", "--write", file)
    assert code == 0, err
    assert (tmp_path / "optuna.db").read_bytes() == before
    found = read_yaml(file)["parameters"]
    assert found["kind"]["choices"] == ["adam"]
    assert "momentum" not in found
    assert found["x"]["low"] <= 0.3 <= found["x"]["high"] < 0.8
    assert "tune(function" in out
    space = tunewright.tune(
        lambda params, report: params["x"],
        file,
        "executor.type=inline",
        "study.report=false",
        trials=1,
        runs_dir=tmp_path,
    )
    assert set(space.record.trials[0].parameters) == {"x", "kind"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("narrow", "fist"), "no study 'fist'"),
        (("narrow", "first", "--keep", "2"), "--keep 2"),
        (("narrow", "first", "--metric", "val"), "--metric val"),
    ],
)
def test_what_cannot_be_is_refused(
    runs: Path, typed: Any, words: tuple[str, ...], message: str
) -> None:
    code, _, err = typed(*words, "--runs-dir", runs)
    assert code == 2
    assert message in err
