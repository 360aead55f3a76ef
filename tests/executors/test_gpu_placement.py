"""Which GPUs there are, and how many trials share one; the driver's tool is a script here."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import ValidationError

from tunewright.config.compose import compose
from tunewright.config.schema import ExecutorConfig
from tunewright.executors import resources
from tunewright.executors.executor import Resources
from tunewright.executors.gpus import visible_gpus
from tunewright.executors.local import LocalExecutor
from tunewright.executors.resources import share
from tunewright.recipes.registry import find_recipe
from tunewright.runs.folder import RunFolder
from tunewright.search.prepare import run_part

LISTED = """\
GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-11111111-2222)
GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-33333333-4444)
  MIG 3g.20gb     Device  0: (UUID: MIG-aaaa-1)
  MIG 3g.20gb     Device  1: (UUID: MIG-bbbb-2)
"""


@pytest.fixture
def driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file with the free memory of every GPU in MiB, as `nvidia-smi` says it."""
    free = tmp_path / "free"
    free.write_text("10000")
    (tmp_path / "listed").write_text(LISTED)
    tool = tmp_path / "nvidia-smi"
    tool.write_text(
        f'#!/bin/sh\nif [ "$1" = -L ]; then cat {tmp_path}/listed; else cat {free}; fi\n'
    )
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return free


def test_parts_of_a_divided_gpu_take_its_place(driver: Path) -> None:
    assert visible_gpus() == ["0", "MIG-aaaa-1", "MIG-bbbb-2"]


@pytest.mark.parametrize(
    ("listed", "found"),
    [
        ("1, 3", ["1", "3"]),
        ("MIG-aaaa-1", ["MIG-aaaa-1"]),
        ("GPU-11111111-2222,0", ["GPU-11111111-2222", "0"]),
        ("2,-1,0", ["2"]),
        ("", []),
        ("-1", []),
    ],
)
def test_the_list_of_the_environment_is_kept(
    driver: Path, monkeypatch: pytest.MonkeyPatch, listed: str, found: list[str]
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", listed)
    assert visible_gpus() == found


def test_slots_of_several_trials_a_gpu(driver: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources, "cores", lambda: 12)
    monkeypatch.setattr(resources, "free_mib", lambda: 2.0**20)
    assert share(ExecutorConfig(), None).slots == 3
    assert share(ExecutorConfig(per_gpu=2), None).slots == 6
    automatic = share(ExecutorConfig(per_gpu="auto"), None)
    assert automatic.slots == 12
    assert automatic.why == "3 GPU(s), up to 4 trials on each by their GPU memory"


def test_without_a_gpu_it_is_said_to_have_no_effect(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert "executor.per_gpu=auto has no effect" in share(ExecutorConfig(per_gpu="auto"), None).why


@pytest.mark.parametrize("other", [{"processes": 2}, {"type": "inline"}])
def test_a_gpu_is_shared_by_trials_of_one_process(other: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match="trials share a GPU only with"):
        ExecutorConfig(per_gpu=2, **other)  # type: ignore[arg-type]


@pytest.fixture
def executor(driver: Path) -> Iterator[LocalExecutor]:
    executor = LocalExecutor(4, threads=1, gpus=["0", "1"], shares_by_memory=True)
    yield executor
    executor.close()


def test_trials_share_a_gpu_once_their_memory_is_known_and_while_it_lasts(
    driver: Path, executor: LocalExecutor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(resources: Resources) -> None:
        folder = RunFolder(tmp_path / str(len(executor._busy)))
        tree = compose(find_recipe("blobs"), ["training.epochs=100000"]).tree
        folder.write_config(run_part(tree))
        folder.begin_attempt()
        executor.start([folder], resources)

    unknown, known = Resources(), Resources(device_mib=4000.0)
    for _ in range(2):  # one for each GPU
        assert executor.refusal(unknown) is None
        start(known)
    assert sorted(str(worker.gpu) for worker in executor._busy) == ["0", "1"]
    assert executor.refusal(unknown) == (
        "the GPU memory of a trial is not known yet, so it shares no GPU"
    )
    assert executor.refusal(known) is None
    start(known)
    start(known)
    driver.write_text("[N/A]")
    executor._memory._devices.clear()
    executor.slots = 6
    assert executor.refusal(known) == "the driver does not say how much memory of the GPU is free"
    driver.write_text("9000")
    executor._memory._devices.clear()
    assert "GiB free" in str(executor.refusal(known))
