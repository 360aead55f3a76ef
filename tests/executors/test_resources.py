"""How the machine is shared out, and what a user's own settings are worth."""

import pytest
from pydantic import ValidationError

from tunewright.config.compose import compose
from tunewright.config.schema import ExecutorConfig
from tunewright.errors import ConfigError
from tunewright.executors import resources
from tunewright.executors.local import LocalExecutor
from tunewright.executors.resources import share, threads_each
from tunewright.recipes.registry import find_recipe
from tunewright.recipes.several_processes import check_processes


@pytest.fixture(autouse=True)
def six_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine of six cores and no GPU, with an environment that says nothing."""
    monkeypatch.setattr(resources, "cores", lambda: 6)
    monkeypatch.setattr(resources, "visible_gpus", list)
    monkeypatch.setattr(resources, "free_mib", lambda: 2.0**20)
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)


def test_cores_are_shared_among_the_workers() -> None:
    assert [share(ExecutorConfig(), jobs).threads for jobs in (1, 2, 6, 20)] == [6, 3, 1, 1]
    assert threads_each(ExecutorConfig()) == 6


@pytest.mark.parametrize(
    ("name", "value", "threads"),
    [
        ("OMP_NUM_THREADS", "2", 2),
        ("OMP_NUM_THREADS", " 5,3,1", 5),
        ("MKL_NUM_THREADS", "4", 4),
        ("OMP_NUM_THREADS", "many", 6),
        ("OMP_NUM_THREADS", "0", 6),
    ],
)
def test_what_the_environment_says_is_kept(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, threads: int
) -> None:
    monkeypatch.setenv(name, value)
    assert threads_each(ExecutorConfig()) == threads
    assert share(ExecutorConfig(type="inline"), None).threads == threads


def test_the_configuration_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    monkeypatch.setenv("MKL_NUM_THREADS", "3")
    assert threads_each(ExecutorConfig()) == 2
    assert share(ExecutorConfig(threads=4), 3).threads == 4


@pytest.mark.parametrize(
    ("gpus", "processes", "slots"), [(0, 2, 3), (0, 8, 1), (8, 2, 4), (5, 2, 2)]
)
def test_a_trial_of_several_processes_takes_as_many_cores_or_gpus(
    monkeypatch: pytest.MonkeyPatch, gpus: int, processes: int, slots: int
) -> None:
    monkeypatch.setattr(resources, "visible_gpus", lambda: [str(gpu) for gpu in range(gpus)])
    assert share(ExecutorConfig(processes=processes), None).slots == slots


def test_more_processes_than_gpus_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources, "visible_gpus", lambda: ["0", "1"])
    with pytest.raises(ConfigError, match=r"executor.processes = 3 with 2 GPU\(s\)"):
        share(ExecutorConfig(processes=3), None)


def test_only_local_workers_start_further_processes() -> None:
    with pytest.raises(ValidationError, match="only the executor local starts more"):
        ExecutorConfig(type="inline", processes=2)


@pytest.mark.parametrize(
    ("recipe", "words", "remedy"),
    [
        ("command", (), "torchrun --nproc_per_node=2"),
        ("function", (), "executor.processes=1"),
        ("blobs", ("training.compile=always",), "training.compile=never"),
        ("blobs", ("training.accumulate=16",), "training.batch_size"),
    ],
)
def test_what_cannot_be_divided_is_refused(
    recipe: str, words: tuple[str, ...], remedy: str
) -> None:
    found = find_recipe(recipe)
    composed = compose(found, ["goal=val_loss", "executor.processes=2", *words])
    with pytest.raises(ConfigError, match=remedy):
        check_processes(found, composed.config)


def test_each_trial_has_gpus_of_its_own() -> None:
    executor = LocalExecutor(2, threads=1, gpus=["0", "MIG-b", "2", "3"], processes=2)
    assert [executor._gpus_of(index) for index in (0, 1, 2)] == [
        ["0", "MIG-b"],
        ["2", "3"],
        ["0", "MIG-b"],
    ]
    assert executor.next_place().gpu == "0"
