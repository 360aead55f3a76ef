"""Workers that are replaced when they grow, and what they are told to hold at most."""

from pathlib import Path

import pytest

from tunewright.config.compose import compose
from tunewright.executors import local
from tunewright.executors.executor import Need
from tunewright.executors.local import LocalExecutor
from tunewright.recipes.registry import find_recipe
from tunewright.runs.folder import RunFolder
from tunewright.search.prepare import run_part


def run(executor: LocalExecutor, folder: RunFolder, *words: str) -> int:
    """Train once; the process it was trained in."""
    folder.write_config(run_part(compose(find_recipe("quadratic"), list(words)).tree))
    folder.begin_attempt()
    [handle] = executor.start([folder], Need())
    while not handle.ended:
        executor.wait(5.0)
    return int(folder.log.read_text().rsplit("in process ", 1)[1].split()[0])


@pytest.mark.parametrize(("leak_mib", "replaced"), [(0, False), (60, False), (400, True)])
def test_a_worker_that_idles_with_far_more_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, leak_mib: int, replaced: bool
) -> None:
    monkeypatch.setattr(local, "GROWTH", 1.0)
    monkeypatch.setattr(local, "GROWTH_MIB", 200.0)
    executor = LocalExecutor(1, threads=1)
    try:
        first = run(executor, RunFolder(tmp_path / "first"))
        leaking = run(executor, RunFolder(tmp_path / "leaking"), f"faults.leak_mib={leak_mib}")
        after = run(executor, RunFolder(tmp_path / "after"))
    finally:
        executor.close()
    assert first == leaking
    assert (after != first) == replaced


def test_a_run_that_is_alone_may_hold_the_share_of_all() -> None:
    executor = LocalExecutor(3, threads=1, memory_gib=0.5)
    assert executor._limit(Need()) == 0.5
    assert executor._limit(Need(alone=True)) == 1.5
    assert LocalExecutor(3, threads=1)._limit(Need(alone=True)) is None


def test_the_next_place_is_a_new_worker_on_the_next_gpu() -> None:
    executor = LocalExecutor(2, threads=1, gpus=["GPU-7", "3"])
    assert executor.next_place() == local.RunPlace(0.0, "GPU-7")
