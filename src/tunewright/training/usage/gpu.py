"""The one door to nvidia-ml-py: how busy the GPU of a training is, and how full."""

import threading
from dataclasses import dataclass
from statistics import fmean
from typing import Any

SAMPLE_SECONDS = 0.5
"""Interval of the samples; the driver itself averages over a sixth of a second to one second."""
INSTALL = 'GPU utilisation is not measured: pip install "tunewright[gpu]"'


@dataclass(frozen=True)
class GpuUse:
    """utilization: mean share of the time in which the GPU ran anything, 0 to 1.

    It says nothing of how much of the GPU was in use then. memory_mib: the most that all processes
    on it held.
    """

    utilization: float
    memory_mib: float


class GpuSampler:
    """Samples one GPU in a thread until `close`; `take` returns what was seen since the last one.

    nvml: the module, or what stands for it. uuid: of the GPU, as torch knows it, so that
    CUDA_VISIBLE_DEVICES in any form leads to the same one. Raises what nvml raises for a GPU that
    it cannot measure, such as a part of one (MIG).
    """

    def __init__(self, nvml: Any, uuid: str) -> None:
        self._nvml = nvml
        self._lock = threading.Lock()
        self._seen: list[GpuUse] = []
        nvml.nvmlInit()
        try:
            self._handle = nvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid.removeprefix('GPU-')}")
            self._sample()
        except BaseException:
            nvml.nvmlShutdown()
            raise
        self._seen = []
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="gpu-usage", daemon=True)
        self._thread.start()

    def take(self) -> GpuUse | None:
        """Return the use since the last call; None where the driver has stopped answering."""
        with self._lock:
            empty = not self._seen
        if empty:  # shorter than the interval of sampling
            self._try()
        with self._lock:
            seen, self._seen = self._seen, []
        if not seen:
            return None
        busy = fmean(one.utilization for one in seen)
        return GpuUse(round(busy, 3), round(max(one.memory_mib for one in seen), 1))

    def close(self) -> None:
        """Stop sampling."""
        self._end.set()
        self._thread.join()
        self._nvml.nvmlShutdown()

    def _watch(self) -> None:
        while not self._end.wait(SAMPLE_SECONDS):
            if not self._try():
                return

    def _try(self) -> bool:
        try:
            self._sample()
        except self._nvml.NVMLError:
            return False
        return True

    def _sample(self) -> None:
        busy = self._nvml.nvmlDeviceGetUtilizationRates(self._handle).gpu
        held = self._nvml.nvmlDeviceGetMemoryInfo(self._handle).used
        with self._lock:
            self._seen.append(GpuUse(busy / 100, held / 2**20))


def open_gpu() -> tuple[GpuSampler | None, str]:
    """Return a sampler of this process's GPU, or None; and why there is none, for the log.

    Without a GPU in use there is none and no reason. Creates no context on the device.
    """
    import torch

    if not torch.cuda.is_initialized():
        return None, ""
    try:
        import pynvml as nvml
    except ImportError:
        return None, INSTALL
    try:
        properties = torch.cuda.get_device_properties(torch.cuda.current_device())
        return GpuSampler(nvml, str(properties.uuid)), ""
    except (nvml.NVMLError, AttributeError) as error:  # an older torch has no uuid
        return None, f"GPU utilisation is not measured: {error}"
