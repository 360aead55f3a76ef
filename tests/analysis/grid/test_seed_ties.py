"""Trials with several seeds are compared by the noise of their seeds."""

from io import StringIO
from types import SimpleNamespace

from rich.console import Console

from tunewright.analysis.grid.seed_ties import compare_seeds
from tunewright.analysis.overview import overview
from tunewright.cli.output.results import print_analysis
from tunewright.runs.record import StudyRecord, Trial


def study(*scores: tuple[float, ...], direction: str = "max") -> StudyRecord:
    trials = [
        Trial(
            number,
            "done",
            {"model.text": f"encoder {number}"},
            sum(each) / len(each),
            {1: sum(each) / len(each)},
            seeds={str(seed): score for seed, score in enumerate(each)} if len(each) > 1 else {},
        )
        for number, each in enumerate(scores)
    ]
    return StudyRecord("encoders", "retina", "val_balanced_accuracy", direction, tuple(trials))  # type: ignore[arg-type]


def test_encoders_within_the_noise_of_their_seeds_are_tied() -> None:
    found = compare_seeds(study((0.50, 0.55, 0.60), (0.52, 0.56, 0.57), (0.10, 0.12, 0.11)))
    assert found is not None
    assert found.compared == (0, 1, 2)
    assert found.tied == {0, 1}
    assert found.verdict.startswith("tied: the seeds do not tell 2 of 3 trials apart; trial 0")


def test_a_clear_winner() -> None:
    found = compare_seeds(study((0.5, 0.51, 0.52), (0.9, 0.91, 0.92)))
    assert found is not None
    assert not found.tied
    assert found.verdict.startswith("trial 1 is better than all others by more than the noise")
    least = compare_seeds(study((0.5, 0.51, 0.52), (0.9, 0.91, 0.92), direction="min"))
    assert least is not None
    assert least.compared == (0, 1)


def test_nothing_is_said_without_seeds_or_of_a_single_trial() -> None:
    assert compare_seeds(study((0.5,), (0.6,))) is None
    assert compare_seeds(study((0.5, 0.6), (0.6,))) is None
    assert "seeds" not in overview(study((0.5,), (0.6,)), {}, top=3).as_json()


def test_the_table_says_tied() -> None:
    found = overview(study((0.50, 0.60), (0.51, 0.58), (0.01, 0.02)), {}, top=3)
    assert [row.get("tied", False) for row in found.top] == [True, True, False]
    assert found.seeds.startswith("tied:")


def test_analyze_prints_it() -> None:
    found = overview(study((0.50, 0.60), (0.51, 0.58), (0.01, 0.02)), {}, top=3)
    view = SimpleNamespace(overview=found, chosen=None, heat_map=None, plots=(), files=())
    printed = StringIO()
    print_analysis(Console(file=printed, width=120), view)  # type: ignore[arg-type]
    row = next(line for line in printed.getvalue().splitlines() if "tied" in line)
    assert row.count("tied") == 2
    assert "tied: the seeds do not tell 2 of 3 trials apart" in printed.getvalue()
