"""The use of a GPU, with a driver that the test makes."""

import sys
import time
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import torch

from tunewright.runs.folder import RunFolder
from tunewright.runs.progress import ProgressTail, read_progress
from tunewright.runs.record import Progress
from tunewright.training.reporter import Reporter
from tunewright.training.trackers.tracker import logged_values
from tunewright.training.usage import gpu
from tunewright.training.usage.gpu import GpuSampler, GpuUse, open_gpu

UUID = "11111111-2222-3333-4444-555555555555"


class Driver(ModuleType):
    """Answers like nvidia-ml-py, and counts what is open."""

    class NVMLError(Exception):
        """What the driver raises."""

    def __init__(self, busy: list[int], *, broken: bool = False) -> None:
        super().__init__("pynvml")
        self.busy, self.broken, self.opened, self.asked = busy, broken, 0, 0
        self.handles: list[str] = []

    def nvmlInit(self) -> None:  # noqa: N802 (their names)
        self.opened += 1

    def nvmlShutdown(self) -> None:  # noqa: N802
        self.opened -= 1

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:  # noqa: N802
        self.handles.append(uuid)
        return uuid

    def nvmlDeviceGetUtilizationRates(self, handle: str) -> SimpleNamespace:  # noqa: N802
        if self.broken or handle != f"GPU-{UUID}":
            raise self.NVMLError("Not Supported")
        self.asked += 1
        return SimpleNamespace(gpu=self.busy[min(self.asked, len(self.busy)) - 1])

    def nvmlDeviceGetMemoryInfo(self, _handle: str) -> SimpleNamespace:  # noqa: N802
        return SimpleNamespace(used=(100 + self.asked) * 2**20)


def with_gpu(monkeypatch: pytest.MonkeyPatch, driver: Driver | None) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", driver)
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    properties = SimpleNamespace(uuid=UUID)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _device: properties)


def test_an_epoch_has_the_mean_utilisation_and_the_most_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gpu, "SAMPLE_SECONDS", 0.01)
    driver = Driver([0, 50, 100, 75])
    sampler = GpuSampler(driver, UUID)
    while driver.asked < 3:
        time.sleep(0.005)
    sampler._end.set()
    sampler._thread.join()
    seen = driver.asked
    found = sampler.take()
    assert found is not None
    assert 0.5 <= found.utilization <= 1.0
    assert found.memory_mib == 100 + seen
    assert sampler.take() == GpuUse(0.75, 101.0 + seen)  # shorter than the interval: one look
    sampler.close()
    assert driver.opened == 0


def test_a_gpu_that_cannot_be_measured_is_said_and_nothing_stays_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    driver = Driver([], broken=True)
    with_gpu(monkeypatch, driver)
    assert open_gpu() == (None, "GPU utilisation is not measured: Not Supported")
    assert driver.opened == 0
    with_gpu(monkeypatch, None)  # an import of None raises ImportError
    assert open_gpu() == (None, gpu.INSTALL)
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: False)
    assert open_gpu() == (None, "")


def test_a_driver_that_stops_answering_ends_no_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "SAMPLE_SECONDS", 0.01)
    driver = Driver([10])
    sampler = GpuSampler(driver, UUID)
    driver.broken = True
    sampler._thread.join(5)
    sampler.take()
    assert sampler.take() is None
    sampler.close()


def test_the_use_stands_in_the_progress_of_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = Driver([40])
    with_gpu(monkeypatch, driver)
    monkeypatch.setattr("tunewright.training.reporter.device_peak_mib", lambda: 0.0)
    folder = RunFolder(tmp_path)
    reporter = Reporter(folder, folder.begin_attempt())
    reporter.begin(0)
    reporter.report(1, {"val_loss": 1.0}, 0.1, data_wait=0.25)
    reporter.close()
    assert driver.handles == [f"GPU-{UUID}"]
    assert driver.opened == 0
    [report] = read_progress(folder.progress)
    assert report.usage.keys() == {"data_wait", "gpu_utilization", "gpu_memory_mib"}
    assert (report.data_wait, report.gpu_utilization) == (0.25, 0.4)
    assert ProgressTail(folder.progress, 1).poll() == [report]
    assert logged_values(report) == {
        "val_loss": 1.0,
        "usage/data_wait": 0.25,
        "usage/gpu_utilization": 0.4,
        "usage/gpu_memory_mib": report.gpu_memory_mib,
    }


def test_what_is_not_measured_is_left_out(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    reporter = Reporter(folder, folder.begin_attempt())
    reporter.begin(0)
    reporter.report(1, {"val_loss": 1.0}, 0.1)
    reporter.close()
    text = folder.progress.read_text(encoding="utf-8")
    assert "gpu" not in text
    assert "data_wait" not in text
    assert Progress(1, 1, {"val_loss": 1.0}, 0.1).usage == {}
