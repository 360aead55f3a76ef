"""`schedule`: a table and figures of what follows the clock, for every recipe."""

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

import tunewright
from tunewright.cli import app
from tunewright.errors import ConfigError, UsageError

BALANCED = ("--use_balanced", "--adaptive_gamma", "--gamma", "0.006", "--epochs", "3000")
STRATEGIES = [
    *("fixed", "linear", "cosine", "step", "adaptive, flat losses"),
    *("adaptive, jumping losses", "hpcm", "hpcm_step"),
]


def run(*words: str) -> str:
    result = CliRunner().invoke(app, ["schedule", *words])
    assert result.exception is None, result.output
    return result.output


@pytest.mark.parametrize("recipe", ["pairs", "longtail", "flowers", "compression", "blobs"])
def test_every_recipe_has_its_learning_rate_shown_and_drawn(recipe, tmp_path):
    found = tunewright.schedule(recipe, "schedule.type=cosine", runs_dir=tmp_path)
    rates = found.values["learning rate"]
    assert found.kinds["learning rate"] == "cosine"
    assert len(rates) == len(found.key_epochs) >= min(11, found.epochs + 1)
    assert (found.key_epochs[0], found.key_epochs[-1]) == (0, found.epochs)
    names = [file.relative_to(tmp_path).as_posix() for file in found.files]
    assert names[:2] == [f"schedule-{recipe}/schedule.png", f"schedule-{recipe}/schedule.html"]
    assert all(file.stat().st_size > 1000 for file in found.files)
    assert json.dumps(found.as_json(), allow_nan=False)


def test_compression_compares_the_strategies_of_gamma(tmp_path):
    found = tunewright.schedule(
        "compression", "balance=famo", "balance.gamma=0.006", "balance.schedule.type=hpcm",
        "training.epochs=3000", runs_dir=tmp_path,
    )  # fmt: skip
    gamma = found.comparison["gamma"]
    assert list(gamma) == STRATEGIES
    at = {name: dict(zip(found.key_epochs, values, strict=True)) for name, values in gamma.items()}
    assert at["hpcm"][300] == pytest.approx(0.0072)
    assert at["hpcm"][2000] == pytest.approx(0.0036)
    assert at["linear"][500] == pytest.approx(0.005166667, rel=1e-6)
    assert at["cosine"][2000] == pytest.approx(0.00225)
    assert (at["step"][1000], at["step"][2000]) == (0.003, 0.0015)
    assert at["hpcm_step"][2750] == 0.00075
    assert at["adaptive, flat losses"][2000] == pytest.approx(0.8 * 0.00225)
    assert at["adaptive, jumping losses"][2000] == pytest.approx(1.2 * 0.00225)
    assert found.values["gamma"] == gamma["hpcm"]
    assert [file.name for file in found.files] == [
        *("schedule.png", "schedule.html"),
        *("gamma_strategies_comparison.png", "gamma_strategies_comparison.html"),
    ]
    assert found.plan[1] == (
        "gamma (hpcm): 0.006 at first, 0.0072 after 300 epochs, 0.0036 after 2000 epochs, "
        "0.00252 at the end"
    )


def test_the_plain_loss_has_no_gamma_and_the_strategies_are_compared_all_the_same(tmp_path):
    found = tunewright.schedule("compression", runs_dir=tmp_path)
    assert list(found.values) == ["learning rate"]
    assert list(found.comparison["gamma"]) == STRATEGIES
    assert len(found.files) == 4


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf", "html"])
def test_one_file_may_be_named(suffix, tmp_path):
    file = tmp_path / "figures" / f"gamma.{suffix}"
    found = tunewright.schedule("compression", "balance=famo", output=file, runs_dir=tmp_path)
    assert found.files == (file,)
    assert [one.name for one in tmp_path.iterdir()] == ["figures"]
    if suffix == "html":
        page = file.read_text(encoding="utf-8")
        names = set(re.findall(r'"name":"([^"]+)"', page))
        assert names == {"milestones", *STRATEGIES}


def test_what_is_printed(tmp_path):
    lines = run("compression", *BALANCED, "--runs-dir", str(tmp_path)).splitlines()
    assert lines[1] == (
        "gamma (linear): 0.006 at first, 0.0035 after 1500 epochs, 0.001 at the end"
    )
    table = [line for line in lines if re.match(r"│ +1000 ", line)]
    assert len(table) == 2
    assert "0.004333" in table[0]
    assert "0.00475" in table[1]
    assert any("linear *" in line for line in lines)
    assert lines[-1].endswith("gamma_strategies_comparison.html")


def test_json(tmp_path):
    printed = run("compression", *BALANCED, "--json", "--runs-dir", str(tmp_path))
    found = json.loads(printed)
    assert found["epochs"] == 3000
    assert list(found["comparison"]["gamma"]) == STRATEGIES


@pytest.mark.parametrize("words", [("blobs", "output.txt"), ("compression", "figure")])
def test_an_unknown_kind_of_file_is_refused_before_anything_is_written(words, tmp_path):
    with pytest.raises(UsageError, match=r"--output .*\.png, \.svg, \.pdf or \.html"):
        tunewright.schedule(words[0], output=tmp_path / words[1], runs_dir=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_recipe_without_a_schedule_is_refused(tmp_path):
    space = Path(tmp_path / "f.yaml")
    space.write_text("recipe: function\n")
    with pytest.raises(ConfigError, match="brings its own training"):
        tunewright.schedule("function", "function=x", runs_dir=tmp_path)


def test_a_milestone_beyond_the_run_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"1000, 2000 \(epochs\) with training\.epochs = 500"):
        tunewright.schedule(
            "compression", "balance=famo", "balance.schedule.type=step",
            "balance.schedule.milestones=[1000,2000]", "training.epochs=500", runs_dir=tmp_path,
        )  # fmt: skip
