"""The runs of a study are trained in one precision, whatever a busy machine says later."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import practice.blobs.setup
import pytest

import tunewright
from tunewright.runs.folder import RunFolder
from tunewright.runs.shared_choice import read_shared_choice
from tunewright.search.callbacks import StudyCallback
from tunewright.training.autotune import autotune, visits
from tunewright.training.autotune.timing_cache import StepSettings, StepTime

SMALL = ("executor.type=inline", "executor.threads=1", "training.epochs=2", "stages.explore={}")


class Fickle:
    """Tries nothing: the first training finds bf16 faster, all later ones the plain way."""

    later = False

    def __init__(self, *_: object) -> None: ...

    def time_steps(self, choice: StepSettings, seconds: float) -> StepTime:
        bold = choice.precision == "bf16"
        return StepTime((0.1 if bold != self.later else 1.0,), 1.0)

    def close(self) -> None:
        Fickle.later = True


@pytest.fixture(autouse=True)
def fickle(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A recipe that asks for trying, on a machine that gives another answer each time."""
    make = practice.blobs.setup.make_setup
    monkeypatch.setattr(
        practice.blobs.setup, "make_setup", lambda *a: replace(make(*a), calibrate=True)
    )
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(autotune, "native_bf16", lambda: True)
    monkeypatch.setattr(autotune, "StepBenchmark", Fickle)
    monkeypatch.setattr(autotune, "SHORT_SECONDS", 0.0)
    monkeypatch.setattr(autotune, "SHARE", 100.0)
    monkeypatch.setattr(visits, "SHARE", 100.0)
    monkeypatch.setattr(autotune, "kept_times", Forgetful)
    Fickle.later = False


class Forgetful:
    """Nothing is kept from one training to the next."""

    def __init__(self, _key: Any) -> None:
        self.times: dict[StepSettings, StepTime] = {}

    def __enter__(self) -> dict[StepSettings, StepTime]:
        return self.times

    def __exit__(self, *_: object) -> None:
        pass


def precisions(runs: Path) -> Counter[str]:
    return Counter(
        RunFolder(file.parent).read_config()["training"]["precision"]
        for file in runs.rglob("config.yaml")
        if (file.parent / "outcome.json").exists()
    )


class Notices(StudyCallback):
    """Keeps what a study said."""

    def __init__(self) -> None:
        self.notices: list[str] = []

    def notice(self, text: str) -> None:
        self.notices.append(text)


def tuned(place: Path, *words: str, trials: int = 2) -> list[str]:
    """Search and train in full; returns what was said."""
    watch = Notices()
    tunewright.tune(
        "blobs", *SMALL, "study.pruner.type=none", *words,
        trials=trials, name="one", runs_dir=place, watch=watch,
    )  # fmt: skip
    return watch.notices


def test_trials_their_seeds_and_the_final_share_one_choice(tmp_path: Path) -> None:
    said = tuned(tmp_path, "study.seeds=2", "seeds=[3,4]")
    assert any("all runs of this study train in bf16, contiguous (cal" in text for text in said)
    assert precisions(tmp_path) == {"bf16": 2 * 2 + 2}
    kept = read_shared_choice(tmp_path / "one")
    assert kept is not None
    assert kept.epochs == 2 * 2 * 2 + 2 * 2
    assert kept.values == {"training.precision": "bf16", "training.layout": "contiguous"}


def test_the_choice_survives_a_second_session(tmp_path: Path) -> None:
    tuned(tmp_path, "study.final=false")
    tuned(tmp_path, "study.final=false", trials=4)
    assert precisions(tmp_path) == {"bf16": 4}


def test_what_is_typed_stands_in_every_run(tmp_path: Path) -> None:
    tuned(tmp_path, "training.precision=fp32")
    assert precisions(tmp_path) == {"fp32": 3}


def test_seeds_of_one_training_share_one_choice(tmp_path: Path) -> None:
    tunewright.train("blobs", *SMALL, "seeds=[5,6,7]", name="seeds", runs_dir=tmp_path)
    assert precisions(tmp_path) == {"bf16": 3}
