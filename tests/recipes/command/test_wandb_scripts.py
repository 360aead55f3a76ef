"""Scripts that log to W&B, and sweep files that name them: real processes, no package of W&B."""

import os
import sys
from pathlib import Path

import pytest
import yaml

import tunewright
from tunewright.recipes.command.config import MetricsConfig
from tunewright.recipes.command.metrics.reader import ReaderContext
from tunewright.recipes.command.metrics.readers import make_readers
from tunewright.recipes.command.metrics.wandb_runs import OfflineReader
from tunewright.runs.progress import read_progress
from wandb_log import history, item, log_of, text

SCRIPT = """
import sys, time
import wandb

def main():
    wandb.init(project="demo", config={"lr": 9.0, "width": 3})
    config = wandb.config
    assert config.width == 3 and config.optimizer["beta"] == config.optimizer.beta
    wandb.define_metric("val_loss", summary="min")
    for step in range(config.steps):
        wandb.log({"picture": wandb.Image("x"), "train": {"loss": 1.0}}, commit=False)
        wandb.log({"val_loss": config.lr + 0.1 * abs(step - 3)})
        time.sleep(0.05)
    wandb.summary["size"] = 7
    wandb.finish()

if __name__ == "__main__":
    main()
"""
ARGUMENTS = """
import argparse
parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float)
parser.add_argument("--steps", type=int)
parser.add_argument("--optimizer.beta", type=float, dest="beta")
args = parser.parse_args()
for step in range(args.steps):
    print(f"epoch={step} val_loss={args.lr + args.beta}", flush=True)
"""
SWEEP = {
    "program": "train.py",
    "method": "random",
    "metric": {"name": "val_loss", "goal": "minimize"},
    "run_cap": 3,
    "parameters": {
        "lr": {"distribution": "log_uniform_values", "min": 1e-4, "max": 1.0},
        "steps": {"value": 6},
        "optimizer": {"parameters": {"beta": {"min": 0.0, "max": 1.0}}},
    },
}


def run(folder, script, *words, sweep=SWEEP, **options):
    (folder / "train.py").write_text(script)
    file = folder / "sweep.yaml"
    command = [sys.executable, "${program}", *sweep.get("command", [])]
    file.write_text(yaml.safe_dump({**sweep, "command": command}))
    options = {"name": "study", "jobs": 2, "runs_dir": folder / "runs", **options}
    return tunewright.tune("command", f"script.directory={folder}", *words, space=file, **options)


def test_a_script_that_logs_to_wandb_runs_unchanged(tmp_path):
    tuned = run(tmp_path, SCRIPT)
    assert [trial.state for trial in tuned.record.trials] == ["done"] * 3
    for trial in tuned.record.trials:
        assert list(trial.parameters) == ["lr", "optimizer.beta"]
        assert set(trial.curve) == set(range(6))
        assert trial.score == trial.curve[3] == pytest.approx(trial.parameters["lr"])
        assert trial.metrics == {"train.loss": 1.0, "size": 7.0}
    config = tuned.folder.trial(0).read_config()
    assert config["params"]["steps"] == 6
    assert config["script"]["program"] == "train.py"


def test_what_is_logged_arrives_while_the_script_runs_and_prunes(tmp_path):
    early = {"type": "hyperband", "min_iter": 1, "eta": 2}
    sweep = {**SWEEP, "early_terminate": early, "run_cap": 8}
    sweep["parameters"] = {**SWEEP["parameters"], "steps": {"value": 40}}
    tuned = run(tmp_path, SCRIPT, sweep=sweep)
    pruned = tuned.record.of_state("pruned")
    assert pruned
    assert all(max(trial.curve) < 39 for trial in pruned)


def test_a_sweep_whose_script_reads_its_arguments(tmp_path):
    tuned = run(tmp_path, ARGUMENTS, sweep={**SWEEP, "command": ["${args}"]})
    for trial in tuned.record.trials:
        assert trial.score == pytest.approx(
            trial.parameters["lr"] + trial.parameters["optimizer.beta"]
        )
    [line] = [x for x in tuned.folder.trial(0).log.read_text().splitlines() if x.startswith("$")]
    assert "--steps=6" in line
    assert "--optimizer.beta=" in line


def test_the_winner_of_a_sweep_runs_again(tmp_path):
    tuned = run(tmp_path, SCRIPT, trials=2)
    again = tunewright.train(str(tuned.folder.best_config), runs_dir=tmp_path / "again")
    assert again.outcomes[0].metrics["val_loss"] == tuned.record.best.score


def test_a_sweep_goes_on_with_its_exact_total(tmp_path):
    assert len(run(tmp_path, SCRIPT, trials=2).record.trials) == 2
    assert [t.number for t in run(tmp_path, SCRIPT, trials=3).record.trials] == [0, 1, 2]


def test_a_script_that_starts_a_sweep_of_its_own_is_told_what_to_do(tmp_path):
    script = "import wandb\nwandb.agent(wandb.sweep({'method': 'grid'}), function=print)\n"
    with pytest.raises(tunewright.errors.RunError, match=r"tunewright\.tune\(function"):
        run(tmp_path, script, trials=1)


def test_a_sweep_for_another_recipe_leaves_its_program_out(tmp_path):
    sweep = {
        "program": "train.py",
        "method": "grid",
        "parameters": {"learning_rate": {"values": [1e-3, 1e-2]}},
    }
    file = tmp_path / "sweep.yaml"
    file.write_text(yaml.safe_dump(sweep))
    checked = tunewright.space("longtail", str(file), "data=digits")
    assert any("train.py of" in notice and "is not run" in notice for notice in checked.notices)
    assert [parameter.path for parameter in checked.space.parameters] == ["optim.lr"]


def test_the_real_package_is_left_where_the_user_wants_it(tmp_path):
    def environment(**metrics):
        context = ReaderContext(MetricsConfig(**metrics), tmp_path, None, tmp_path / "reports")
        return {k: v for r in make_readers(context) for k, v in r.environment.items()}

    first = environment()["PYTHONPATH"].split(os.pathsep)[0]
    assert (Path(first) / "wandb" / "__init__.py").is_file()
    assert "PYTHONPATH" not in environment(wandb="none")
    offline = environment(wandb="offline")
    assert "PYTHONPATH" not in offline
    assert (offline["WANDB_MODE"], offline["WANDB_DIR"]) == ("offline", str(tmp_path))


def test_the_file_of_an_offline_run_is_followed(tmp_path):
    reader = OfflineReader(tmp_path, {"lr": 0.1, "optimizer": {"beta": 2}})
    given = yaml.safe_load((tmp_path / "wandb-params.yaml").read_text())
    assert given == {
        "wandb_version": 1,
        "lr": {"value": 0.1},
        "optimizer": {"value": {"beta": 2}},
    }
    assert list(reader.poll(ended=False)) == []
    folder = tmp_path / "wandb" / "offline-run-20260101_000000-abc"
    folder.mkdir(parents=True)
    records = [history(0, {"loss": 1.0, "_step": 0})]
    (folder / "run-abc.wandb").write_bytes(log_of(records))
    reader._looked = 0.0
    assert [(r.step, r.metrics) for r in reader.poll(ended=False)] == [(0, {"loss": 1.0})]
    records.append(history(1, {"loss": 0.5, "_step": 1}))
    records.append(text(3, text(1, item("loss", 0.5)) + text(1, item("best", 0.25))))
    (folder / "run-abc.wandb").write_bytes(log_of(records))
    assert list(reader.poll(ended=False)) == []  # not looked at more than once a second
    found = [(r.step, r.metrics) for r in reader.poll(ended=True)]
    assert found == [(1, {"loss": 0.5}), (None, {"best": 0.25})]


def test_progress_of_a_wandb_script_is_stored_as_that_of_any(tmp_path):
    tuned = run(tmp_path, SCRIPT, trials=1)
    progress = read_progress(tuned.folder.trial(0).progress)
    assert [one.step for one in progress] == list(range(6))
