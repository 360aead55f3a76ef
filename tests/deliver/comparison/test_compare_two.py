"""Two studies or runs side by side: what differs, paired scores, what cannot be compared."""

import json
import re

import optuna
import pytest
from typer.testing import CliRunner

import tunewright
from tunewright import cli
from tunewright.errors import DataError, UsageError
from tunewright.runs.folder import RunFolder
from tunewright.runs.record import Outcome, Progress

X = {"x": {"type": "float", "low": 0.0, "high": 1.0, "default": 0.5}}
EVIL = "</script><img src=x onerror=alert(1)>"


def make_run(path, *, seed=None, score=0.8, goal="val_accuracy", evaluation=None, **config):
    """Write a run that ended: its configuration, outcome, curve and evaluation."""
    folder = RunFolder(path) if seed is None else RunFolder(path).by_seed(seed)
    folder.path.mkdir(parents=True, exist_ok=True)
    tree = {"recipe": "flowers", "goal": goal, "seeds": [], **config}
    if seed is not None:
        RunFolder(path).write_config(tree)
    folder.write_config(tree)
    attempt = folder.begin_attempt()
    ends = (score - 0.05, score + 0.05)
    folder.write_outcome(
        Outcome("done", attempt, best_step=2, metrics={goal: score}, seconds=9.0, interval=ends)
    )
    lines = [Progress(attempt, step, {goal: score - 0.1 / step}, float(step)) for step in (1, 2)]
    folder.progress.write_text("".join(json.dumps(vars(line)) + "\n" for line in lines))
    if evaluation is not None:
        (folder.path / "evaluation.json").write_text(json.dumps(evaluation))
    return path


def evaluation(recalls, **others):
    rows = [
        {"class": name, "name": name, "recall": value, "recall_interval": [value - 0.1, value]}
        for name, value in recalls.items()
    ]
    mean = sum(recalls.values()) / len(recalls)
    return {
        "split": "test",
        "images": 80,
        "classes": len(rows),
        "metrics": {"accuracy": mean, "loss": 1.0 - mean},
        "accuracy_interval": [mean - 0.05, mean + 0.05],
        "per_class": rows,
        **others,
    }


def row(found, of, metric=None):
    return next(r for r in found.scores if r.of == of and metric in (None, r.metric))


def test_runs_with_equal_seeds_are_paired(tmp_path):
    for seed, noise in ((1, 0.0), (2, 0.2), (3, -0.2)):
        make_run(tmp_path / "a", seed=seed, score=0.5 + noise, optim={"lr": 0.1})
        make_run(tmp_path / "b", seed=seed, score=0.55 + noise + seed / 1000, optim={"lr": 0.2})
    found = tunewright.compare("a", "b", runs_dir=tmp_path)
    score = row(found, "training")
    assert score.method == "paired over 3 seeds"
    assert score.value == pytest.approx(0.052)
    assert score.verdict == "better"
    assert ("optim.lr", 0.1, 0.2) in found.configuration


def test_other_seeds_are_not_paired(tmp_path):
    for seed in (1, 2):
        make_run(tmp_path / "a", seed=seed, score=0.5 + seed / 10)
        make_run(tmp_path / "b", seed=seed + 5, score=0.5 + seed / 10)
    score = row(tunewright.compare("a", "b", runs_dir=tmp_path), "training")
    assert score.method == "unpaired, 2 and 2 seeds"
    assert score.verdict == "tied"


def test_evaluations_of_one_split_are_compared_class_by_class(tmp_path):
    first = evaluation({"rose": 0.5, "poppy": 0.9, "tulip": 0.7})
    second = evaluation({"tulip": 0.75, "rose": 0.8, "poppy": 0.95})
    make_run(tmp_path / "a", evaluation=first)
    make_run(tmp_path / "b", evaluation=second)
    found = tunewright.compare("a", "b", runs_dir=tmp_path)
    assert row(found, "test", "mean recall").method.startswith("paired over 3 classes")
    assert row(found, "test", "accuracy").verdict == "better"
    assert row(found, "test", "loss").direction == "min"
    assert {r.of: r.verdict for r in found.rows}["rose"] == "better"
    assert any("unpaired" in note for note in found.notes)


def test_pictures_are_paired_by_name(tmp_path):
    def pictures(shift):
        rows = [
            {"name": f"{n}.png", "psnr": 30.0 + 3 * n + shift * (1 + n / 50), "bpp": 0.5 + n / 10}
            for n in range(6)
        ]
        mean = sum(r["psnr"] for r in rows) / 6
        return {"split": "kodak", "images": 6, "metrics": {"psnr": mean}, "per_image": rows}

    make_run(tmp_path / "a", evaluation=pictures(0.0))
    make_run(tmp_path / "b", evaluation=pictures(0.2))
    found = tunewright.compare("a", "b", runs_dir=tmp_path)
    assert row(found, "kodak", "psnr").method == "paired over 6 pictures"
    assert row(found, "kodak", "psnr").verdict == "better"
    assert row(found, "kodak", "bpp").verdict == "tied"


def test_other_data_are_said_and_not_subtracted(tmp_path):
    make_run(tmp_path / "a", evaluation=evaluation({"x": 0.5, "y": 0.6}), data={"dir": "one"})
    make_run(tmp_path / "b", evaluation=evaluation({"x": 0.7, "y": 0.9}), data={"dir": "two"})
    found = tunewright.compare("a", "b", runs_dir=tmp_path)
    assert [score.value for score in found.scores] == [None] * len(found.scores)
    assert any("the data differ (data.dir)" in note for note in found.notes)
    assert not found.rows


def test_another_split_is_said_and_measured_again_is_compared(tmp_path):
    make_run(tmp_path / "a", evaluation=evaluation({"x": 0.5, "y": 0.6}))
    make_run(tmp_path / "b", evaluation=evaluation({"x": 0.7, "y": 0.9}, split="valid"))
    found = tunewright.compare("a", "b", runs_dir=tmp_path)
    assert row(found, "training").value is not None
    assert any("a on test, b on valid" in note and "--data FOLDER" in note for note in found.notes)
    for name, recall in (("a", 0.5), ("b", 0.8)):
        folder = evaluation({"x": recall, "y": recall}, split="extra", data="/extra")
        (tmp_path / name / "evaluation-extra.json").write_text(json.dumps(folder))
    found = tunewright.compare("a", "b", runs_dir=tmp_path)
    assert row(found, "extra", "accuracy").verdict == "better"
    assert not any("--data FOLDER" in note for note in found.notes)


def test_a_loss_of_other_weights_is_not_compared(tmp_path):
    make_run(tmp_path / "a", goal="val_loss", loss={"lmbda": 0.01})
    make_run(tmp_path / "b", goal="val_loss", loss={"lmbda": 0.1})
    found = tunewright.compare("a", "b", runs_dir=tmp_path)
    assert row(found, "training").value is None
    assert any("the goal is the loss itself" in note for note in found.notes)


@pytest.fixture(scope="module")
def studies(tmp_path_factory):
    """Two studies of a function; the second has another choice and one more parameter."""
    runs = tmp_path_factory.mktemp("studies")

    def parabola(params, report):
        return -((params["x"] - 0.3) ** 2)

    options = ("executor.type=inline", "study.pruner.type=none", "study.report=false")
    common = {"goal": "value:max", "runs_dir": runs}
    tunewright.tune(parabola, X, *options, name="one", trials=4, **common)
    other = {**X, "x": {**X["x"], "high": 2.0}, "z": {"type": "int", "low": 1, "high": 3}}
    tunewright.tune(parabola, other, *options, name="two", trials=6, **common)
    tunewright.tune(
        parabola, X, *options, name="falling", trials=2, goal="value:min", runs_dir=runs
    )
    return runs


def test_studies_show_their_spaces_and_searches(studies):
    found = tunewright.compare("one", "two", runs_dir=studies)
    assert [name for name, _, _ in found.space] == ["x", "z"]
    assert ("z", None, "1 .. 3") in found.space
    assert [len(points) > 0 for points in found.by_trial] == [True, True]
    assert row(found, "best of the first 4 trials").first == row(found, "best trial").first
    assert any("each search ran once" in note for note in found.notes)


def test_equal_configurations_of_two_studies_are_paired(tmp_path, optuna_storage):
    url = f"sqlite:///{tmp_path}/both.db"
    storage = optuna_storage(url)
    for name, shift in (("one", 0.0), ("two", 0.3)):
        study = optuna.create_study(storage=storage, study_name=name, direction="maximize")
        for x in (0.1, 0.2, 0.3, 0.4):
            study.enqueue_trial({"x": x})
        study.optimize(lambda t, s=shift: t.suggest_float("x", 0, 1) * (1 + s) + s, n_trials=4)
    found = tunewright.compare(f"{url}#one", f"{tmp_path}/both.db#two")
    score = row(found, "trials of equal parameters")
    assert score.method == "paired over 4 configurations"
    assert score.verdict == "better"


def test_goals_kinds_and_recipes_must_be_the_same(studies, tmp_path):
    with pytest.raises(UsageError, match=r"value:max, that of falling value:min.*one goal"):
        tunewright.compare("one", "falling", runs_dir=studies)
    make_run(tmp_path / "run")
    with pytest.raises(UsageError, match="two studies or two runs"):
        tunewright.compare(studies / "one", tmp_path / "run")
    make_run(tmp_path / "other", recipe="longtail")
    with pytest.raises(UsageError, match=r"of the recipe flowers.*tunewright report"):
        tunewright.compare(tmp_path / "run", tmp_path / "other")
    with pytest.raises(DataError, match="Did you mean 'one'"):
        tunewright.compare("oen", "two", runs_dir=studies)


def test_the_number_of_names_and_options_of_codecs(studies, tmp_path):
    with pytest.raises(UsageError, match="3 names: expected two studies or two runs, or --data"):
        tunewright.compare("one", "two", "falling", runs_dir=studies)
    with pytest.raises(UsageError, match="--anchor without --data"):
        tunewright.compare("one", "two", anchor="WebP", runs_dir=studies)
    with pytest.raises(UsageError, match=r"ends in \.html"):
        tunewright.compare("one", "two", output=tmp_path / "c.pdf", runs_dir=studies)


def test_a_page_is_written_and_escapes_names(tmp_path):
    make_run(tmp_path / "a", evaluation=evaluation({EVIL: 0.5, "poppy": 0.9}), note=EVIL)
    make_run(tmp_path / "b", evaluation=evaluation({EVIL: 0.9, "poppy": 0.95}))
    found = tunewright.compare("a", "b", output=tmp_path / "c.html", runs_dir=tmp_path)
    text = found.file.read_text()
    assert "<img src=x" not in text
    assert "recall by class" in text
    for chart in re.findall(r'type="application/json"[^>]*>(.*?)</script>', text, re.S):
        json.loads(chart)


def test_the_command_prints_and_prints_json(studies):
    words = ["compare", "one", "two", "--runs-dir", str(studies)]
    shown = CliRunner().invoke(cli.app, words)
    assert shown.exit_code == 0
    assert "best of the" in shown.output
    printed = CliRunner().invoke(cli.app, [*words, "--json"])
    assert json.loads(printed.output)["goal"] == "value"
