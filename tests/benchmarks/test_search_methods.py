"""The benchmark of search methods: what is charged, what is delivered, and what it comes to."""

import math
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import tunewright
from tunewright.runs.folder import StudyFolder
from tunewright.runs.progress import read_progress
from tunewright.spaces.domain import Float
from tunewright.spaces.space import Parameter

BENCHMARKS = Path(tunewright.__file__).parents[2] / "benchmarks"
MODULES = ("search_run", "search_summary", "simulated_executor", "curve_tasks")
ROWS, LAST = 2000, 8


@pytest.fixture(autouse=True)
def modules(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    yield
    for name in MODULES:
        sys.modules.pop(name, None)


def module(name: str) -> ModuleType:
    return __import__(name)


def account_of(epochs: int) -> Any:
    return module("simulated_executor").Account(table(), epochs)


def table() -> Any:
    """Trainings that end at `x`, on straight curves."""
    places = [(n + 0.5) / ROWS for n in range(ROWS)]
    return module("curve_tasks").Table(
        "straight",
        [Parameter("x", Float(0.0, 1.0))],
        [{"x": x} for x in places],
        [[x * step / LAST for step in range(1, LAST + 1)] for x in places],
        places,
        [LAST] * ROWS,
    )


class TestAccount:
    def test_an_epoch_is_charged_once(self) -> None:
        account = account_of(3)
        account.train_epoch({"x": 0.5}, 1)
        account.train_epoch({"x": 0.5}, 2)
        account.train_epoch({"x": 0.5}, 1)
        account.train_epoch({"x": 0.1}, 1)
        assert account.spent == 3
        with pytest.raises(module("simulated_executor").BudgetSpent):
            account.train_epoch({"x": 0.1}, 2)

    def test_what_was_trained_longest_is_delivered_until_one_has_finished(self) -> None:
        account = account_of(100)
        account.train_epoch({"x": 0.9}, 1)
        account.train_epoch({"x": 0.2}, 1)
        account.train_epoch({"x": 0.2}, 2)
        first, then = account.regrets([1 / LAST, 3 / LAST])
        assert first < then
        for step in range(3, LAST + 1):
            account.train_epoch({"x": 0.2}, step)
        account.train_epoch({"x": 0.9}, 2)
        assert account.regrets([2.0])[0] == then


def test_a_pruned_trial_costs_what_it_was_trained(tmp_path: Path) -> None:
    account = account_of(12 * LAST)
    module("search_run").run_search(account, "random+asha", 3, 1, tmp_path)
    longest: dict[int, int] = {}
    study = StudyFolder(tmp_path)
    for number in range(len(list((tmp_path / "trials").iterdir()))):
        folder = study.trial(number)
        stored = folder.read_parameters()
        assert stored is not None
        row = account.task.key(stored[0])
        steps = [progress.step for progress in read_progress(folder.progress)]
        longest[row] = max(longest.get(row, 0), *steps)
    assert sum(longest.values()) == account.spent
    assert {2, LAST} <= set(longest.values())


def test_methods_begin_with_the_same_points() -> None:
    task = table()
    found = [module("search_run").search(task, m, 1, (5.0, 10.0)) for m in ("random", "tpe")]
    assert found[0] == found[1]


class TestNoise:
    def test_belongs_to_the_training_and_the_seed(self) -> None:
        one, again, other = (module("curve_tasks").Noisy(table(), 0.01, seed) for seed in (1, 1, 2))
        values = {"x": 0.5}
        assert one.curve(values) == again.curve(values) != other.curve(values)
        assert one.truth(values) == table().truth(values)


class TestSummary:
    BUDGETS = (5.0, 10.0, 20.0)

    def runs(self, *curves: list[float]) -> dict[tuple[str, int], list[float]]:
        return {(f"task {n}", 0): curve for n, curve in enumerate(curves)}

    def test_trainings_to_a_regret_lie_between_budgets(self) -> None:
        found = module("search_summary").trainings_to([0.8, 0.4, 0.2], 0.6, self.BUDGETS)
        assert found == pytest.approx(math.sqrt(50))
        assert module("search_summary").trainings_to([0.8, 0.4, 0.2], 0.1, self.BUDGETS) == math.inf

    def test_what_is_never_reached_is_null(self) -> None:
        known = {"tpe": self.runs([0.5, 0.4, 0.1]), "random": self.runs([0.5, 0.4, 0.3])}
        found = module("search_summary").summarise(known, self.BUDGETS)["methods"]
        assert found["tpe"]["trainings_to_tpe_at_the_end"] == 20.0
        assert found["random"]["trainings_to_tpe_at_the_end"] is None

    def test_several_workers_are_compared_at_the_regret_of_tpe(self) -> None:
        known = {
            "tpe": self.runs([0.9, 0.8, 0.4]),
            "curves": self.runs([0.4, 0.3, 0.2]),
            "curves, 4 workers": self.runs([0.8, 0.4, 0.3]),
        }
        found = module("search_summary").compare_workers(
            known, "curves", "curves, 4 workers", self.BUDGETS
        )
        assert found == {"times": 2.0, "interval": [2.0, 2.0]}

    def test_how_far_a_task_is_behind(self) -> None:
        one, other = self.runs([0, 0.3, 0], [0, 0.1, 0]), self.runs([0, 0.2, 0], [0, 0.2, 0])
        found = module("search_summary").behind({"a": one, "b": other}, "a", "b", 1)
        assert found == {"task 0": 0.1, "task 1": -0.1}

    def test_a_row_that_a_kill_has_cut_is_left_out(self, tmp_path: Path) -> None:
        file = tmp_path / "rows.jsonl"
        file.write_text('{"task": "a"}\n{"task": "b"}\n{"tas')
        assert module("search_summary").read_rows(file) == [{"task": "a"}, {"task": "b"}]
        assert module("search_summary").read_rows(tmp_path / "none") == []
