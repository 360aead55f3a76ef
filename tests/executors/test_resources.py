"""How the machine is shared out, and what a user's own settings are worth."""

import pytest

from tunewright.config.schema import ExecutorConfig
from tunewright.executors import resources
from tunewright.executors.resources import share, threads_each


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
